// Memory for a module without a C library. Blocks are powers of two, and a freed one is kept for the next of its size:
// little code, no search, and a plugin asks for the same few sizes at every step.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// A block begins with its size class; the class keeps what follows aligned for every type.
typedef union block {
    unsigned size_class;
    union block *next;
    max_align_t alignment;
} block;

enum { PAGE = 1 << 16, SMALLEST = 5, CLASSES = 31 };

static block *unused[CLASSES];
extern unsigned char __heap_base;
static uintptr_t top;

static unsigned size_class(size_t size) {
    unsigned found = SMALLEST;
    while (found < CLASSES && ((size_t)1 << found) - sizeof(block) < size) found++;
    return found;
}

static void *from_the_top(size_t size) {
    const size_t mask = sizeof(block) - 1;
    if (top == 0) top = ((uintptr_t)&__heap_base + mask) & ~mask;
    const size_t pages = __builtin_wasm_memory_size(0);
    if (size > SIZE_MAX - top) return NULL;
    const size_t end = top + size, missing = end > pages * PAGE ? (end - pages * PAGE + PAGE - 1) / PAGE : 0;
    if (missing && __builtin_wasm_memory_grow(0, missing) == SIZE_MAX) return NULL;
    void *found = (void *)top;
    top = end;
    return found;
}

void *malloc(size_t size) {
    const unsigned wanted = size_class(size);
    if (wanted == CLASSES) return NULL;
    block *found = unused[wanted];
    if (found) {
        unused[wanted] = found->next;
    } else {
        found = from_the_top((size_t)1 << wanted);
        if (!found) return NULL;
    }
    found->size_class = wanted;
    return found + 1;
}

void free(void *memory) {
    if (!memory) return;
    block *freed = (block *)memory - 1;
    const unsigned its = freed->size_class;
    freed->next = unused[its];
    unused[its] = freed;
}

void *realloc(void *memory, size_t size) {
    if (!memory) return malloc(size);
    const size_t had = ((size_t)1 << ((block *)memory - 1)->size_class) - sizeof(block);
    if (size <= had) return memory;
    void *larger = malloc(size);
    if (!larger) return NULL;
    memcpy(larger, memory, had);
    free(memory);
    return larger;
}

_Noreturn void abort(void) { __builtin_trap(); }

void *memcpy(void *restrict to, const void *restrict from, size_t size) {
    unsigned char *target = to;
    const unsigned char *source = from;
    for (size_t i = 0; i < size; i++) target[i] = source[i];
    return to;
}

void *memset(void *to, int byte, size_t size) {
    unsigned char *target = to;
    for (size_t i = 0; i < size; i++) target[i] = (unsigned char)byte;
    return to;
}

int memcmp(const void *first, const void *second, size_t size) {
    const unsigned char *a = first, *b = second;
    for (size_t i = 0; i < size; i++)
        if (a[i] != b[i]) return a[i] - b[i];
    return 0;
}

size_t strlen(const char *text) {
    size_t length = 0;
    while (text[length]) length++;
    return length;
}
