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
mod choice;
pub mod conversation;
mod dataset;
pub mod decoder;
mod errors;
#[doc(hidden)]
pub mod export;
mod groups;
pub mod log;
mod loss;
mod metric;
pub mod mixture;
mod model;
mod operators;
mod optimizer;
#[doc(hidden)]
pub mod parameters;
mod reward;
mod sampler;
mod schedule;
mod settings;
mod template;
mod tensor;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod tool_parser;

pub use serde_json::Value;

pub use callback::{Action, Callback, Event, Run, RunState};
pub use choice::choose;
pub use dataset::{Dataset, Message, Outcome, Row, Sample};
pub use errors::{Error, ErrorKind, Result};
pub use groups::Group;
pub use loss::{Batch, Input, Loss, Outputs, Report, Requirements, TrainedParts};
pub use metric::Metric;
pub use model::{
    Architecture, AttentionOptions, Context, Grouped, Head, Linear, LongerSequences, Model, ModelParameter,
    ParameterTable, Role, RotaryTable, Stack,
};
pub use optimizer::{OptimizedParameter, Optimizer, Slot, Step, Update};
pub use parameters::{Parameter, ParameterType, ParameterValue, Parameters};
pub use reward::{Completion, Reward};
pub use sampler::{Generation, Sampler};
pub use schedule::Schedule;
pub use settings::Settings;
pub use template::{Answer, Call, Content, LossScale, Piece, RenderOptions, Rendered, Template, Training};
pub use tensor::{Dtype, Operand, Tensor};
pub use tool_parser::ToolParser;

/// Everything that a plugin is likely to need: `use swift_plugin::prelude::*;`.
pub mod prelude {
    pub use crate::{
        Action, Answer, Architecture, AttentionOptions, Batch, Call, Callback, Completion, Content, Context,
        Dataset, Dtype, Error, Event, Generation, Group, Grouped, Head, Input, Linear, LongerSequences, Loss,
        LossScale, Message, Metric, Model, ModelParameter, OptimizedParameter, Optimizer, Outcome, Outputs,
        ParameterTable, Parameters, Piece, RenderOptions, Rendered, Report, Requirements, Result, Reward,
        Role, RotaryTable, Row, Run, RunState, Sample, Sampler, Schedule, Settings, Slot, Stack, Step,
        Template, Tensor, ToolParser, TrainedParts, Training, Update, Value,
    };
    pub use crate::{bail, choose, debug, error, export, info, parameters, trace, warn};
}
