// A learning-rate schedule for swift-host in C.
#ifndef SWIFT_SCHEDULE_H
#define SWIFT_SCHEDULE_H

#include "schedule_plugin.h"

#define WORLD(name) schedule_plugin_##name

#include "swift_plugin.h"

// Defined by the plugin: the factor on the learning rate, at least 0, for the step that follows `step` steps, of `max_steps`
// without those of the warm-up. It depends on nothing else.
double factor(uint64_t step, uint64_t max_steps);

#endif
