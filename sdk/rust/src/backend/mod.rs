//! Who computes: the host through the contract, or, everywhere but in the sandbox, the host's tensor crate directly.
//! Both sides offer the same names.

#[cfg(not(target_family = "wasm"))]
mod native;
#[cfg(target_family = "wasm")]
mod wasm;

#[cfg(not(target_family = "wasm"))]
pub(crate) use native::*;
#[cfg(target_family = "wasm")]
pub(crate) use wasm::*;
