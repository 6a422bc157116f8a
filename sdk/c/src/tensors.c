// Handles of the call that goes on, and what takes more than one call of the bindings.

#include "swift_kind.h"

#include <stdlib.h>

#include "swift_handles.h"

// They grow to what a call of the plugin needs, and stay.
static tensor *kept;
static size_t kept_count, kept_room;

// The teacher's outputs, once they were asked for.
static swift_plugin_batch_view_own_outputs_t teacher;
static bool has_teacher;

tensor keep(tensor made) {
    kept = grown(kept, kept_count, &kept_room, sizeof(tensor));
    return kept[kept_count++] = made;
}

void drop_handles(bool is_given(tensor handle)) {
    for (size_t i = 0; i < kept_count; i++)
        if (!is_given || !is_given(kept[i])) swift_plugin_tensor_tensor_drop_own(kept[i]);
    kept_count = 0;
    if (has_teacher) swift_plugin_batch_view_outputs_drop_own(teacher);
    has_teacher = false;
}

void take_error(swift_plugin_tensor_error_t error) {
    // Every case has a text in the same place.
    FAILURE = (failure){true, true, error.tag, error.val.other};
}

swift_plugin_tensor_error_t tensor_failure(void) {
    swift_plugin_tensor_error_t error = {.tag = SWIFT_PLUGIN_TENSOR_ERROR_OTHER};
    if (FAILURE.is_of_the_host) error.tag = FAILURE.kind;
    error.val.other = FAILURE.words;
    return error;
}

outputs batch_teacher(batch from) {
    if (!has_teacher) has_teacher = swift_plugin_batch_view_method_batch_teacher(from, &teacher);
    if (has_teacher) return swift_plugin_batch_view_borrow_outputs(teacher);
    fail("the outputs of the teacher model are missing");
    return (outputs){0};
}

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
    WORLD(list_f64_t) elements;
    swift_plugin_tensor_error_t error;
    if (has_failed()) return 0.0;
    if (!swift_plugin_tensor_method_tensor_to_list(BORROWED(a), &elements, &error)) {
        take_error(error);
        return 0.0;
    }
    const double first = elements.len == 1 ? elements.ptr[0] : 0.0;
    if (elements.len != 1) fail("a tensor that has not one element is no number");
    WORLD(list_f64_free)(&elements);
    return first;
}
