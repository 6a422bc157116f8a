// Describe what your loss does, and name the paper that its formula is from.

#include "swift_loss.h"

static double scale = 1.0;

static const parameter PARAMETERS[] = {{
    .name = "scale",
    .summary = "Factor on the loss.",
    .default_value = "1.0",
    .number = &scale,
}};

const plugin PLUGIN = {
    .name = "plugin-name",
    .version = "0.1.0",
    .summary = "Cross entropy of the labelled tokens, scaled.",
    .parameters = PARAMETERS,
    .parameter_count = 1,
};

// `-scale * sum(weight * log p) / labels in the accumulation window`: a micro-batch gives its share of the whole.
tensor compute(batch batch, outputs policy, const outputs *reference) {
    (void)reference;
    tensor logps = outputs_token_logps(policy);
    tensor total = tensor_sum(tensor_mul(logps, batch_loss_weights(batch)), ALL, false);
    log_weighted_metric("mean_logp", logps, batch_label_mask(batch));
    return tensor_scale(total, -scale / (double)batch_global_token_count(batch));
}
