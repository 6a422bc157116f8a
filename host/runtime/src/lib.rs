//! Loads and runs plugins.
//!
//! A plugin is a WebAssembly component that exports an interface of the contract in `wit/`. [`Registry`] finds it by name
//! or path, [`Plugin`] is the compiled and described component, and [`LossPlugin`], [`ModelPlugin`], [`CallbackPlugin`]
//! and [`DatasetPlugin`] are its running forms. Each has a store of its own: a trap in one leaves the others and the host
//! whole, and the next call starts it anew.
//!
//! Tensors stay on the host. A plugin holds handles, valid for the call that made them: when a call ends, every handle that
//! it did not return is released, whatever the plugin's language does about dropping. WASI is linked and grants nothing.

mod architecture;
mod arguments;
mod bindings;
mod engine;
mod error;
mod host;
mod instance;
mod kinds;
mod limits;
mod nearest;
mod plugin;
mod registry;
mod state;
mod stderr;
mod views;

pub use architecture::{Architecture, Head, Parameter, Role, RotaryTable};
pub use engine::{Engine, EngineOptions};
pub use error::{Error, Result};
pub use kinds::Kind;
pub use kinds::callback::{Action, CallbackPlugin, Event, RunState};
pub use kinds::dataset::{DatasetPlugin, Message, Outcome, Sample};
pub use kinds::loss::{Input, LossPlugin, LossReport, Metric, Requirements};
pub use kinds::model::ModelPlugin;
pub use limits::Limits;
pub use plugin::{Info, Origin, ParameterInfo, ParameterType, Plugin};
pub use registry::Registry;
pub use swift_tensor::fused::AttentionOptions;
pub use views::{BatchView, NnContext, OutputsView};
