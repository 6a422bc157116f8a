//! From rows of text to packed batches of tokens.
//!
//! The way of the data:
//!
//! 1. A [`DatasetSpec`] names a file of JSON objects, comma-separated values or plain text. An [`Adapter`] (a dataset plugin) turns its rows into [`Sample`]s:
//!    conversations, for preference rows two.
//! 2. A [`Template`] renders a conversation and tokenises it with the model's [`Tokenizer`], giving token ids and labels. A
//!    template is a plugin's, or the model's own chat template.
//! 3. [`Dataset::load`] does both for whole files, in parallel, and keeps the result as a memory-mapped cache. What became of
//!    the rows is in its [`Report`]: nothing is left out in silence.
//! 4. A [`BatchPlan`] says which examples come when; [`PackedBatch::collate`] lays them end to end.
//!
//! Nothing here depends on the number of threads, and nothing on chance but through seeds.

mod adapter;
mod batch;
mod cache;
mod dataset;
mod digest;
mod encode;
mod error;
mod example;
mod formats;
mod plan;
mod questions;
mod reading;
mod report;
mod rows;
mod shuffle;
mod source;
mod template;
mod tokenizer;
mod truncate;
mod vocabulary;

pub use adapter::Adapter;
pub use batch::{Arrangement, Column, PackedBatch, add_mismatches};
pub use dataset::{Dataset, LoadOptions, RowShape};
pub use error::{AdapterFailure, Error, Result};
pub use plan::{BatchPlan, Packing, PackingStrategy, PlanOptions, Window};
pub use questions::{Question, Questions};
pub use report::{Dropped, DroppedRow, Lengths, Report, SourceReport};
pub use rows::{Encoded, Example, Field, IGNORED, Message, Outcome, Prompt, Sample};
pub use source::DatasetSpec;
pub use template::{
    Draft, Finisher, PieceContent, RenderOptions, Rendered, RenderedPiece, Renderer, RowColumns, Template,
    TemplateOptions, TrainedParts, Unfit, Weigher,
};
pub use tokenizer::Tokenizer;
pub use truncate::Truncation;
pub use vocabulary::TokenText;
