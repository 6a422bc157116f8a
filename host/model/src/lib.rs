//! Weights, adapters and stage-driven models.
//!
//! A [`Model`] is a [`Definition`] (a model plugin, as a rule), which says how the model is wired, plus what the definition
//! never sees: weights out of a Hugging Face folder, and maybe an adapter on its linear layers. [`Model::forward`] drives
//! the definition stage by stage. Since the host drives, one definition gives training of everything or of an adapter, a
//! reference model (the same weights with the adapter turned off) and recomputation.
//!
//! A definition asks for operations on parameters by their index: "linear layer 12 of this". The context that answers is
//! where adapters are hidden. Hidden states go to [`Outputs`], which computes what a loss asks for and nothing else; the
//! logits of a whole batch need never exist.
//!
//! On disk everything is as transformers and PEFT have it, read and written: `config.json` and safetensors in one file or
//! many, `adapter_config.json` and `adapter_model.safetensors`. Files are written beside and renamed.

mod adapter;
mod batch;
mod config;
mod context;
mod definition;
mod error;
mod generation;
mod merge;
mod microscaled;
mod model;
mod network;
mod outputs;
mod parameter;
mod pattern;
mod projected;
mod quantised;
mod random;
mod repeated;
mod save;
mod score_head;
mod segment;
mod weights;
mod write;

pub use adapter::AdapterOptions;
pub use batch::Tokens;
pub use config::ModelConfig;
pub use definition::{Definition, find_model_plugin};
pub use error::{Error, Result};
pub use generation::{Continuation, ServedAdapter};
pub use merge::{MergeOptions, Merged, merge_adapter};
pub use model::{ForwardOptions, LoadOptions, Model};
pub use outputs::Outputs;
pub use parameter::TrainableParameter;
pub use quantised::Quantisation;
pub use repeated::RepeatedStep;
pub use swift_runtime::AddedLoss;
pub use weights::weight_files;
pub use write::write_tensors;
