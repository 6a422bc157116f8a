//! The interfaces that plugins import, implemented on the store's state.

mod batch;
mod log;
mod nn;
mod tensor;
