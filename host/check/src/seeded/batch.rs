//! A seeded batch.

use std::iter;
use std::sync::Arc;

use swift_runtime::{BatchView, Input, OutputsView};
use swift_tensor::{DType, Result, Tensor, from_list};

use super::columns::{Column, Computed};
use super::{Shape, VOCABULARY, numbers, seed_of, vector};

/// A batch of some shape, in which every floating-point number has the element type `dtype`.
pub(crate) struct Batch {
    shape: Arc<Shape>,
    input: Input,
    dtype: DType,
    step: u64,
    teacher: Option<Arc<dyn OutputsView>>,
    /// Made ahead, as the views of a batch can't fail.
    labels: Tensor,
    mask: Tensor,
    weights: Tensor,
    segments: Tensor,
}

impl Batch {
    /// `teacher` are the columns of the teacher's outputs, for losses that want one.
    pub(crate) fn new(
        shape: &Arc<Shape>,
        input: Input,
        dtype: DType,
        step: u64,
        teacher: Option<&Arc<Vec<Column>>>,
    ) -> Result<Self> {
        let mask = shape.mask();
        let labels = labels(shape)?;
        let weights: Vec<f64> = iter::zip(&mask, numbers(0.5, 1.5, shape.tokens(), 11)?)
            .map(|(mask, weight)| mask * weight)
            .collect();
        let segments = (0u32..).zip(&shape.lengths);
        let segments: Vec<f64> =
            segments.flat_map(|(segment, &length)| iter::repeat_n(segment.into(), length as usize)).collect();
        let computed = |columns| -> Result<Arc<dyn OutputsView>> {
            Ok(Arc::new(Computed::new(columns, shape, dtype, false)?))
        };
        Ok(Self {
            input,
            dtype,
            step,
            teacher: teacher.map(computed).transpose()?,
            labels: vector(&labels, DType::I64)?,
            mask: vector(&mask, dtype)?,
            weights: vector(&weights, dtype)?,
            segments: vector(&segments, DType::I64)?,
            shape: shape.clone(),
        })
    }

    /// A number for each row.
    fn column(&self, name: &str) -> Result<Vec<f64>> {
        let rows = self.shape.rows as u64;
        Ok(match (name, self.input) {
            ("positive_count", Input::Groups) => self.shape.positives.clone(),
            // Classes, and whether answers are wanted.
            ("label", _) => (0..rows).map(|row| f64::from(u8::from(row % 2 == 0))).collect(),
            _ => numbers(0.0, 1.0, rows, seed_of(name))?,
        })
    }
}

/// The token to predict at each position, or -100.
fn labels(shape: &Shape) -> Result<Vec<f64>> {
    let tokens = numbers(0.0, VOCABULARY as f64, shape.tokens(), 7)?;
    let labels = iter::zip(shape.mask(), tokens);
    Ok(labels.map(|(mask, token)| if mask > 0.0 { token.floor() } else { -100.0 }).collect())
}

impl BatchView for Batch {
    fn labels(&self) -> Tensor {
        self.labels.clone()
    }

    fn label_mask(&self) -> Tensor {
        self.mask.clone()
    }

    fn loss_weights(&self) -> Tensor {
        self.weights.clone()
    }

    fn segment_ids(&self) -> Tensor {
        self.segments.clone()
    }

    fn sequence_lengths(&self) -> Vec<u32> {
        self.shape.lengths.clone()
    }

    fn group_lengths(&self) -> Vec<u32> {
        self.shape.groups.clone()
    }

    /// The rows have every column that a loss asks for: what it is for is not known here.
    fn field(&self, name: &str) -> Option<Tensor> {
        vector(&self.column(name).ok()?, self.dtype).ok()
    }

    fn token_field(&self, name: &str) -> Option<Tensor> {
        if self.input != Input::Rollouts {
            return None;
        }
        // Log-probabilities are negative, and advantages of either sign.
        let (low, high) = if name.ends_with("logps") { (-3.0, -0.2) } else { (-1.0, 1.0) };
        let tokens = self.shape.tokens();
        let values = numbers(low, high, tokens, seed_of(name)).ok()?;
        from_list(&values, &[tokens], self.dtype).ok()?.mul(&self.mask).ok()
    }

    fn teacher(&self) -> Option<Arc<dyn OutputsView>> {
        self.teacher.clone()
    }

    fn global_token_count(&self) -> u64 {
        self.shape.mask().iter().sum::<f64>() as u64
    }

    fn global_sequence_count(&self) -> u64 {
        self.shape.sequences()
    }

    fn global_row_count(&self) -> u64 {
        self.shape.rows as u64
    }

    fn global_batch_count(&self) -> u64 {
        1
    }

    fn step(&self) -> u64 {
        self.step
    }

    fn training(&self) -> bool {
        true
    }
}
