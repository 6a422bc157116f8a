// What the contract asks of a metric.

#include "swift_metric.h"

#include <stdlib.h>

#include "swift_handles.h"

// Numbers of the call that goes on.
static metric_plugin_tuple2_string_f64_t *numbers;
static size_t number_count, number_room;

void give(const char *name, double number) {
    numbers = grown(numbers, number_count, &number_room, sizeof *numbers);
    metric_plugin_string_dup(&numbers[number_count].f0, name);
    numbers[number_count++].f1 = number;
}

bool exports_swift_plugin_metric_observe(batch batch, outputs policy, exports_swift_plugin_metric_error_t *error) {
    begin_call();
    observe(batch, policy);
    drop_handles(NULL);
    swift_plugin_batch_view_batch_drop_borrow(batch);
    swift_plugin_batch_view_outputs_drop_borrow(policy);
    end_call();
    if (has_failed()) *error = tensor_failure();
    return !has_failed();
}

bool exports_swift_plugin_metric_finish(metric_plugin_list_tuple2_string_f64_t *given,
                                        exports_swift_plugin_metric_error_t *error) {
    begin_call();
    number_count = 0;
    finish();
    drop_handles(NULL);
    end_call();
    if (has_failed()) {
        for (size_t i = 0; i < number_count; i++) metric_plugin_string_free(&numbers[i].f0);
        *error = tensor_failure();
        return false;
    }
    // The bindings free what they give to the host, and the list grows anew.
    given->ptr = numbers;
    given->len = number_count;
    numbers = NULL;
    number_room = 0;
    return true;
}
