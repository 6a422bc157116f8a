// Describe what your reward is for.

#include "swift_reward.h"

const plugin PLUGIN = {
    .name = "plugin-name",
    .version = "0.1.0",
    .summary = "1 for answers that hold what the row's column `solution` says, 0 for others.",
};

bool score(const completion *answer, double *reward) {
    text solution;
    if (!column(answer, "solution", &solution)) return false;
    *reward = contains(answer->text, solution) ? 1.0 : 0.0;
    return true;
}
