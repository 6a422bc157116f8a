//! What is known of published models before anything of them is downloaded: where they are, how they are wired, which chat
//! template they were trained with.
//!
//! All of it is data: `data/families` has a TOML file for each family, which the executable embeds, and no name of a model
//! is in the code. A model that is not listed is no worse for it: its own `config.json` and its own chat template say what it
//! is.

mod error;
mod file;
mod filter;
mod model;
mod name;
mod registry;

pub use error::{Error, Result};
pub use filter::Filter;
pub use model::Model;
pub use registry::Registry;
