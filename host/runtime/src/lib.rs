//! Loads and runs plugins.
//!
//! A plugin is a WebAssembly component that exports interfaces of the contract (`wit/`). An [`Engine`] compiles it, a
//! [`Registry`] finds it by name or path, and a [`Plugin`] says what it is. It is put to work as one of its kinds:
//! [`LossPlugin`], [`ModelPlugin`], [`CallbackPlugin`] or [`DatasetPlugin`].
//!
//! ```text
//! Engine ─ Registry ── resolve ──> Plugin ── loss / model / callback / dataset ──> ...Plugin ── one store each
//!                                  compiled, checked, described                    calls, each with a scope
//! ```
//!
//! **What a plugin sees** are handles to tensors of [`swift_tensor`] and the views of a call: [`BatchView`] and
//! [`OutputsView`] for a loss, [`NnContext`] for a model. At the end of a call all handles are released, whether or not
//! the plugin dropped them.
//!
//! **What a plugin can't do.** It has no files, no network, no environment and no way to sleep; WASI is there because
//! languages' runtimes import it, and offers what was granted ([`Grants`]), by default nothing. What it takes is limited ([`Limits`]). Each plugin at work has a
//! store of its own: when it crashes or is stopped, the call gives an [`Error`] that names it, no other plugin notices,
//! and the next call starts it anew with the same hyper-parameters.
//!
//! **Watching.** A [`Trace`] is told of each operation that plugins ask for, with shapes and time.
//!
//! **Threads.** A plugin at work can be sent to another thread, and runs on the thread that calls it. While a loss is
//! computed it may ask for outputs, which run the model's plugin: calls nest across plugins, and nothing is locked.

mod architecture;
mod arguments;
mod bindings;
mod contract;
mod engine;
mod error;
mod exports;
mod functions;
mod grants;
mod guest;
mod held;
mod host;
mod instance;
mod kind;
mod kinds;
mod limits;
mod nearest;
mod plugin;
mod random;
mod registry;
mod scope;
mod store;
mod trace;
mod views;
mod waiting;
mod wasi;

pub use architecture::{Architecture, Head, Parameter, Role, RotaryTable, Stack};
pub use arguments::{Info, ParameterInfo, ParameterType};
pub use engine::{Engine, EngineOptions};
pub use error::{Error, Result};
pub use grants::{Access, Denial, GrantedDirectory, Grants, Want};
pub use held::HeldConstants;
pub use kind::Kind;
pub use kinds::callback::{Action, CallbackPlugin, Event, RunState};
pub use kinds::dataset::{DatasetPlugin, Message, Outcome, Sample};
pub use kinds::loss::{Input, LossPlugin, LossReport, Metric, Requirements, TrainedParts};
pub use kinds::loss_scale::LossScalePlugin;
pub use kinds::metric::MetricPlugin;
pub use kinds::model::ModelPlugin;
pub use kinds::optimizer::{OptimizedParameter, OptimizerPlugin, OptimizerSlot};
pub use kinds::reward::{Completion, RewardPlugin};
pub use kinds::sampler::{Adjusted, Generation, SamplerPlugin};
pub use kinds::schedule::SchedulePlugin;
pub use kinds::template::{
    Piece, PieceContent, ReadAnswer, ReadCall, RenderOptions, Rendered, RenderedTraining, TemplatePlugin,
};
pub use kinds::tool_parser::{ParsedAnswer, ParsedCall, ToolParserPlugin};
pub use limits::{Breach, Limits};
pub use plugin::{Origin, Plugin};
pub use registry::{Registry, Standard};
pub use store::Usage;
pub use swift_tensor::fused::{AttentionOptions, LongerSequences};
pub use trace::{Operation, TensorType, Trace};
pub use views::{AddedLoss, BatchView, NnContext, OutputsView, RunView, no_score_head};
