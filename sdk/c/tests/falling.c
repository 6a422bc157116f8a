// A schedule, for the tests of the bridge to the host.

#include "swift_schedule.h"

const plugin PLUGIN = {.name = "falling", .version = "0.1.0", .summary = "A straight line."};

double factor(uint64_t step, uint64_t max_steps) {
    if (step > max_steps) fail("the run is over");
    return 1.0 - (double)step / (double)max_steps;
}
