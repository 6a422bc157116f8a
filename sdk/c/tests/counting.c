// A metric, for the tests of the bridge to the host.

#include "swift_metric.h"

static bool fails = false;

static const parameter PARAMETERS[] = {
    {.name = "fails", .summary = "Whether shapes don't fit.", .default_value = "false", .boolean = &fails},
};

const plugin PLUGIN = {
    .name = "counting",
    .version = "0.1.0",
    .summary = "The sum of all log-probabilities, and the number of batches.",
    .parameters = PARAMETERS,
    .parameter_count = 1,
};

static double seen = 0.0, batches = 0.0;

void observe(batch batch, outputs policy) {
    tensor logps = outputs_token_logps(policy);
    if (fails) logps = tensor_add(logps, tensor_full(1.0, shape(2), SWIFT_PLUGIN_TENSOR_DTYPE_FLOAT32));
    seen += tensor_item(tensor_sum(tensor_mul(logps, batch_label_mask(batch)), ALL, false));
    batches += 1.0;
}

void finish(void) {
    if (batches == 0.0) fail("there are no batches");
    give("seen", seen);
    give("batches", batches);
    seen = batches = 0.0;
}
