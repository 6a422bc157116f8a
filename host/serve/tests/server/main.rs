//! A server in this process with golden models and the standard model plugin.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may stop at the first surprise; helpers outside of test functions are not recognised"
)]

#[cfg(test)]
mod answers;
#[cfg(test)]
mod forms;
#[cfg(test)]
#[allow(dead_code, reason = "the runtime's tests use more of it")]
#[path = "../../../runtime/tests/all/support/guest.rs"]
mod guest;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod samplers;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tools;
