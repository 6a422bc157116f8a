// What takes more than one call of the bindings.

#include "swift_plugin.h"

typedef bool join(swift_plugin_tensor_list_borrow_tensor_t *tensors, int32_t dim, tensor *made,
                  swift_plugin_tensor_error_t *error);

static tensor joined(join *function, const tensor *tensors, size_t count, int32_t dim) {
    tensor made = {0};
    if (has_failed()) return made;
    swift_plugin_tensor_borrow_tensor_t borrowed[count ? count : 1];
    for (size_t i = 0; i < count; i++) borrowed[i] = BORROWED(tensors[i]);
    swift_plugin_tensor_list_borrow_tensor_t list = {borrowed, count};
    swift_plugin_tensor_error_t error;
    if (function(&list, dim, &made, &error)) return keep(made);
    take_error(error);
    return made;
}

tensor tensor_cat(const tensor *tensors, size_t count, int32_t dim) {
    return joined(swift_plugin_tensor_cat, tensors, count, dim);
}

tensor tensor_stack(const tensor *tensors, size_t count, int32_t dim) {
    return joined(swift_plugin_tensor_stack, tensors, count, dim);
}

double tensor_item(tensor a) {
    loss_plugin_list_f64_t elements;
    swift_plugin_tensor_error_t error;
    if (has_failed()) return 0.0;
    if (!swift_plugin_tensor_method_tensor_to_list(BORROWED(a), &elements, &error)) {
        take_error(error);
        return 0.0;
    }
    const double first = elements.len == 1 ? elements.ptr[0] : 0.0;
    if (elements.len != 1) fail("a tensor that has not one element is no number");
    loss_plugin_list_f64_free(&elements);
    return first;
}

uint64_t batch_sequence_count(batch from) {
    loss_plugin_list_u32_t lengths;
    swift_plugin_batch_view_method_batch_sequence_lengths(from, &lengths);
    const uint64_t count = lengths.len;
    loss_plugin_list_u32_free(&lengths);
    return count;
}

tensor batch_sum_by_sequence(batch from, tensor per_token) {
    return tensor_segment_sum(per_token, batch_segment_ids(from), batch_sequence_count(from));
}

bool batch_field(batch from, const char *name, tensor *found) {
    loss_plugin_string_t text;
    loss_plugin_string_set(&text, name);
    const bool is_there = swift_plugin_batch_view_method_batch_field(from, &text, found);
    if (is_there) keep(*found);
    return is_there;
}

bool batch_token_field(batch from, const char *name, tensor *found) {
    loss_plugin_string_t text;
    loss_plugin_string_set(&text, name);
    const bool is_there = swift_plugin_batch_view_method_batch_token_field(from, &text, found);
    if (is_there) keep(*found);
    return is_there;
}

uint64_t outputs_vocab_size(outputs from) {
    uint64_t size = 0;
    swift_plugin_tensor_error_t error;
    if (has_failed()) return 0;
    if (!swift_plugin_batch_view_method_outputs_vocab_size(from, &size, &error)) take_error(error);
    return size;
}
