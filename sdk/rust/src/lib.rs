#![doc = include_str!("../README.md")]

mod backend;
#[allow(
    missing_docs,
    unreachable_pub,
    unsafe_code,
    unused,
    clippy::all,
    clippy::restriction,
    reason = "generated"
)]
#[doc(hidden)]
pub mod bindings;
mod callback;
pub mod conversation;
mod dataset;
mod errors;
#[doc(hidden)]
pub mod export;
pub mod log;
mod loss;
mod model;
mod operators;
#[doc(hidden)]
pub mod parameters;
mod settings;
mod tensor;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use serde_json::Value;

pub use callback::{Action, Callback, Event, RunState};
pub use dataset::{Dataset, Message, Outcome, Row, Sample};
pub use errors::{Error, ErrorKind, Result};
pub use loss::{Batch, Input, Loss, Outputs, Report, Requirements};
pub use model::{
    Architecture, AttentionOptions, Context, Head, Linear, Model, ModelParameter, ParameterTable, Role,
    RotaryTable,
};
pub use parameters::{Parameter, ParameterType, ParameterValue, Parameters};
pub use settings::Settings;
pub use tensor::{Dtype, Operand, Tensor};

/// Everything that a plugin is likely to need: `use swift_plugin::prelude::*;`.
pub mod prelude {
    pub use crate::{
        Action, Architecture, AttentionOptions, Batch, Callback, Context, Dataset, Dtype, Error, Event, Head,
        Input, Linear, Loss, Message, Model, ModelParameter, Outcome, Outputs, ParameterTable, Parameters,
        Report, Requirements, Result, Role, RotaryTable, Row, RunState, Sample, Settings, Tensor, Value,
    };
    pub use crate::{bail, debug, error, export, info, parameters, trace, warn};
}
