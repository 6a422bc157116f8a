use std::sync::Arc;

use candle_core::Tensor as Value;
use swift_data::{Column, PackedBatch};
use swift_model::Tokens;
use swift_runtime::{BatchView, OutputsView};
use swift_tensor::{Tensor, current_device};

use crate::Result;

/// What the loss of a micro-batch is a share of: the accumulation window, or the whole validation set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) labels: u64,
    pub(crate) sequences: u64,
    pub(crate) rows: u64,
    pub(crate) batches: u64,
}

impl Totals {
    /// Those of several micro-batches together.
    pub(crate) fn of<'a>(batches: impl IntoIterator<Item = &'a PackedBatch>) -> Self {
        let mut sum = Self::default();
        for batch in batches {
            sum += Self {
                labels: batch.label_count() as u64,
                sequences: batch.lengths.len() as u64,
                rows: batch.groups.len() as u64,
                batches: 1,
            };
        }
        sum
    }
}

impl Totals {
    /// What part of the whole a micro-batch is, by its labels; where there are none, all micro-batches count the same.
    pub(crate) fn share_of(&self, batch: &PackedBatch) -> f64 {
        match self.labels {
            0 => 1.0 / self.batches.max(1) as f64,
            labels => batch.label_count() as f64 / labels as f64,
        }
    }
}

impl std::ops::AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.labels += other.labels;
        self.sequences += other.sequences;
        self.rows += other.rows;
        self.batches += other.batches;
    }
}

/// Where a micro-batch stands in the run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Optimiser steps taken before.
    pub(crate) step: u64,
    /// Its number in the window.
    pub(crate) micro_batch: u64,
    pub(crate) totals: Totals,
    pub(crate) training: bool,
}

/// A packed micro-batch as a loss sees it.
pub(crate) struct Batch {
    labels: Tensor,
    label_mask: Tensor,
    loss_weights: Tensor,
    segment_ids: Tensor,
    lengths: Vec<u32>,
    groups: Vec<u32>,
    fields: Vec<(String, Tensor)>,
    token_fields: Vec<(String, Tensor)>,
    teacher: Option<Arc<dyn OutputsView>>,
    place: Place,
}

impl Batch {
    pub(crate) fn new(
        packed: &PackedBatch,
        place: Place,
        teacher: Option<Arc<dyn OutputsView>>,
    ) -> Result<Arc<Self>> {
        let segment_ids: Vec<i64> = packed.segment_ids.iter().map(|&id| i64::from(id)).collect();
        let fields = packed.fields.iter().map(|(name, column)| Ok((name.clone(), table(column)?)));
        let token_fields =
            packed.token_fields.iter().map(|(name, column)| Ok((name.clone(), tensor(column)?)));
        Ok(Arc::new(Self {
            labels: tensor(&packed.labels)?,
            label_mask: tensor(&packed.label_mask)?,
            loss_weights: tensor(&packed.loss_weights)?,
            segment_ids: tensor(&segment_ids)?,
            lengths: packed.lengths.clone(),
            groups: packed.groups.clone(),
            fields: fields.collect::<Result<_>>()?,
            token_fields: token_fields.collect::<Result<_>>()?,
            teacher,
            place,
        }))
    }
}

fn tensor<T: candle_core::WithDType>(elements: &[T]) -> Result<Tensor> {
    Ok(Tensor::constant(Value::from_slice(elements, elements.len(), &current_device())?))
}

fn table(column: &Column) -> Result<Tensor> {
    let Column { values, width } = column;
    Ok(match *width {
        None => tensor(values)?,
        // A list of nothing but empty lists has no element to count by.
        Some(width) => {
            let rows = values.len().checked_div(width).unwrap_or(0);
            Tensor::constant(Value::from_slice(values, (rows, width), &current_device())?)
        }
    })
}

/// The part of a batch that the model computes on.
pub(crate) fn tokens(packed: &PackedBatch) -> Tokens {
    Tokens {
        ids: packed.input_ids.clone(),
        position_ids: packed.position_ids.clone(),
        lengths: packed.lengths.clone(),
    }
}

impl BatchView for Batch {
    fn labels(&self) -> Tensor {
        self.labels.clone()
    }

    fn label_mask(&self) -> Tensor {
        self.label_mask.clone()
    }

    fn loss_weights(&self) -> Tensor {
        self.loss_weights.clone()
    }

    fn segment_ids(&self) -> Tensor {
        self.segment_ids.clone()
    }

    fn sequence_lengths(&self) -> Vec<u32> {
        self.lengths.clone()
    }

    fn group_lengths(&self) -> Vec<u32> {
        self.groups.clone()
    }

    fn field(&self, name: &str) -> Option<Tensor> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, column)| column.clone())
    }

    fn token_field(&self, name: &str) -> Option<Tensor> {
        self.token_fields.iter().find(|(known, _)| known == name).map(|(_, column)| column.clone())
    }

    fn global_token_count(&self) -> u64 {
        self.place.totals.labels
    }

    fn global_sequence_count(&self) -> u64 {
        self.place.totals.sequences
    }

    fn global_row_count(&self) -> u64 {
        self.place.totals.rows
    }

    fn global_batch_count(&self) -> u64 {
        self.place.totals.batches
    }

    fn teacher(&self) -> Option<Arc<dyn OutputsView>> {
        self.teacher.clone()
    }

    fn step(&self) -> u64 {
        self.place.step
    }

    fn training(&self) -> bool {
        self.place.training
    }
}
