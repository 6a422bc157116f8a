use swift_tensor::ParameterId;

use super::PackedBatch;
use crate::backend::Handle;
use crate::{Dtype, Result, Tensor, bail};

/// What a model is supposed to have computed, with the numbers that a test gives it.
///
/// The default has none. Where there are [`logits`](Self::logits) but no log-probabilities, those, the predictions and
/// the mean logits follow from the logits, and so do their gradients.
#[derive(Clone, Debug, Default)]
pub struct ModelOutputs {
    pub(crate) columns: Vec<Column>,
    vocab_size: Option<u64>,
}

/// One of the contract's outputs.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) values: Vec<f64>,
    dtype: Dtype,
    pub(crate) differentiable: bool,
    /// Stands where no label counts.
    unlabelled: Option<f64>,
    /// Whether there is a row for each sequence, not for each token.
    by_sequence: bool,
}

impl Column {
    /// Sets the positions where no label counts, if the column has a value for them.
    pub(crate) fn fill_unlabelled(&self, values: &mut [f64], batch: &PackedBatch, fill: f64) {
        if self.unlabelled.is_some() {
            for (value, _) in values.iter_mut().zip(batch.mask()).filter(|(_, counts)| *counts == 0.0) {
                *value = fill;
            }
        }
    }
}

impl ModelOutputs {
    /// The log-probability of each position's label. What is given where no label counts becomes 0.
    pub fn new(token_logps: &[f64]) -> Self {
        let mut outputs = Self::default();
        outputs.add("token_logps", token_logps, Dtype::Float64, true, Some(0.0));
        outputs
    }

    /// Log-probabilities between -2 and 0 for every label of a batch, the same for the same seed.
    pub fn random(batch: &PackedBatch, seed: u64) -> Self {
        // Knuth's 64-bit linear congruential generator.
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        next();
        let token_logps: Vec<f64> = (0..batch.token_count()).map(|_| -2.0 * next()).collect();
        Self::new(&token_logps)
    }

    /// The most likely token at each position.
    pub fn predictions(mut self, predictions: &[i64]) -> Self {
        let predictions: Vec<f64> = predictions.iter().map(|&token| token as f64).collect();
        self.add("predictions", &predictions, Dtype::Int64, false, Some(-1.0));
        self
    }

    /// The entropy of the prediction at each position, in nats.
    pub fn entropies(mut self, entropies: &[f64]) -> Self {
        self.add("entropies", entropies, Dtype::Float64, false, Some(0.0));
        self
    }

    /// The mean over the vocabulary of the logits at each position.
    pub fn mean_logits(mut self, mean_logits: &[f64]) -> Self {
        self.add("mean_logits", mean_logits, Dtype::Float64, false, Some(0.0));
        self
    }

    /// All logits, position by position.
    pub fn logits(mut self, logits: &[f64]) -> Self {
        self.add("logits", logits, Dtype::Float64, true, None);
        self
    }

    /// Number of logits at each position; by default that of the logits.
    pub fn vocab_size(mut self, size: u64) -> Self {
        self.vocab_size = Some(size);
        self
    }

    /// The last hidden states, position by position.
    pub fn hidden(mut self, hidden: &[f64]) -> Self {
        self.add("hidden", hidden, Dtype::Float64, true, None);
        self
    }

    /// The hidden state of each sequence's last token, sequence by sequence.
    pub fn last_hidden(mut self, hidden: &[f64]) -> Self {
        self.add("last_hidden", hidden, Dtype::Float64, true, None);
        self.by_sequence()
    }

    /// The score head's outputs, sequence by sequence.
    pub fn scores(mut self, scores: &[f64]) -> Self {
        self.add("scores", scores, Dtype::Float64, true, None);
        self.by_sequence()
    }

    /// The score head's outputs, position by position.
    pub fn token_scores(mut self, scores: &[f64]) -> Self {
        self.add("token_scores", scores, Dtype::Float64, true, None);
        self
    }

    fn by_sequence(mut self) -> Self {
        if let Some(column) = self.columns.last_mut() {
            column.by_sequence = true;
        }
        self
    }

    fn add(
        &mut self,
        name: &'static str,
        values: &[f64],
        dtype: Dtype,
        differentiable: bool,
        unlabelled: Option<f64>,
    ) {
        let values = values.to_vec();
        self.columns.push(Column { name, values, dtype, differentiable, unlabelled, by_sequence: false });
    }

    /// The tensors. If they are to be trained, the number of a column is the id of its parameter.
    pub(crate) fn tensors(&self, batch: &PackedBatch, trained: bool) -> Result<OutputTensors> {
        let column = |(id, column): (u32, &Column)| {
            let (rows, what) = match column.by_sequence {
                true => (batch.sequence_count() as u64, "sequences"),
                false => (batch.token_count() as u64, "tokens"),
            };
            let mut values = column.values.clone();
            let Some(width) = (values.len() as u64).checked_div(rows) else {
                bail!("the batch has no {what}")
            };
            if width * rows != values.len() as u64 {
                bail!("`{}` has {} values for {rows} {what}", column.name, values.len());
            }
            column.fill_unlabelled(&mut values, batch, column.unlabelled.unwrap_or_default());
            let shape = if column.unlabelled.is_some() { vec![rows] } else { vec![rows, width] };
            let tensor = Tensor::from_list(&values, &shape, column.dtype);
            let handle = tensor.handle()?;
            let handle = match trained && column.differentiable {
                true => Handle::parameter(handle.value().clone(), ParameterId(id)),
                false => handle.clone(),
            };
            Ok((column.name, handle))
        };
        let mut columns: Vec<_> = (0..).zip(&self.columns).map(column).collect::<Result<_>>()?;
        if let [("logits", logits)] = columns.as_slice() {
            let derived = from_logits(&Tensor::new(logits.clone()), batch);
            for (name, tensor) in derived {
                columns.push((name, tensor.handle()?.clone()));
            }
        }
        Ok(OutputTensors { columns, vocab_size: self.vocab_size })
    }
}

/// What follows from all logits, `[tokens, vocab]`: a value for each token.
fn from_logits(logits: &Tensor, batch: &PackedBatch) -> [(&'static str, Tensor); 3] {
    let list = |values: &[f64], dtype| Tensor::from_list(values, &[values.len() as u64], dtype);
    let mask = list(&batch.mask(), Dtype::Float64);
    let labels = list(&batch.known_labels(), Dtype::Int64).reshape(&[-1, 1]);
    let predictions = logits.argmax(-1, false).cast(Dtype::Float64);
    [
        ("token_logps", logits.log_softmax(-1).gather(-1, &labels).reshape(&[-1]) * &mask),
        ("predictions", ((predictions + 1.0) * &mask - 1.0).cast(Dtype::Int64)),
        ("mean_logits", (logits.detach().mean(&[-1], false) * mask)),
    ]
}

/// The contract's `outputs`.
#[derive(Default)]
pub(crate) struct OutputTensors {
    columns: Vec<(&'static str, Handle)>,
    vocab_size: Option<u64>,
}

macro_rules! outputs {
    ($($name:ident)*) => {
        impl OutputTensors {$(
            pub(crate) fn $name(&self) -> Result<Handle, swift_tensor::Error> {
                self.get(stringify!($name))
            }
        )*}
    };
}
outputs!(token_logps predictions entropies mean_logits logits hidden last_hidden scores token_scores);

impl OutputTensors {
    pub(crate) fn vocab_size(&self) -> Result<u64, swift_tensor::Error> {
        let of_logits = || Ok(self.logits()?.dims().last().map_or(0, |&size| size as u64));
        self.vocab_size.map_or_else(of_logits, Ok)
    }

    fn get(&self, name: &str) -> Result<Handle, swift_tensor::Error> {
        let found = self.columns.iter().find(|column| column.0 == name);
        let missing = || swift_tensor::Error::Other(format!("the test gives no `{name}`"));
        found.map(|column| column.1.clone()).ok_or_else(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_test_does_not_give_follows_from_the_logits() {
        let batch = PackedBatch::new(&[2]).labels(&[1, -100]);
        let logits = ModelOutputs::default().logits(&[0.0, 3f64.ln(), 7.0, 9.0]);
        let outputs = logits.tensors(&batch, true).unwrap();
        let list =
            |handle: Result<Handle, swift_tensor::Error>| Tensor::new(handle.unwrap()).to_list().unwrap();
        let logps = list(outputs.token_logps());
        assert!((logps[0] - 0.75f64.ln()).abs() < 1e-15 && logps[1] == 0.0, "{logps:?}");
        assert_eq!(list(outputs.predictions()), [1.0, -1.0]);
        assert_eq!(list(outputs.mean_logits()), [3f64.ln() / 2.0, 0.0]);
        assert_eq!(outputs.vocab_size().unwrap(), 2);
        assert!(outputs.entropies().is_err());
    }

    #[test]
    fn outputs_that_are_not_given_are_named() {
        let outputs = ModelOutputs::default().tensors(&PackedBatch::new(&[2]), false).unwrap();
        assert!(outputs.token_logps().unwrap_err().to_string().contains("the test gives no `token_logps`"));
        assert!(outputs.vocab_size().is_err());
    }
}
