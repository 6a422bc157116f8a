//! The runtime with plugins written as WebAssembly text, most of them hostile.

mod crashes;
mod files;
mod handles;
mod kinds;
mod limits;
mod sandbox;
mod support;
