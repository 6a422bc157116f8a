//! Plugins at work, a file for each kind.

pub(crate) mod callback;
pub(crate) mod dataset;
pub(crate) mod loss;
pub(crate) mod loss_scale;
pub(crate) mod metric;
pub(crate) mod model;
pub(crate) mod optimizer;
pub(crate) mod reward;
pub(crate) mod sampler;
pub(crate) mod schedule;
pub(crate) mod template;
pub(crate) mod tool_parser;
