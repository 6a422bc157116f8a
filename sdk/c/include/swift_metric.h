// A metric for swift-host in C: it looks at every batch of the validation set, and then gives numbers. What it gathers is in
// variables of its own. Of tensors, all that `swift_loss.h` says is true.
#ifndef SWIFT_METRIC_H
#define SWIFT_METRIC_H

#include "metric_plugin.h"

#define WORLD(name) metric_plugin_##name

#include "swift_plugin.h"
#include "swift_tensor.h"

// Defined by the plugin: looks at one batch of the validation set. Called for all of them, in order.
void observe(batch batch, outputs policy);
// Defined by the plugin: gives the numbers of all batches since the last call, and forgets what was observed.
void finish(void);

// Gives a number, in `finish`. It is logged with `eval_` before its name.
void give(const char *name, double number);

#endif
