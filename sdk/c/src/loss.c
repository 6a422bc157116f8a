// What the contract asks of a loss.

#include "swift_loss.h"

#include <stdlib.h>

#include "swift_handles.h"

// Metrics of the call that goes on, and its loss.
static exports_swift_plugin_loss_metric_t *metrics;
static size_t metric_count, metric_room;
static tensor loss;

// What is logged needs no gradient, and the report takes a handle of its own.
static tensor observed(tensor values) {
    tensor detached = tensor_detach(values);
    const dtype type = has_failed() ? SWIFT_PLUGIN_TENSOR_DTYPE_FLOAT32 : swift_plugin_tensor_method_tensor_dtype(BORROWED(detached));
    return type < SWIFT_PLUGIN_TENSOR_DTYPE_INT64 ? detached : tensor_cast(detached, SWIFT_PLUGIN_TENSOR_DTYPE_FLOAT32);
}

void log_metric(const char *name, tensor observations) {
    metrics = grown(metrics, metric_count, &metric_room, sizeof *metrics);
    exports_swift_plugin_loss_metric_t *added = &metrics[metric_count++];
    loss_plugin_string_dup(&added->name, name);
    added->values = observed(observations);
    added->weights.is_some = false;
}

void log_weighted_metric(const char *name, tensor observations, tensor weights) {
    log_metric(name, observations);
    metrics[metric_count - 1].weights.is_some = true;
    metrics[metric_count - 1].weights.val = observed(weights);
}

// Whether the report takes a handle, so that it is not ours to drop.
static bool is_given(tensor handle) {
    bool given = handle.__handle == loss.__handle;
    for (size_t i = 0; i < metric_count; i++) {
        given |= handle.__handle == metrics[i].values.__handle;
        given |= metrics[i].weights.is_some && handle.__handle == metrics[i].weights.val.__handle;
    }
    return given;
}

bool exports_swift_plugin_loss_compute(batch batch, outputs policy, outputs *reference,
                                       exports_swift_plugin_loss_report_t *report,
                                       exports_swift_plugin_loss_error_t *error) {
    begin_call();
    metric_count = 0;
    loss = compute(batch, policy, reference);
    drop_handles(has_failed() ? NULL : is_given);
    swift_plugin_batch_view_batch_drop_borrow(batch);
    swift_plugin_batch_view_outputs_drop_borrow(policy);
    if (reference) swift_plugin_batch_view_outputs_drop_borrow(*reference);
    end_call();
    if (has_failed()) {
        for (size_t i = 0; i < metric_count; i++) loss_plugin_string_free(&metrics[i].name);
        *error = tensor_failure();
        return false;
    }
    report->loss = loss;
    // The bindings free what they give to the host, and the list grows anew.
    report->metrics.ptr = metrics;
    report->metrics.len = metric_count;
    metrics = NULL;
    metric_room = 0;
    return true;
}

void exports_swift_plugin_loss_requires(requirements *wanted) { *wanted = PLUGIN.requirements; }

// Nothing is kept between calls.
void exports_swift_plugin_loss_save_state(text *state) { loss_plugin_string_dup(state, ""); }

bool exports_swift_plugin_loss_restore_state(text *state, text *error) {
    (void)error;
    loss_plugin_string_free(state);
    return true;
}
