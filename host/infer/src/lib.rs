//! Generation: many requests at once over one model.
//!
//! An [`Engine`] takes [`Request`]s and goes on in steps. Keys and values of tokens lie in a cache of fixed blocks (Kwon et
//! al. 2023, "PagedAttention"), so that memory is handed out as answers grow and sequences with the same beginning share
//! it. Each step is one batch of all that runs ([`Backend`] computes it): one token for each answer, and parts of prompts
//! that are being read. When blocks run out, the youngest sequences give theirs back and are computed again later, with
//! the same result.
//!
//! The engine knows token ids; with a tokeniser it also gives out text, and [`Grammars`] can force its form. A [`Worker`] runs it on a thread of its own.

mod answer;
mod backend;
mod beams;
mod blocks;
mod engine;
mod error;
mod generation_config;
mod grammar;
mod graphs;
mod output;
mod request;
mod sampling;
mod schedule;
mod sequence;
mod text;
mod worker;

pub use backend::{Backend, ModelBackend, Pooling, Step};
pub use beams::{BeamOptions, EarlyStopping};
pub use engine::{Engine, EngineOptions, Statistics};
pub use error::{Error, Result};
pub use generation_config::GenerationConfig;
pub use grammar::{Constraint, Grammar, GrammarLimits, Grammars};
pub use graphs::GraphStatistics;
pub use output::{Finish, Output, RequestId, Stop, TokenLogprobs};
pub use request::{MOST_CHOICES, MOST_LOGPROBS, Request, SamplingOptions, StopOptions};
pub use sampling::{LogitsProcessor, Progress, Sampler};
pub use worker::Worker;
