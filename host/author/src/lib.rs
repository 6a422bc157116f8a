//! What authors of plugins need: a project to begin with ([`create`]), and a component made from it ([`build`]).
//!
//! Each language is a row of a table in [`Language`]. The projects that it begins with lie in `templates/`, as files that
//! compile and pass their own tests; `PluginName`, `plugin_name` and `plugin-name` in them stand for the name.

mod build;
mod c;
mod component;
mod create;
mod error;
mod language;
mod toolchain;

pub use build::build;
pub use component::{component, write};
pub use create::{Project, create};
pub use error::{Error, Result};
pub use language::Language;
pub use toolchain::{TARGET, Toolchain};
