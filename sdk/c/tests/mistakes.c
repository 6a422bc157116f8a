// A loss that goes wrong as it is asked to, for the tests of the bridge to the host.

#include "swift_loss.h"

static double mode = 0.0;
static bool halves = false;

static const parameter PARAMETERS[] = {
    {.name = "mode", .summary = "How it goes wrong.", .default_value = "0", .number = &mode},
    {.name = "halves", .summary = "Whether the loss is halved.", .default_value = "false", .boolean = &halves},
};

const plugin PLUGIN = {
    .name = "mistakes",
    .version = "1.2.3",
    .summary = "Goes wrong.",
    .parameters = PARAMETERS,
    .parameter_count = 2,
    .requirements = {.input = EXPORTS_SWIFT_PLUGIN_LOSS_INPUT_GROUPS,
                     .trained_parts = EXPORTS_SWIFT_PLUGIN_LOSS_TRAINED_PARTS_LAST_ROUND,
                     .reference = true,
                     .score_head = {.is_some = true, .val = 3}},
};

tensor compute(batch batch, outputs policy, const outputs *reference) {
    const dtype float32 = SWIFT_PLUGIN_TENSOR_DTYPE_FLOAT32;
    tensor logps = outputs_token_logps(policy), column;
    if (mode == 1) logps = tensor_add(logps, tensor_full(1.0, shape(2), float32));
    if (mode == 2) fail("this is not to be had");
    if (mode == 3) logps = outputs_token_logps(batch_teacher(batch));
    if (mode == 4) tensor_item(logps);
    if (batch_field(batch, "no_such_column", &column) || batch_token_field(batch, "advantages", &column)) fail("there is a column");
    if (!reference || !batch_training(batch)) fail("something is missing");
    const tensor both[] = {logps, tensor_neg(logps)};
    log_metric("joined", tensor_cat(both, 2, 0));
    log_metric("stacked", tensor_sum(tensor_stack(both, 2, 1), dims(1), false));
    log_metric("sums", batch_sum_by_sequence(batch, logps));
    log_metric("large", tensor_gt(logps, tensor_full(-1.5, SCALAR, float32)));
    log_metric("vocab", tensor_full((double)outputs_vocab_size(policy), SCALAR, float32));
    log_metric("drawn", tensor_clamp(tensor_uniform(2.0, 3.0, shape(2), float32), 0.0, 2.0));
    const double sum = tensor_item(tensor_sum(logps, ALL, false));
    log_weighted_metric("number", tensor_full(sum, shape(3), float32), batch_label_mask(batch));
    return tensor_scale(tensor_mean(logps, ALL, false), halves ? 0.5 : 1.0);
}
