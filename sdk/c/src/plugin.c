// What the contract asks of a loss, over what the plugin defines.

#include "swift_plugin.h"

#include <stdlib.h>
#include <string.h>

#include "swift_parameters.h"

// Handles and metrics of the call that goes on. They grow to what a call of the plugin needs, and stay.
static tensor *kept;
static size_t kept_count, kept_room;
static exports_swift_plugin_loss_metric_t *metrics;
static size_t metric_count, metric_room;

// The teacher's outputs, once they were asked for.
static swift_plugin_batch_view_own_outputs_t teacher;
static bool has_teacher;

static bool failed;
static swift_plugin_tensor_error_t failure;

// The list with room for one element more.
static void *grown(void *list, size_t count, size_t *room, size_t size) {
    if (count < *room) return list;
    *room = *room ? *room * 2 : 32;
    void *larger = realloc(list, *room * size);
    if (!larger) abort();
    return larger;
}

tensor keep(tensor made) {
    kept = grown(kept, kept_count, &kept_room, sizeof(tensor));
    return kept[kept_count++] = made;
}

bool has_failed(void) { return failed; }

void take_error(swift_plugin_tensor_error_t error) {
    failed = true;
    failure = error;
}

void fail(const char *message) {
    if (failed) return;
    swift_plugin_tensor_error_t error = {.tag = SWIFT_PLUGIN_TENSOR_ERROR_OTHER};
    loss_plugin_string_dup(&error.val.other, message);
    take_error(error);
}

void log_line(swift_plugin_log_level_t level, const char *message) {
    loss_plugin_string_t text;
    loss_plugin_string_set(&text, message);
    swift_plugin_log_write(level, &text);
}

outputs batch_teacher(batch from) {
    if (!has_teacher) has_teacher = swift_plugin_batch_view_method_batch_teacher(from, &teacher);
    if (has_teacher) return swift_plugin_batch_view_borrow_outputs(teacher);
    fail("the outputs of the teacher model are missing");
    return (outputs){0};
}

// What is logged needs no gradient, and the report takes a handle of its own.
static tensor observed(tensor values) {
    tensor detached = tensor_detach(values);
    const dtype type = failed ? SWIFT_PLUGIN_TENSOR_DTYPE_FLOAT32 : swift_plugin_tensor_method_tensor_dtype(BORROWED(detached));
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
static bool is_given(tensor handle, tensor loss) {
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
    failed = false;
    kept_count = metric_count = 0;
    tensor loss = compute(batch, policy, reference);
    for (size_t i = 0; i < kept_count; i++)
        if (failed || !is_given(kept[i], loss)) swift_plugin_tensor_tensor_drop_own(kept[i]);
    if (has_teacher) swift_plugin_batch_view_outputs_drop_own(teacher);
    has_teacher = false;
    swift_plugin_batch_view_batch_drop_borrow(batch);
    swift_plugin_batch_view_outputs_drop_borrow(policy);
    if (reference) swift_plugin_batch_view_outputs_drop_borrow(*reference);
    if (failed) {
        for (size_t i = 0; i < metric_count; i++) loss_plugin_string_free(&metrics[i].name);
        *error = failure;
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
void exports_swift_plugin_loss_save_state(loss_plugin_string_t *state) { loss_plugin_string_dup(state, ""); }

bool exports_swift_plugin_loss_restore_state(loss_plugin_string_t *state, loss_plugin_string_t *error) {
    (void)error;
    loss_plugin_string_free(state);
    return true;
}

void exports_swift_plugin_meta_describe(exports_swift_plugin_meta_info_t *info) {
    loss_plugin_string_dup(&info->name, PLUGIN.name);
    loss_plugin_string_dup(&info->version, PLUGIN.version);
    loss_plugin_string_dup(&info->summary, PLUGIN.summary);
    info->parameters.len = PLUGIN.parameter_count;
    info->parameters.ptr = malloc(PLUGIN.parameter_count * sizeof *info->parameters.ptr);
    if (!info->parameters.ptr) abort();
    for (size_t i = 0; i < PLUGIN.parameter_count; i++) {
        const parameter *from = &PLUGIN.parameters[i];
        exports_swift_plugin_meta_parameter_t *to = &info->parameters.ptr[i];
        loss_plugin_string_dup(&to->name, from->name);
        loss_plugin_string_dup(&to->summary, from->summary);
        loss_plugin_string_dup(&to->default_json, from->default_value);
        to->type = from->number ? EXPORTS_SWIFT_PLUGIN_META_PARAMETER_TYPE_NUMBER
                                : EXPORTS_SWIFT_PLUGIN_META_PARAMETER_TYPE_BOOLEAN;
    }
}

bool exports_swift_plugin_meta_configure(loss_plugin_string_t *json, loss_plugin_string_t *error) {
    const char *mistake = set_parameters((const char *)json->ptr, json->len);
    loss_plugin_string_free(json);
    if (mistake) loss_plugin_string_dup(error, mistake);
    return !mistake;
}
