// A reward, for the tests of the bridge to the host.

#include "swift_reward.h"

static double worth = 1.0;

static const parameter PARAMETERS[] = {
    {.name = "worth", .summary = "What the solution is worth.", .default_value = "1", .number = &worth},
};

const plugin PLUGIN = {
    .name = "solved",
    .version = "0.1.0",
    .summary = "Whether the answer has the solution in it.",
    .parameters = PARAMETERS,
    .parameter_count = 1,
};

bool score(const completion *answer, double *reward) {
    text solution;
    if (!answer->finished) return false;
    if (!column(answer, "solution", &solution)) fail("there is no solution");
    *reward = has_failed() ? 0.0 : contains(answer->text, solution) ? worth : 0.0;
    return true;
}
