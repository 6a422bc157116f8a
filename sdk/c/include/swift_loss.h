// A loss for swift-host in C. `examples/focal.c` is one.
//
// Tensors live on the host; a `tensor` is a handle. An operation that fails gives a tensor with which every further
// operation fails too, and the host is told of the first failure: there is nothing to check in between. All handles of a
// call are dropped when it ends.
#ifndef SWIFT_LOSS_H
#define SWIFT_LOSS_H

#include "loss_plugin.h"

#define WORLD(name) loss_plugin_##name

typedef exports_swift_plugin_loss_requirements_t requirements;

// What the loss needs; conversations and nothing else if all is zero.
#define OF_ITS_KIND requirements requirements;

#include "swift_plugin.h"
#include "swift_tensor.h"

// Defined by the plugin: the loss of one micro-batch, a scalar, which is its share of the loss of the whole accumulation
// window, so that shares can be summed. `reference` is null unless the requirements ask for it.
tensor compute(batch batch, outputs policy, const outputs *reference);

// Logs the mean of all observations, of any shape, since the last log line.
void log_metric(const char *name, tensor observations);
// The same with a weight for each observation.
void log_weighted_metric(const char *name, tensor observations, tensor weights);

#endif
