//! What a model is said to have computed for a batch.

use std::sync::Arc;

use swift_runtime::{OutputsView, no_score_head};
use swift_tensor::{DType, ParameterId, Result, Tensor, from_list};

use super::{HIDDEN, Shape, VOCABULARY, numbers, seed_of, vector};

/// One differentiable output. A loss may ask for several, and each is moved by itself, as if no other depended on it.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    /// As the method of the outputs.
    pub(crate) name: &'static str,
    pub(crate) shape: [u64; 2],
    pub(crate) values: Vec<f64>,
    /// The elements that count.
    pub(crate) elements: Vec<usize>,
}

impl Column {
    /// Name of its operation in a trace.
    pub(crate) fn operation(&self) -> String {
        format!("outputs.{}", self.name.replace('_', "-"))
    }
}

/// The columns of a model for batches of a shape; `model` tells models apart, and `outputs` is the width of the score
/// head, if there is one.
pub(crate) fn columns(shape: &Shape, outputs: Option<u64>, model: u64) -> Result<Arc<Vec<Column>>> {
    let (tokens, sequences) = (shape.tokens(), shape.sequences());
    let plain = [
        ("token_logps", tokens, 1),
        ("logits", tokens, VOCABULARY),
        ("hidden", tokens, HIDDEN),
        ("last_hidden", sequences, HIDDEN),
    ];
    let scored = outputs.map(|width| [("scores", sequences, width), ("token_scores", tokens, width)]);
    let all = plain.into_iter().chain(scored.into_iter().flatten());
    let columns = all.map(|(name, rows, width)| {
        let (low, high) = if name == "token_logps" { (-3.0, -0.2) } else { (-1.0, 1.0) };
        let mut values = numbers(low, high, rows * width, seed_of(name).wrapping_add(model))?;
        let mut elements: Vec<usize> = (0..values.len()).collect();
        if name == "token_logps" {
            let mask = shape.mask();
            values.iter_mut().zip(&mask).for_each(|(value, mask)| *value *= mask);
            elements.retain(|&element| mask.get(element).is_some_and(|mask| *mask > 0.0));
        }
        Ok(Column { name, shape: [rows, width], values, elements })
    });
    Ok(Arc::new(columns.collect::<Result<_>>()?))
}

/// Outputs with the values of columns. Of a trained model, column `i` is the parameter `i`.
pub(crate) struct Computed {
    columns: Arc<Vec<Column>>,
    dtype: DType,
    trained: bool,
    /// 1 where a label counts.
    mask: Tensor,
}

impl Computed {
    pub(crate) fn new(
        columns: &Arc<Vec<Column>>,
        shape: &Shape,
        dtype: DType,
        trained: bool,
    ) -> Result<Self> {
        Ok(Self { columns: columns.clone(), dtype, trained, mask: vector(&shape.mask(), dtype)? })
    }

    fn find(&self, name: &'static str) -> Result<(u32, &Column)> {
        let mut numbered = (0..).zip(self.columns.iter());
        numbered.find(|(_, column)| column.name == name).ok_or_else(|| no_score_head(name))
    }

    fn tensor(&self, name: &'static str, shape: &[u64]) -> Result<Tensor> {
        let (number, column) = self.find(name)?;
        let tensor = from_list(&column.values, shape, self.dtype)?;
        Ok(match self.trained {
            true => Tensor::parameter(tensor.value().clone(), parameter(number)),
            false => tensor,
        })
    }

    fn matrix(&self, name: &'static str) -> Result<Tensor> {
        self.tensor(name, &self.find(name)?.1.shape)
    }

    /// A number at each labelled position and 0 elsewhere, not differentiable.
    fn statistic(&self, low: f64, high: f64, seed: u64) -> Result<Tensor> {
        let count = self.mask.elem_count() as u64;
        vector(&numbers(low, high, count, seed)?, self.dtype)?.mul(&self.mask)
    }
}

/// The parameter that column `number` is.
pub(crate) fn parameter(number: u32) -> ParameterId {
    ParameterId(number)
}

impl OutputsView for Computed {
    fn token_logps(&self) -> Result<Tensor> {
        self.tensor("token_logps", &[self.mask.elem_count() as u64])
    }

    fn predictions(&self) -> Result<Tensor> {
        let best = self.matrix("logits")?.detach().argmax(-1, false)?;
        let none = from_list(&[-1.0], &[1], DType::I64)?.broadcast_to(&[self.mask.elem_count() as u64])?;
        self.mask.cast(DType::U8)?.choose(&best, &none)
    }

    fn entropies(&self) -> Result<Tensor> {
        self.statistic(0.1, 1.9, 5)
    }

    fn mean_logits(&self) -> Result<Tensor> {
        self.statistic(-1.0, 1.0, 6)
    }

    fn logits(&self) -> Result<Tensor> {
        self.matrix("logits")
    }

    fn vocab_size(&self) -> Result<u64> {
        Ok(VOCABULARY)
    }

    fn hidden(&self) -> Result<Tensor> {
        self.matrix("hidden")
    }

    fn last_hidden(&self) -> Result<Tensor> {
        self.matrix("last_hidden")
    }

    fn scores(&self) -> Result<Tensor> {
        self.matrix("scores")
    }

    fn token_scores(&self) -> Result<Tensor> {
        self.matrix("token_scores")
    }
}
