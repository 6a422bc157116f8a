// What the bindings need of a C library, for a WebAssembly module without one. `src/memory.c` has it.
#ifndef SWIFT_STRING_H
#define SWIFT_STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *first, const void *second, size_t size);
size_t strlen(const char *text);

#endif
