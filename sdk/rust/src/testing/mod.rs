//! A host for unit tests: `cargo test` runs a plugin natively, on the host's own tensors.
//!
//! Floating-point values are `float64`, so that formulas can be compared with numbers made by hand and gradients with
//! finite differences.
//!
//! ```
//! use swift_plugin::prelude::*;
//! use swift_plugin::testing::{ModelOutputs, PackedBatch, check_gradient, evaluate};
//!
//! parameters! {
//!     /// Mean squared log-probability.
//!     pub struct Squared {}
//! }
//!
//! impl Loss for Squared {
//!     fn compute(&self, batch: &Batch, policy: &Outputs, _: Option<&Outputs>) -> Result<Report> {
//!         Ok(Report::new(policy.token_logps()?.pow(2.0).sum_all() / batch.global_token_count()))
//!     }
//! }
//!
//! let batch = PackedBatch::new(&[3]); // the last of three positions has no label
//! let policy = ModelOutputs::new(&[-1.0, -3.0, 0.0]);
//! assert_eq!(evaluate(&Squared {}, &batch, &policy, None).unwrap().loss, 5.0);
//! check_gradient(&Squared {}, &batch, &policy, None).unwrap();
//! ```

mod batch;
mod evaluate;
mod measure;
mod network;
mod outputs;
mod run;

use crate::{Dataset, Outcome, Value, bail};

pub(crate) use batch::BatchView;
pub use batch::PackedBatch;
pub use evaluate::{Evaluation, check_gradient, evaluate};
pub use measure::measure;
pub(crate) use network::NetworkContext;
pub use network::{AddedLoss, Tokens, forward, forward_to_learn};
pub use outputs::ModelOutputs;
pub(crate) use outputs::OutputTensors;
pub use run::{Parameters, tell};

/// What a dataset adapter makes of a row.
///
/// # Errors
/// If `row` is not a JSON object.
pub fn convert(dataset: &impl Dataset, row: Value) -> crate::Result<Outcome> {
    let Value::Object(row) = row else { bail!("a row is a JSON object") };
    Ok(crate::dataset::outcome(dataset, &row))
}
