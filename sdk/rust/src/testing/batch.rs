use std::iter;

use super::{ModelOutputs, OutputTensors};
use crate::{Dtype, Input, Tensor};

/// A micro-batch with the numbers that a test gives it.
#[derive(Clone, Debug)]
pub struct PackedBatch {
    lengths: Vec<u32>,
    labels: Vec<f64>,
    weights: Vec<f64>,
    groups: Option<Vec<u32>>,
    fields: Vec<(String, Vec<f64>)>,
    token_fields: Vec<(String, Vec<f64>)>,
    teacher: Option<ModelOutputs>,
    window: Option<[u64; 3]>,
    step: u64,
    training: bool,
}

/// What stands where no label counts.
const NO_LABEL: f64 = -100.0;

impl PackedBatch {
    /// Sequences of the given lengths. Every position but the last of each sequence has a label, of weight 1. The batch
    /// is the whole accumulation window.
    pub fn new(lengths: &[u32]) -> Self {
        let ends = |length: u32| (1..=length).map(move |position| position == length);
        let is_end = lengths.iter().copied().flat_map(ends);
        let labels = is_end.zip(0u32..).map(|(is_end, i)| if is_end { NO_LABEL } else { i.into() }).collect();
        let batch = Self {
            lengths: lengths.to_vec(),
            labels,
            weights: Vec::new(),
            groups: None,
            fields: Vec::new(),
            token_fields: Vec::new(),
            teacher: None,
            window: None,
            step: 0,
            training: true,
        };
        let mask = batch.mask();
        Self { weights: mask, ..batch }
    }

    /// The token to predict at each position, -100 where none counts. Weights become 1 where one counts.
    pub fn labels(mut self, labels: &[i64]) -> Self {
        self.labels = labels.iter().map(|&label| label as f64).collect();
        self.weights = self.mask();
        self
    }

    /// The weight of each label's loss.
    pub fn loss_weights(mut self, weights: &[f64]) -> Self {
        self.weights = weights.to_vec();
        self
    }

    /// A numeric column of the rows.
    pub fn field(mut self, name: &str, values: &[f64]) -> Self {
        self.fields.push((name.to_owned(), values.to_vec()));
        self
    }

    /// Sequences of each row, for losses whose input is groups.
    pub fn groups(mut self, lengths: &[u32]) -> Self {
        self.groups = Some(lengths.to_vec());
        self
    }

    /// A number for each token.
    pub fn token_field(mut self, name: &str, values: &[f64]) -> Self {
        self.token_fields.push((name.to_owned(), values.to_vec()));
        self
    }

    /// What the teacher model computed.
    pub fn teacher(mut self, outputs: ModelOutputs) -> Self {
        self.teacher = Some(outputs);
        self
    }

    /// Labels, rows and micro-batches of the whole accumulation window, if the batch is only a part of it.
    pub fn window(mut self, labels: u64, rows: u64, batches: u64) -> Self {
        self.window = Some([labels, rows, batches]);
        self
    }

    /// Optimiser steps taken so far; 0 by default.
    pub fn step(mut self, step: u64) -> Self {
        self.step = step;
        self
    }

    /// Makes it a batch of an evaluation.
    pub fn evaluation(mut self) -> Self {
        self.training = false;
        self
    }

    /// Number of positions.
    pub fn token_count(&self) -> usize {
        self.lengths.iter().map(|&length| length as usize).sum()
    }

    /// 1 where a label counts, else 0.
    pub(crate) fn mask(&self) -> Vec<f64> {
        self.labels.iter().map(|&label| if label == NO_LABEL { 0.0 } else { 1.0 }).collect()
    }

    /// The labels, 0 where none counts.
    pub(crate) fn known_labels(&self) -> Vec<f64> {
        self.labels.iter().map(|label| label.max(0.0)).collect()
    }

    /// Number of sequences.
    pub(crate) fn sequence_count(&self) -> usize {
        self.lengths.len()
    }

    /// What a loss with this input sees.
    pub(crate) fn view(&self, input: Input) -> BatchView<'_> {
        let sequences = self.lengths.len() as u64;
        let rows = match (input, &self.groups) {
            (Input::PreferencePairs | Input::UnpairedPreferenceWithMismatches, _) => sequences / 2,
            (_, Some(groups)) => groups.len() as u64,
            (_, None) => sequences,
        };
        BatchView { batch: self, rows }
    }
}

/// The contract's `batch`.
#[derive(Clone, Copy)]
pub(crate) struct BatchView<'a> {
    batch: &'a PackedBatch,
    rows: u64,
}

impl BatchView<'_> {
    fn per_token(&self, values: &[f64], dtype: Dtype) -> Tensor {
        Tensor::from_list(values, &[self.batch.token_count() as u64], dtype)
    }

    pub(crate) fn labels(&self) -> Tensor {
        self.per_token(&self.batch.labels, Dtype::Int64)
    }

    pub(crate) fn label_mask(&self) -> Tensor {
        self.per_token(&self.batch.mask(), Dtype::Float64)
    }

    pub(crate) fn loss_weights(&self) -> Tensor {
        self.per_token(&self.batch.weights, Dtype::Float64)
    }

    pub(crate) fn segment_ids(&self) -> Tensor {
        let run = |(segment, &length): (u32, &u32)| iter::repeat_n(f64::from(segment), length as usize);
        let segments: Vec<f64> = (0..).zip(&self.batch.lengths).flat_map(run).collect();
        self.per_token(&segments, Dtype::Int64)
    }

    pub(crate) fn sequence_lengths(&self) -> Vec<u32> {
        self.batch.lengths.clone()
    }

    pub(crate) fn group_lengths(&self) -> Vec<u32> {
        self.batch.groups.clone().unwrap_or_else(|| vec![1; self.batch.lengths.len()])
    }

    pub(crate) fn field(&self, name: &str) -> Option<Tensor> {
        let (_, values) = self.batch.fields.iter().find(|field| field.0 == name)?;
        let (rows, count) = (self.rows, values.len() as u64);
        let shape = if count == rows { vec![count] } else { vec![rows, count / rows.max(1)] };
        Some(Tensor::from_list(values, &shape, Dtype::Float64))
    }

    pub(crate) fn token_field(&self, name: &str) -> Option<Tensor> {
        let (_, values) = self.batch.token_fields.iter().find(|field| field.0 == name)?;
        Some(self.per_token(values, Dtype::Float64))
    }

    pub(crate) fn teacher(&self) -> Option<OutputTensors> {
        let outputs = self.batch.teacher.as_ref()?;
        // A teacher whose numbers don't fit the batch has no outputs.
        Some(outputs.tensors(self.batch, false).unwrap_or_default())
    }

    pub(crate) fn global_token_count(&self) -> u64 {
        self.batch.window.map_or_else(|| self.batch.mask().iter().sum::<f64>() as u64, |[labels, ..]| labels)
    }

    pub(crate) fn global_sequence_count(&self) -> u64 {
        let sequences = self.batch.lengths.len() as u64;
        self.batch.window.map_or(sequences, |[_, rows, _]| rows * sequences / self.rows.max(1))
    }

    pub(crate) fn global_row_count(&self) -> u64 {
        self.batch.window.map_or(self.rows, |[_, rows, _]| rows)
    }

    pub(crate) fn global_batch_count(&self) -> u64 {
        self.batch.window.map_or(1, |[_, _, batches]| batches)
    }

    pub(crate) fn step(&self) -> u64 {
        self.batch.step
    }

    pub(crate) fn training(&self) -> bool {
        self.batch.training
    }
}
