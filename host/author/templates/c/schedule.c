// Describe how your learning rate changes.

#include "swift_schedule.h"

static double end = 0.1;
static const double NONE = 0.0;

static const parameter PARAMETERS[] = {{
    .name = "end",
    .summary = "The factor that is left at the end of the run.",
    .default_value = "0.1",
    .number = &end,
    .minimum = &NONE,
}};

const plugin PLUGIN = {
    .name = "plugin-name",
    .version = "0.1.0",
    .summary = "A learning rate that falls in a straight line, and not to nothing.",
    .parameters = PARAMETERS,
    .parameter_count = 1,
};

// `1 - (1 - end) step / max_steps`. The warm-up is the trainer's.
double factor(uint64_t step, uint64_t max_steps) {
    return 1.0 - (1.0 - end) * (double)step / (double)max_steps;
}
