// What takes more than one call of the bindings of a batch and of outputs.

#include "swift_kind.h"

#include "swift_handles.h"

uint64_t batch_sequence_count(batch from) {
    WORLD(list_u32_t) lengths;
    swift_plugin_batch_view_method_batch_sequence_lengths(from, &lengths);
    const uint64_t count = lengths.len;
    WORLD(list_u32_free)(&lengths);
    return count;
}

tensor batch_sum_by_sequence(batch from, tensor per_token) {
    return tensor_segment_sum(per_token, batch_segment_ids(from), batch_sequence_count(from));
}

bool batch_field(batch from, const char *name, tensor *found) {
    text word;
    WORLD(string_set)(&word, name);
    const bool is_there = swift_plugin_batch_view_method_batch_field(from, &word, found);
    if (is_there) keep(*found);
    return is_there;
}

bool batch_token_field(batch from, const char *name, tensor *found) {
    text word;
    WORLD(string_set)(&word, name);
    const bool is_there = swift_plugin_batch_view_method_batch_token_field(from, &word, found);
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
