//! The projects to begin with, in Rust: each compiles, and its own tests are run here.

#![allow(missing_docs, dead_code, unreachable_pub, reason = "these are files of other projects")]

#[path = "../templates/rust/callback.rs"]
mod callback;
#[path = "../templates/rust/dataset.rs"]
mod dataset;
#[path = "../templates/rust/loss.rs"]
mod loss;
#[path = "../templates/rust/loss-scale.rs"]
mod loss_scale;
#[path = "../templates/rust/metric.rs"]
mod metric;
#[path = "../templates/rust/model.rs"]
mod model;
#[path = "../templates/rust/optimizer.rs"]
mod optimizer;
#[path = "../templates/rust/reward.rs"]
mod reward;
#[path = "../templates/rust/sampler.rs"]
mod sampler;
#[path = "../templates/rust/schedule.rs"]
mod schedule;
#[path = "../templates/rust/template.rs"]
mod template;
#[path = "../templates/rust/tool-parser.rs"]
mod tool_parser;
