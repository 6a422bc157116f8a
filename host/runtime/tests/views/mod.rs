//! Views with fixed content, for all tests of this crate.

#![allow(dead_code, reason = "each test has use for some of them")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use swift_runtime::{AttentionOptions, BatchView, NnContext, OutputsView, RunView};
use swift_tensor::{DType, ParameterId, Result, Tensor, arange, from_list, full};

pub(crate) fn ones(shape: &[u64]) -> Tensor {
    full(1.0, shape, DType::F32).unwrap()
}

/// Three labelled tokens of weights 1, 1/2 and 0 in two sequences, in a window of six.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) step: u64,
}

impl BatchView for Batch {
    fn labels(&self) -> Tensor {
        arange(3).unwrap()
    }

    fn label_mask(&self) -> Tensor {
        ones(&[3])
    }

    fn loss_weights(&self) -> Tensor {
        from_list(&[1.0, 0.5, 0.0], &[3], DType::F32).unwrap()
    }

    fn segment_ids(&self) -> Tensor {
        from_list(&[0.0, 0.0, 1.0], &[3], DType::I64).unwrap()
    }

    fn sequence_lengths(&self) -> Vec<u32> {
        vec![2, 1]
    }

    fn group_lengths(&self) -> Vec<u32> {
        vec![2]
    }

    fn field(&self, name: &str) -> Option<Tensor> {
        (name == "margin").then(|| ones(&[1]))
    }

    fn global_token_count(&self) -> u64 {
        6
    }

    fn global_sequence_count(&self) -> u64 {
        4
    }

    fn global_row_count(&self) -> u64 {
        2
    }

    fn global_batch_count(&self) -> u64 {
        2
    }

    fn step(&self) -> u64 {
        self.step
    }

    fn training(&self) -> bool {
        true
    }
}

/// What computes the log-probabilities of [`Outputs`].
type Compute = Arc<dyn Fn() -> Result<Tensor> + Send + Sync>;

/// Log-probabilities -1, -2 and -3, which are trained, or what a function gives; counts how often they are asked for.
#[derive(Clone, Default)]
pub(crate) struct Outputs {
    pub(crate) compute: Option<Compute>,
    pub(crate) asked: Arc<AtomicUsize>,
}

impl OutputsView for Outputs {
    fn token_logps(&self) -> Result<Tensor> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match &self.compute {
            Some(compute) => compute(),
            None => {
                let logps = from_list(&[-1.0, -2.0, -3.0], &[3], DType::F32)?;
                Ok(Tensor::parameter(logps.value().clone(), ParameterId(0)))
            }
        }
    }

    fn predictions(&self) -> Result<Tensor> {
        arange(3)
    }

    fn entropies(&self) -> Result<Tensor> {
        Ok(ones(&[3]))
    }

    fn mean_logits(&self) -> Result<Tensor> {
        Ok(ones(&[3]))
    }

    fn logits(&self) -> Result<Tensor> {
        Ok(ones(&[3, 4]))
    }

    fn hidden(&self) -> Result<Tensor> {
        Ok(ones(&[3, 2]))
    }

    fn last_hidden(&self) -> Result<Tensor> {
        Ok(ones(&[2, 2]))
    }
}

/// A run with one parameter, `weight`, of ones.
pub(crate) struct Run;

impl RunView for Run {
    fn parameter_names(&self) -> Vec<String> {
        vec!["weight".into()]
    }

    fn parameter(&self, name: &str) -> Option<Tensor> {
        (name == "weight").then(|| ones(&[3]))
    }
}

/// Three tokens of width two. `linear` multiplies by two more than the parameter's index, `attention` by the scale; the rest
/// passes its input on.
pub(crate) struct Context;

impl NnContext for Context {
    fn token_count(&self) -> u64 {
        3
    }

    fn embedding(&self, _: u32) -> Result<Tensor> {
        Ok(ones(&[3, 2]))
    }

    fn linear(&self, weight: u32, _: Option<u32>, x: &Tensor) -> Result<Tensor> {
        x.scale(f64::from(weight) + 2.0)
    }

    fn rms_norm(&self, _: u32, x: &Tensor, _: f64) -> Result<Tensor> {
        Ok(x.clone())
    }

    fn rope(&self, _: u32, x: &Tensor) -> Result<Tensor> {
        Ok(x.clone())
    }

    fn attention(
        &self,
        _: u32,
        q: &Tensor,
        _: &Tensor,
        _: &Tensor,
        options: &AttentionOptions,
    ) -> Result<Tensor> {
        q.scale(options.scale)
    }

    fn swiglu(&self, gate: &Tensor, _: &Tensor) -> Result<Tensor> {
        Ok(gate.clone())
    }
}
