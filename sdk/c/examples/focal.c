// Focal loss over tokens (Lin et al. 2017, "Focal Loss for Dense Object Detection", eq. 4).

#include "swift_loss.h"

static double gamma = 2.0;
static const double NONE = 0.0;

static const parameter PARAMETERS[] = {{
    .name = "gamma",
    .summary = "How much well-predicted tokens are held back; 0 is cross-entropy.",
    .default_value = "2.0",
    .number = &gamma,
    .minimum = &NONE,
}};

const plugin PLUGIN = {
    .name = "focal",
    .version = "0.1.0",
    .summary = "Focal loss over tokens (Lin et al. 2017).",
    .parameters = PARAMETERS,
    .parameter_count = 1,
};

// With `p` the probability of a label: `-(1 - p)^gamma log p`, the weighted mean over the labels of the window.
tensor compute(batch batch, outputs policy, const outputs *reference) {
    (void)reference;
    tensor logps = outputs_token_logps(policy);
    tensor distance = tensor_add_scalar(tensor_neg(tensor_exp(logps)), 1.0);
    // Where a label is certain, `(1 - p)^gamma` has no finite slope for a gamma below 1.
    tensor focus = tensor_pow(tensor_clamp(distance, 1e-12, 1.0), gamma);
    tensor losses = tensor_neg(tensor_mul(tensor_mul(focus, logps), batch_loss_weights(batch)));
    log_weighted_metric("focal/weight", focus, batch_label_mask(batch));
    return tensor_scale(tensor_sum(losses, ALL, false), 1.0 / (double)batch_global_token_count(batch));
}
