// Reads hyper-parameters.
#ifndef SWIFT_PARAMETERS_H
#define SWIFT_PARAMETERS_H

#include <stddef.h>

// Sets the variables of `PLUGIN.parameters` from a JSON object of `length` bytes, whose names and types the host has checked.
// Gives what is wrong with a value, in words that last until the next call, or null.
const char *set_parameters(const char *json, size_t length);

#endif
