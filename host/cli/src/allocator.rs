//! The allocator of the executable.

use std::ffi::{c_int, c_long};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Number of mimalloc's option `purge_delay`: milliseconds until freed memory goes back to the system.
const PURGE_DELAY: c_int = 15;
/// Longer than what lies between two uses of the same memory in a training step.
const DELAY: c_long = 10_000;

/// Keeps freed memory for a while. A training step frees and asks for the same hundreds of MiB many times, and each time
/// that the system hands out pages it clears them: a seventh of a step, with mimalloc's own delay of 10 ms. The peak stays
/// what it is. The environment variable `MIMALLOC_PURGE_DELAY` goes before this.
pub(crate) fn keep_freed_memory() {
    #[expect(unsafe_code, reason = "mimalloc's options are set by a C function")]
    // SAFETY: the signature is that of `mi_option_set_default` in `mimalloc.h`, with its `enum` as an `int`; the library is
    // linked, being the global allocator; it takes any number as an option's value, from any thread.
    unsafe {
        unsafe extern "C" {
            fn mi_option_set_default(option: c_int, value: c_long);
        }
        mi_option_set_default(PURGE_DELAY, DELAY);
    }
}
