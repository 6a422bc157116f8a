// What kinds that work on tensors end their calls with. The header of the kind is included before.
#ifndef SWIFT_HANDLES_H
#define SWIFT_HANDLES_H

// Drops all handles of the call but those that are given to the host; `is_given` is null if none are.
void drop_handles(bool is_given(tensor handle));
// The failure of the call as the contract has it.
swift_plugin_tensor_error_t tensor_failure(void);

#endif
