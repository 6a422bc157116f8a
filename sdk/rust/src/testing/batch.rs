use std::iter;

use crate::{Dtype, Tensor};

/// A micro-batch with the numbers that a test gives it.
#[derive(Clone, Debug)]
pub struct PackedBatch {
    lengths: Vec<u32>,
    labels: Vec<f64>,
    weights: Vec<f64>,
    fields: Vec<(String, Vec<f64>)>,
    window: Option<(u64, u64)>,
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
            fields: Vec::new(),
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

    /// Labels and sequences of the whole accumulation window, if the batch is only a part of it.
    pub fn window(mut self, tokens: u64, sequences: u64) -> Self {
        self.window = Some((tokens, sequences));
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

    /// What a loss sees.
    pub(crate) fn view(&self) -> BatchView<'_> {
        BatchView(self)
    }
}

/// The contract's `batch`.
#[derive(Clone, Copy)]
pub(crate) struct BatchView<'a>(&'a PackedBatch);

impl BatchView<'_> {
    fn per_token(&self, values: &[f64], dtype: Dtype) -> Tensor {
        Tensor::from_list(values, &[self.0.token_count() as u64], dtype)
    }

    pub(crate) fn labels(&self) -> Tensor {
        self.per_token(&self.0.labels, Dtype::Int64)
    }

    pub(crate) fn label_mask(&self) -> Tensor {
        self.per_token(&self.0.mask(), Dtype::Float64)
    }

    pub(crate) fn loss_weights(&self) -> Tensor {
        self.per_token(&self.0.weights, Dtype::Float64)
    }

    pub(crate) fn segment_ids(&self) -> Tensor {
        let run = |(segment, &length): (u32, &u32)| iter::repeat_n(f64::from(segment), length as usize);
        let segments: Vec<f64> = (0..).zip(&self.0.lengths).flat_map(run).collect();
        self.per_token(&segments, Dtype::Int64)
    }

    pub(crate) fn sequence_lengths(&self) -> Vec<u32> {
        self.0.lengths.clone()
    }

    pub(crate) fn field(&self, name: &str) -> Option<Tensor> {
        let (_, values) = self.0.fields.iter().find(|field| field.0 == name)?;
        Some(Tensor::from_list(values, &[values.len() as u64], Dtype::Float64))
    }

    pub(crate) fn global_token_count(&self) -> u64 {
        self.0.window.map_or(self.0.mask().iter().sum::<f64>() as u64, |window| window.0)
    }

    pub(crate) fn global_sequence_count(&self) -> u64 {
        self.0.window.map_or(self.0.lengths.len() as u64, |window| window.1)
    }

    pub(crate) fn step(&self) -> u64 {
        self.0.step
    }

    pub(crate) fn training(&self) -> bool {
        self.0.training
    }
}
