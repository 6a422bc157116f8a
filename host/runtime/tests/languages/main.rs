//! What the host makes of plugins of every kind in other languages. The plugins do the same in each, so one table says what
//! differs. `SWIFT_SDK_LANGUAGE` names the language, and `SWIFT_SDK_PLUGINS` the folder of its components, which
//! `cargo xtask python` and `cargo xtask javascript` make of the files in `tests/plugins` of an SDK.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may stop at the first surprise; helpers outside of test functions are not recognised"
)]

mod language;
#[path = "../sdk/plugins.rs"]
mod plugins;
mod texts;
mod training;
#[path = "../views/mod.rs"]
mod views;
