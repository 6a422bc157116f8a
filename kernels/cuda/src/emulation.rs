//! Kernels on the CPU.

use std::ffi::{CString, c_char, c_int, c_uint, c_void};

use crate::{Arguments, Kernel};

/// Why a kernel was not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotEmulated {
    /// There is none of this name.
    Unknown(String),
    /// Its arguments are not what the kernel takes.
    Arguments(String),
}

impl std::fmt::Display for NotEmulated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "there is no kernel `{name}`"),
            Self::Arguments(name) => write!(f, "the kernel `{name}` takes other arguments"),
        }
    }
}

impl std::error::Error for NotEmulated {}

#[expect(unsafe_code, reason = "the emulator is written in the language of the kernels")]
unsafe extern "C" {
    fn swift_emulate(
        name: *const c_char,
        grid: *const c_uint,
        block: c_uint,
        shared: usize,
        arguments: *const c_void,
        size: usize,
    ) -> c_int;
}

/// Runs `kernel` for the element type `suffix` on a grid of blocks of `block` threads with `shared` bytes of memory each, and
/// returns when it is done.
///
/// # Errors
/// If there is no such kernel, or it takes other arguments.
///
/// # Safety
/// The addresses in `arguments` must be of memory of the size that the kernel reads or writes there.
#[expect(unsafe_code, reason = "kernels take addresses")]
pub unsafe fn emulate<A: Arguments>(
    kernel: Kernel<A>,
    suffix: &str,
    grid: [u32; 3],
    block: u32,
    shared: usize,
    arguments: &A,
) -> Result<(), NotEmulated> {
    let name = format!("{}_{suffix}", kernel.name);
    let Ok(terminated) = CString::new(name.as_str()) else { return Err(NotEmulated::Unknown(name)) };
    // SAFETY: the name ends with a zero, the grid has three numbers, and the structure is as large as is said; the caller
    // vouches for the addresses in it.
    let code = unsafe {
        swift_emulate(
            terminated.as_ptr(),
            grid.as_ptr(),
            block,
            shared,
            std::ptr::from_ref(arguments).cast(),
            size_of::<A>(),
        )
    };
    match code {
        0 => Ok(()),
        1 => Err(NotEmulated::Unknown(name)),
        _ => Err(NotEmulated::Arguments(name)),
    }
}
