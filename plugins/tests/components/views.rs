//! A golden case, as the host shows it to a loss.

use std::iter;
use std::sync::Arc;

use swift_runtime::{BatchView, Input, OutputsView};
use swift_tensor::{DType, Error, ParameterId, Result, Tensor, from_list};

use crate::golden::{Case, Columns};

/// A case with the element type that its numbers have, and the loss's kind of rows.
#[derive(Clone)]
pub(crate) struct View {
    pub(crate) case: Arc<Case>,
    pub(crate) dtype: DType,
    pub(crate) input: Input,
}

impl View {
    /// What the policy computed; the gradient by the output that the case has one of comes as that of parameter 0.
    pub(crate) fn policy(&self) -> Arc<dyn OutputsView> {
        self.outputs(&self.case.policy, true)
    }

    pub(crate) fn reference(&self) -> Option<Arc<dyn OutputsView>> {
        self.case.reference.as_ref().map(|columns| self.outputs(columns, false))
    }

    fn outputs(&self, columns: &Columns, trained: bool) -> Arc<dyn OutputsView> {
        Arc::new(Outputs { view: self.clone(), columns: columns.clone(), trained })
    }

    fn tensor(&self, values: &[f64], shape: &[u64]) -> Tensor {
        from_list(values, shape, self.dtype).unwrap()
    }

    fn per_token(&self, values: &[f64]) -> Tensor {
        self.tensor(values, &[values.len() as u64])
    }

    fn int64(values: impl Iterator<Item = f64>) -> Tensor {
        let values: Vec<f64> = values.collect();
        from_list(&values, &[values.len() as u64], DType::I64).unwrap()
    }

    fn mask(&self) -> Vec<f64> {
        self.case.labels.iter().map(|label| if *label == -100 { 0.0 } else { 1.0 }).collect()
    }
}

impl BatchView for View {
    fn labels(&self) -> Tensor {
        Self::int64(self.case.labels.iter().map(|&label| label as f64))
    }
    fn label_mask(&self) -> Tensor {
        self.per_token(&self.mask())
    }
    fn loss_weights(&self) -> Tensor {
        self.per_token(self.case.weights.as_ref().unwrap_or(&self.mask()))
    }
    fn segment_ids(&self) -> Tensor {
        let segments = (0u32..).zip(&self.case.lengths);
        Self::int64(segments.flat_map(|(segment, length)| iter::repeat_n(segment.into(), *length as usize)))
    }
    fn sequence_lengths(&self) -> Vec<u32> {
        self.case.lengths.clone()
    }
    fn group_lengths(&self) -> Vec<u32> {
        self.case.groups.clone().unwrap_or_else(|| vec![1; self.case.lengths.len()])
    }
    fn field(&self, name: &str) -> Option<Tensor> {
        let (_, values) = self.case.fields.iter().find(|field| field.0 == name)?;
        Some(self.per_token(values))
    }
    fn token_field(&self, name: &str) -> Option<Tensor> {
        let (_, values) = self.case.token_fields.iter().find(|field| field.0 == name)?;
        Some(self.per_token(values))
    }
    fn teacher(&self) -> Option<Arc<dyn OutputsView>> {
        self.case.teacher.as_ref().map(|columns| self.outputs(columns, false))
    }
    fn global_token_count(&self) -> u64 {
        self.case.window_labels.unwrap_or_else(|| self.mask().iter().sum::<f64>() as u64)
    }
    fn global_sequence_count(&self) -> u64 {
        self.case.lengths.len() as u64
    }
    fn global_row_count(&self) -> u64 {
        let sequences = self.case.lengths.len() as u64;
        match self.input {
            Input::PreferencePairs | Input::UnpairedPreferenceWithMismatches => sequences / 2,
            _ => self.case.groups.as_ref().map_or(sequences, |groups| groups.len() as u64),
        }
    }
    fn global_batch_count(&self) -> u64 {
        1
    }
    fn step(&self) -> u64 {
        0
    }
    fn training(&self) -> bool {
        true
    }
}

struct Outputs {
    view: View,
    columns: Columns,
    trained: bool,
}

impl Outputs {
    /// A column with a row for each of `rows`.
    fn column(&self, name: &str, rows: usize) -> Result<Tensor> {
        let found = self.columns.iter().find(|column| column.0 == name);
        let (_, values) = found.ok_or_else(|| Error::Other(format!("the case has no `{name}`")))?;
        let tensor = self.view.tensor(values, &[rows as u64, (values.len() / rows) as u64]);
        // A case without a gradient is differentiated all the same, for that must not fail either.
        let gradient = self.view.case.gradient.as_ref();
        let differentiated = gradient.map_or(name != "mean_logits", |gradient| gradient.0 == name);
        Ok(match self.trained && differentiated {
            true => Tensor::parameter(tensor.value().clone(), ParameterId(0)),
            false => tensor,
        })
    }

    fn by_token(&self, name: &str) -> Result<Tensor> {
        self.column(name, self.view.case.labels.len())
    }

    fn by_sequence(&self, name: &str) -> Result<Tensor> {
        self.column(name, self.view.case.lengths.len())
    }

    /// A value for each token, 0 where no label counts.
    fn labelled(&self, values: &Tensor) -> Result<Tensor> {
        values.reshape(&[-1])?.mul(&self.view.label_mask())
    }
}

impl OutputsView for Outputs {
    fn token_logps(&self) -> Result<Tensor> {
        let Ok(logits) = self.by_token("logits") else {
            return self.labelled(&self.by_token("token_logps")?);
        };
        let labels = View::int64(self.view.case.labels.iter().map(|&label| label.max(0) as f64));
        self.labelled(&logits.log_softmax(-1)?.gather(-1, &labels.reshape(&[-1, 1])?)?)
    }
    fn predictions(&self) -> Result<Tensor> {
        self.by_token("logits")?.argmax(-1, false)
    }
    fn entropies(&self) -> Result<Tensor> {
        self.labelled(&self.by_token("entropies")?)
    }
    fn mean_logits(&self) -> Result<Tensor> {
        self.labelled(&self.by_token("mean_logits")?)
    }
    fn logits(&self) -> Result<Tensor> {
        self.by_token("logits")
    }
    fn vocab_size(&self) -> Result<u64> {
        Ok(1)
    }
    fn hidden(&self) -> Result<Tensor> {
        unreachable!("no standard loss asks for them")
    }
    fn last_hidden(&self) -> Result<Tensor> {
        self.by_sequence("last_hidden")
    }
    fn scores(&self) -> Result<Tensor> {
        self.by_sequence("scores")
    }
    fn token_scores(&self) -> Result<Tensor> {
        self.by_token("token_scores")
    }
}
