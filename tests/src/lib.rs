//! What the end-to-end tests share: running the executable, reading what a run left, and comparing it.
//!
//! The executable is built before: `cargo xtask test` does so.

mod authority;
mod executable;
mod golden;
mod guide;
mod run_folder;
mod server;
mod shown;

pub use authority::Authority;
pub use executable::{Outcome, executable, plugin, swift_host};
pub use golden::{golden, read_json, read_json_lines};
pub use guide::{Guide, Timed, built, workplace};
pub use run_folder::{Run, Weights, last_checkpoint, read_weights};
pub use server::{Reply, Server};
