use std::sync::{Arc, Mutex, PoisonError};

use swift_runtime::{OutputsView, no_score_head};
use swift_tensor::fused::{TokenStatistics, token_statistics};
use swift_tensor::{Tensor, Value, current_device, read_back};

use crate::network::Network;
use crate::{Error, Model, Result};

/// Marks a position without a label.
const NO_LABEL: i64 = -100;

/// What a model computed for a batch, as a loss sees it. Nothing is computed before it is asked for, and nothing twice.
///
/// Whatever is asked for first inside `swift_tensor::no_grad` stays without a gradient.
pub struct Outputs {
    network: Arc<Network>,
    hidden: Tensor,
    labels: Vec<i64>,
    /// What logits are divided by.
    temperature: f64,
    /// Sequence by sequence, the position of its last token.
    last_positions: Vec<i64>,
    statistics: Mutex<Option<TokenStatistics>>,
    logits: Mutex<Option<Tensor>>,
}

impl Outputs {
    /// Outputs for `hidden` `[tokens, hidden_size]`, which [`Model::forward`] gave, and `labels` `[tokens]`: the token to
    /// predict at each position, or -100. `lengths` are those of the sequences.
    ///
    /// # Errors
    /// If there is not one label for each position, or a label is not in the vocabulary.
    pub fn new(model: &Model, hidden: Tensor, labels: &[i64], lengths: &[u32]) -> Result<Self> {
        if hidden.dims().first() != Some(&labels.len()) {
            return Err(Error::Batch(format!(
                "has {} labels for hidden states {:?}",
                labels.len(),
                hidden.dims()
            )));
        }
        let vocabulary = model.architecture().vocab_size as i64;
        if let Some(label) =
            labels.iter().find(|label| **label != NO_LABEL && !(0..vocabulary).contains(label))
        {
            return Err(Error::Batch(format!(
                "has the label {label}, but the model's vocabulary has {vocabulary} tokens"
            )));
        }
        let (statistics, logits) = (Mutex::new(None), Mutex::new(None));
        let ends = lengths.iter().scan(0, |end, &length| {
            *end += i64::from(length);
            Some(*end)
        });
        let last_positions = ends.map(|end| end - 1).collect();
        let (network, labels) = (model.network().clone(), labels.to_vec());
        Ok(Self { network, hidden, labels, temperature: 1.0, last_positions, statistics, logits })
    }

    /// The outputs of a model whose logits are divided by `temperature`: what tokens were chosen by that were sampled with it.
    #[must_use]
    pub fn at_temperature(self, temperature: f64) -> Self {
        Self { temperature, ..self }
    }

    /// Hidden states, and bias of the output projection, divided by the temperature.
    fn cooled(
        &self,
        hidden: &Tensor,
        bias: Option<Tensor>,
    ) -> swift_tensor::Result<(Tensor, Option<Tensor>)> {
        if self.temperature == 1.0 {
            return Ok((hidden.clone(), bias));
        }
        let cool = |tensor: &Tensor| tensor.scale(1.0 / self.temperature);
        Ok((cool(hidden)?, bias.as_ref().map(cool).transpose()?))
    }

    /// The statistics at all positions.
    fn statistics(&self) -> swift_tensor::Result<TokenStatistics> {
        let mut cached = self.statistics.lock().unwrap_or_else(PoisonError::into_inner);
        match &*cached {
            Some(statistics) => Ok(statistics.clone()),
            None => Ok(cached.insert(self.compute_statistics()?).clone()),
        }
    }

    /// Computes them at the labelled positions only, which are a small part where prompts are long.
    fn compute_statistics(&self) -> swift_tensor::Result<TokenStatistics> {
        let labelled = self.labels.iter().zip(0i64..).filter(|(label, _)| **label != NO_LABEL);
        let (labels, positions): (Vec<i64>, Vec<i64>) = labelled.unzip();
        let tokens = self.labels.len() as u64;
        let mut predictions = vec![-1; self.labels.len()];
        let (weight, bias) = self.network.head()?;
        // `cap tanh(z / cap) / T` is the cap `cap / T` on `z / T`.
        let soft_cap = self.network.architecture.head.soft_cap.map(|cap| cap / self.temperature);
        let (hidden, bias) = self.cooled(&self.hidden, bias)?;
        let rows = hidden.index_select(0, &list(positions.clone())?)?;
        let packed = token_statistics(&rows, &weight, bias.as_ref(), soft_cap, &list(labels)?)?;
        let predicted = read_back::<i64>(packed.predictions.value())?;
        for (position, token) in positions.iter().zip(predicted) {
            if let Some(place) = predictions.get_mut(*position as usize) {
                *place = token;
            }
        }
        let positions = list(positions)?;
        let spread = |packed: &Tensor| packed.segment_sum(&positions, tokens);
        Ok(TokenStatistics {
            token_logps: spread(&packed.token_logps)?,
            predictions: list(predictions)?,
            entropies: spread(&packed.entropies)?,
            mean_logits: spread(&packed.mean_logits)?,
        })
    }
}

/// A column of whole numbers.
fn list(values: Vec<i64>) -> swift_tensor::Result<Tensor> {
    let count = values.len();
    Ok(Tensor::constant(Value::from_vec(values, count, &current_device())?))
}

impl Outputs {
    fn score(&self, op: &'static str, hidden: &Tensor) -> swift_tensor::Result<Tensor> {
        match &self.network.score_head {
            Some(head) => head.forward(hidden),
            None => Err(no_score_head(op)),
        }
    }
}

impl OutputsView for Outputs {
    fn token_logps(&self) -> swift_tensor::Result<Tensor> {
        Ok(self.statistics()?.token_logps)
    }

    fn predictions(&self) -> swift_tensor::Result<Tensor> {
        Ok(self.statistics()?.predictions)
    }

    fn entropies(&self) -> swift_tensor::Result<Tensor> {
        Ok(self.statistics()?.entropies)
    }

    fn mean_logits(&self) -> swift_tensor::Result<Tensor> {
        Ok(self.statistics()?.mean_logits)
    }

    fn logits(&self) -> swift_tensor::Result<Tensor> {
        let mut cached = self.logits.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(logits) = &*cached {
            return Ok(logits.clone());
        }
        let logits = self.network.logits(&self.hidden)?;
        let cooled = if self.temperature == 1.0 { logits } else { logits.scale(1.0 / self.temperature)? };
        Ok(cached.insert(cooled).clone())
    }

    fn vocab_size(&self) -> swift_tensor::Result<u64> {
        Ok(self.network.architecture.vocab_size)
    }

    fn hidden(&self) -> swift_tensor::Result<Tensor> {
        Ok(self.hidden.clone())
    }

    fn last_hidden(&self) -> swift_tensor::Result<Tensor> {
        self.hidden.index_select(0, &list(self.last_positions.clone())?)
    }

    fn scores(&self) -> swift_tensor::Result<Tensor> {
        self.score("scores", &self.last_hidden()?)
    }

    fn token_scores(&self) -> swift_tensor::Result<Tensor> {
        self.score("token_scores", &self.hidden)
    }
}
