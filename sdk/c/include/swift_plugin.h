// A loss for swift-host in C. `examples/focal.c` is one.
//
// A file defines `PLUGIN`, what the plugin says of itself, and `compute`. Everything else of the contract is here, over the
// bindings that wit-bindgen makes of the world `loss-plugin`.
//
// Tensors live on the host; a `tensor` is a handle. An operation that fails gives a tensor with which every further
// operation fails too, and the host is told of the first failure: there is nothing to check in between. All handles of a
// call are dropped when it ends.
#ifndef SWIFT_PLUGIN_H
#define SWIFT_PLUGIN_H

#include "loss_plugin.h"

typedef swift_plugin_tensor_own_tensor_t tensor;
typedef swift_plugin_batch_view_borrow_batch_t batch;
typedef swift_plugin_batch_view_borrow_outputs_t outputs;
typedef exports_swift_plugin_loss_requirements_t requirements;

// A hyper-parameter. Its variable is set before the run; at first it has the default.
typedef struct {
    const char *name;          // As the user writes it, in snake case.
    const char *summary;       // One sentence.
    const char *default_value; // As JSON.
    double *number;            // The variable of a number, or
    bool *boolean;             // that of one that is true or false.
    const double *minimum;     // The least number that it takes; none if null.
    const double *maximum;     // The greatest number that it takes; none if null.
} parameter;

// What a plugin says of itself.
typedef struct {
    const char *name;            // As the user names it.
    const char *version;         // The plugin's own version.
    const char *summary;         // One sentence.
    const parameter *parameters; // The hyper-parameters, in the order in which help shows them.
    size_t parameter_count;      // Their number.
    requirements requirements;   // What the loss needs; conversations and nothing else if all is zero.
} plugin;

// Defined by the plugin.
extern const plugin PLUGIN;

// Defined by the plugin: the loss of one micro-batch, a scalar, which is its share of the loss of the whole accumulation
// window, so that shares can be summed. `reference` is null unless the requirements ask for it.
tensor compute(batch batch, outputs policy, const outputs *reference);

// Logs the mean of all observations, of any shape, since the last log line.
void log_metric(const char *name, tensor observations);
// The same with a weight for each observation.
void log_weighted_metric(const char *name, tensor observations, tensor weights);

// Ends the call with an error for the user, in one sentence; the first one counts.
void fail(const char *message);
// Writes a line of the log: `SWIFT_PLUGIN_LOG_LEVEL_INFO` and its siblings.
void log_line(swift_plugin_log_level_t level, const char *message);

// Gives up on all that follows, since there was a failure.
bool has_failed(void);
// Takes an error of the host, whose text it frees later.
void take_error(swift_plugin_tensor_error_t error);
// Keeps a handle until the end of the call, and gives it.
tensor keep(tensor made);

#include "swift_tensor.h"

#endif
