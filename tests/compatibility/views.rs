//! What the plugins see: six tokens in two sequences, with numbers that the formulas of the tests repeat.

use std::sync::Arc;

use swift_runtime::{AttentionOptions, BatchView, NnContext, OutputsView, RunView};
use swift_tensor::{DType, ParameterId, Result, Tensor, from_list};

use crate::frozen::{tensor, vector};

/// Log-probabilities of the labels.
pub(crate) const LOGPS: [f64; 6] = [-0.25, -1.0, 0.0, -2.5, -1.5, 0.0];
pub(crate) const WEIGHTS: [f64; 6] = [1.0, 0.5, 0.0, 2.0, 1.0, 0.0];
pub(crate) const LABELS: [f64; 6] = [3.0, 1.0, -100.0, 2.0, 0.0, -100.0];
pub(crate) const SEGMENTS: [usize; 6] = [0, 0, 0, 0, 1, 1];
/// Hidden states, `[tokens, 3]`.
pub(crate) const HIDDEN: [[f64; 3]; 6] = [
    [0.5, -1.0, 2.0],
    [1.5, 0.25, -0.75],
    [-2.0, 1.0, 0.0],
    [0.125, 3.0, -1.5],
    [-0.5, -0.25, 1.75],
    [2.5, -3.0, 0.75],
];

pub(crate) struct Batch;

impl BatchView for Batch {
    fn labels(&self) -> Tensor {
        from_list(&LABELS, &[6], DType::I64).unwrap()
    }
    fn label_mask(&self) -> Tensor {
        vector(&LABELS.map(|label| if label < 0.0 { 0.0 } else { 1.0 }))
    }
    fn loss_weights(&self) -> Tensor {
        vector(&WEIGHTS)
    }
    fn segment_ids(&self) -> Tensor {
        from_list(&SEGMENTS.map(|segment| segment as f64), &[6], DType::I64).unwrap()
    }
    fn sequence_lengths(&self) -> Vec<u32> {
        vec![4, 2]
    }
    fn group_lengths(&self) -> Vec<u32> {
        vec![2]
    }
    fn field(&self, name: &str) -> Option<Tensor> {
        (name == "margin").then(|| vector(&[0.75]))
    }
    fn token_field(&self, name: &str) -> Option<Tensor> {
        (name == "old_logps").then(|| vector(&[-1.0, -2.0, 0.0, -3.0, -4.0, 0.0]))
    }
    fn teacher(&self) -> Option<Arc<dyn OutputsView>> {
        Some(Arc::new(Outputs { shift: -0.5 }))
    }
    fn global_token_count(&self) -> u64 {
        8
    }
    fn global_sequence_count(&self) -> u64 {
        5
    }
    fn global_row_count(&self) -> u64 {
        3
    }
    fn global_batch_count(&self) -> u64 {
        2
    }
    fn step(&self) -> u64 {
        11
    }
    fn training(&self) -> bool {
        true
    }
}

/// A model whose log-probabilities are [`LOGPS`], shifted; a gradient by them is that of parameter 0.
pub(crate) struct Outputs {
    pub(crate) shift: f64,
}

impl OutputsView for Outputs {
    fn token_logps(&self) -> Result<Tensor> {
        let values = vector(&LOGPS.map(|logp| logp + self.shift));
        Ok(Tensor::parameter(values.value().clone(), ParameterId(0)))
    }
    fn predictions(&self) -> Result<Tensor> {
        from_list(&[3.0, 2.0, -1.0, 2.0, 1.0, -1.0], &[6], DType::I64)
    }
    fn entropies(&self) -> Result<Tensor> {
        Ok(vector(&[0.5, 0.25, 0.0, 1.5, 1.0, 0.0]))
    }
    fn mean_logits(&self) -> Result<Tensor> {
        Ok(vector(&[-0.5, 0.75, 0.0, 2.0, 1.25, 0.0]))
    }
    fn logits(&self) -> Result<Tensor> {
        Ok(tensor(&[2.0; 24], &[6, 4]))
    }
    fn vocab_size(&self) -> Result<u64> {
        Ok(4)
    }
    fn hidden(&self) -> Result<Tensor> {
        Ok(tensor(HIDDEN.as_flattened(), &[6, 3]))
    }
    fn last_hidden(&self) -> Result<Tensor> {
        Ok(tensor([HIDDEN[3], HIDDEN[5]].as_flattened(), &[2, 3]))
    }
    fn scores(&self) -> Result<Tensor> {
        Ok(tensor(&[0.5, -0.5], &[2, 1]))
    }
    fn token_scores(&self) -> Result<Tensor> {
        Ok(tensor(&[0.125; 6], &[6, 1]))
    }
}

/// A run that trains one parameter, whose norm is 5.
pub(crate) struct Trained;

impl RunView for Trained {
    fn parameter_names(&self) -> Vec<String> {
        vec!["weight".into()]
    }
    fn parameter(&self, name: &str) -> Option<Tensor> {
        (name == "weight").then(|| vector(&[3.0, 4.0]))
    }
}

/// Two tokens of width 4. Each function does something simple that a test can repeat, and says what it was given.
pub(crate) struct Context;

impl NnContext for Context {
    fn token_count(&self) -> u64 {
        2
    }
    fn embedding(&self, parameter: u32) -> Result<Tensor> {
        assert_eq!(parameter, 0);
        Ok(tensor(&[1.0, 2.0, 3.0, 4.0, -1.0, -2.0, -3.0, -4.0], &[2, 4]))
    }
    /// Times the index of the weight, plus that of the bias.
    fn linear(&self, weight: u32, bias: Option<u32>, x: &Tensor) -> Result<Tensor> {
        x.scale(weight.into())?.add_scalar(bias.map_or(0.0, f64::from))
    }
    /// Half.
    fn rms_norm(&self, weight: u32, x: &Tensor, epsilon: f64) -> Result<Tensor> {
        assert_eq!((weight, epsilon), (4, 1e-6));
        x.scale(0.5)
    }
    /// The negative.
    fn rope(&self, table: u32, x: &Tensor) -> Result<Tensor> {
        assert_eq!((table, x.dims()), (0, &[2, 2, 2][..]));
        x.neg()
    }
    /// `q + k + v` times the scale.
    fn attention(
        &self,
        layer: u32,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        options: &AttentionOptions,
    ) -> Result<Tensor> {
        let AttentionOptions { scale, window, soft_cap } = options;
        assert_eq!((layer, *window, *soft_cap), (0, Some(2), Some(30.0)));
        q.add(k)?.add(v)?.scale(*scale)
    }
    /// The product.
    fn swiglu(&self, gate: &Tensor, up: &Tensor) -> Result<Tensor> {
        gate.mul(up)
    }
}
