use std::sync::Arc;

use swift_runtime::Architecture;
use swift_tensor::fused::{self, PagedCache, PagedStep, RotaryTable};
use swift_tensor::{DType, Device, HostNumbers};

use crate::adapter::Adapter;
use crate::{Error, Result};

/// What a model computes on: the tokens of all sequences laid end to end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Token ids, `[tokens]`.
    pub ids: Vec<u32>,
    /// The place of each token in its sequence, `[tokens]`.
    pub position_ids: Vec<u32>,
    /// Tokens in each sequence, `[sequences]`; their sum is the number of tokens.
    pub lengths: Vec<u32>,
}

/// A batch with what all stages and layers need of it.
pub(crate) struct Batch {
    /// `[tokens]`.
    pub(crate) ids: HostNumbers<u32>,
    pub(crate) lengths: Arc<[usize]>,
    /// In the order of the architecture's tables.
    pub(crate) rotary: Vec<RotaryTable>,
    /// What came before these tokens, if they continue sequences.
    pub(crate) cached: Option<Cached>,
}

/// What a step of generation has besides its tokens.
pub(crate) struct Cached {
    pub(crate) cache: Arc<PagedCache>,
    pub(crate) step: PagedStep,
    /// Rows and the adapter that works on them, in order; together all rows.
    pub(crate) adapters: Vec<(usize, Option<Arc<Adapter>>)>,
}

impl Batch {
    /// Sequences are rotated by their lengths, or all as if they had `longest` tokens.
    ///
    /// # Errors
    /// If the batch is empty, its parts don't fit together, a token is not in the vocabulary, or a sequence is longer than
    /// the rotary tables are for.
    pub(crate) fn new(
        tokens: &Tokens,
        architecture: &Architecture,
        dtype: DType,
        longest: Option<u64>,
    ) -> Result<Self> {
        let Tokens { ids, position_ids, lengths } = tokens;
        let lengths: Arc<[usize]> = lengths.iter().map(|&length| length as usize).collect();
        let total: usize = lengths.iter().sum();
        if ids.is_empty() || ids.len() != position_ids.len() || ids.len() != total {
            return Err(Error::Batch(format!(
                "has {} token ids, {} positions and sequences of {total} tokens together",
                ids.len(),
                position_ids.len()
            )));
        }
        if let Some(id) = ids.iter().find(|id| u64::from(**id) >= architecture.vocab_size) {
            return Err(Error::Batch(format!(
                "has the token id {id}, but the model's vocabulary has {} tokens",
                architecture.vocab_size
            )));
        }
        let most = u64::from(position_ids.iter().copied().max().unwrap_or_default()) + 1;
        if let Some(limit) = architecture.longest_sequence.filter(|limit| most > *limit) {
            return Err(Error::TooLong { longest: most, limit });
        }
        let rotary = architecture.rotary_tables.iter().map(|table| {
            let (own, longer) = (&table.inverse_frequencies, table.longer.as_ref());
            let parts = fused::rotary_parts(own, longer, position_ids, &lengths, longest);
            RotaryTable::of_parts(&parts, table.scale, table.interleaved, dtype)
        });
        let rotary = rotary.collect();
        let ids = HostNumbers::new(ids.clone()).below(architecture.vocab_size as usize)?;
        Ok(Self { ids, lengths, rotary, cached: None })
    }

    /// Sends all numbers of the batch to `device`, to where those of a batch of the same sizes are if it is given.
    ///
    /// # Errors
    /// If the device has not as much memory, or the other batch has other sizes or is on no device.
    pub(crate) fn send(&self, device: &Device, other: Option<&Self>) -> Result<()> {
        match other {
            None => self.ids.send(device)?,
            Some(other) => self.ids.replace(&other.ids)?,
        }
        for (place, table) in self.rotary.iter().enumerate() {
            table.send(device, other.and_then(|other| other.rotary.get(place)))?;
        }
        if let Some(cached) = &self.cached {
            cached.step.send(device, other.and_then(|other| Some(&other.cached.as_ref()?.step)))?;
        }
        Ok(())
    }
}
