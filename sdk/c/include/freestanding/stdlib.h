// What the bindings need of a C library, for a WebAssembly module without one. `src/memory.c` has it.
#ifndef SWIFT_STDLIB_H
#define SWIFT_STDLIB_H

#include <stddef.h>

void *malloc(size_t size);
void *realloc(void *memory, size_t size);
void free(void *memory);
_Noreturn void abort(void);

#endif
