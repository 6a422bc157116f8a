//! What plugins do, one file for each kind.

pub(crate) mod callback;
pub(crate) mod dataset;
pub(crate) mod loss;
pub(crate) mod model;
