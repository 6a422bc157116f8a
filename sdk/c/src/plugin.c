// What the contract asks of every plugin, over what the plugin defines.

#include "swift_kind.h"

#include <stdlib.h>
#include <string.h>

#include "swift_parameters.h"

failure FAILURE;

// Memory of the call that goes on, block after block.
typedef struct block {
    struct block *next;
    max_align_t content[];
} block;

static block *blocks;

void *lasting(size_t size) {
    block *made = malloc(sizeof(block) + size);
    if (!made) abort();
    made->next = blocks;
    blocks = made;
    return made->content;
}

void *grown(void *list, size_t count, size_t *room, size_t size) {
    if (count < *room) return list;
    *room = *room ? *room * 2 : 32;
    void *larger = realloc(list, *room * size);
    if (!larger) abort();
    return larger;
}

void begin_call(void) { FAILURE = (failure){0}; }

void end_call(void) {
    while (blocks) {
        block *freed = blocks;
        blocks = freed->next;
        free(freed);
    }
}

bool has_failed(void) { return FAILURE.is_there; }

void fail(const char *message) {
    if (FAILURE.is_there) return;
    FAILURE.is_there = true;
    WORLD(string_dup)(&FAILURE.words, message);
}

void log_line(swift_plugin_log_level_t level, const char *message) {
    WORLD(string_t) line;
    WORLD(string_set)(&line, message);
    swift_plugin_log_write(level, &line);
}

void exports_swift_plugin_meta_describe(exports_swift_plugin_meta_info_t *info) {
    WORLD(string_dup)(&info->name, PLUGIN.name);
    WORLD(string_dup)(&info->version, PLUGIN.version);
    WORLD(string_dup)(&info->summary, PLUGIN.summary);
    info->parameters.len = PLUGIN.parameter_count;
    info->parameters.ptr = malloc(PLUGIN.parameter_count * sizeof *info->parameters.ptr);
    if (!info->parameters.ptr) abort();
    for (size_t i = 0; i < PLUGIN.parameter_count; i++) {
        const parameter *from = &PLUGIN.parameters[i];
        exports_swift_plugin_meta_parameter_t *to = &info->parameters.ptr[i];
        WORLD(string_dup)(&to->name, from->name);
        WORLD(string_dup)(&to->summary, from->summary);
        WORLD(string_dup)(&to->default_json, from->default_value);
        to->type = from->number ? EXPORTS_SWIFT_PLUGIN_META_PARAMETER_TYPE_NUMBER
                                : EXPORTS_SWIFT_PLUGIN_META_PARAMETER_TYPE_BOOLEAN;
    }
}

bool exports_swift_plugin_meta_configure(text *json, text *error) {
    const char *mistake = set_parameters((const char *)json->ptr, json->len);
    WORLD(string_free)(json);
    if (mistake) WORLD(string_dup)(error, mistake);
    return !mistake;
}
