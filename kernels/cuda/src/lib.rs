//! Fused operations for CUDA devices: the kernels of `kernels/*.cu`, their arguments, and an emulation of them.
//!
//! A kernel takes one structure by value. Its name ends with that of the element type, as `rope_bf16`. With the feature `device`
//! the kernels are in the executable as PTX ([`modules`]), compiled by nvcc when the executable was built: errors show then, and
//! the machine that runs it needs no headers of CUDA, which a compilation at first use would want. With the feature `emulation`
//! they are compiled by the C++ compiler and run on the CPU, threads of a block as coroutines ([`emulate`]), so that tests run
//! the same source on machines without a GPU.

mod arguments;
#[cfg(feature = "emulation")]
mod emulation;

pub use arguments::*;
#[cfg(feature = "emulation")]
pub use emulation::{NotEmulated, emulate};

/// The modules by their names, each with its PTX.
#[cfg(feature = "device")]
pub fn modules() -> &'static [(&'static str, &'static str)] {
    include!(concat!(env!("OUT_DIR"), "/modules.rs"))
}
