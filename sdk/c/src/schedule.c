// What the contract asks of a schedule.

#include "swift_schedule.h"

bool exports_swift_plugin_schedule_factor(uint64_t step, uint64_t max_steps, double *given, text *error) {
    begin_call();
    *given = factor(step, max_steps);
    end_call();
    if (has_failed()) *error = FAILURE.words;
    return !has_failed();
}
