// Describe what your metric measures.

#include "swift_metric.h"

const plugin PLUGIN = {
    .name = "plugin-name",
    .version = "0.1.0",
    .summary = "Share of the labels that the model thinks most likely.",
};

// Sums over the batches so far.
static double hits = 0.0, labels = 0.0;

void observe(batch batch, outputs policy) {
    tensor mask = batch_label_mask(batch);
    tensor is_hit = tensor_eq(outputs_predictions(policy), batch_labels(batch));
    tensor counted = tensor_mul(tensor_cast(is_hit, SWIFT_PLUGIN_TENSOR_DTYPE_FLOAT32), mask);
    hits += tensor_item(tensor_sum(counted, ALL, false));
    labels += tensor_item(tensor_sum(mask, ALL, false));
}

void finish(void) {
    give("accuracy", hits / labels);
    hits = labels = 0.0;
}
