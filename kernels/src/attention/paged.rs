//! Attention over keys and values that lie in blocks of a cache (Kwon et al. 2023, "PagedAttention"): what generation
//! needs. A sequence's tokens lie in the blocks that its table names, `block_size` to a block; its queries are its last
//! tokens, one of them when a token is generated, many when a prompt is read.

use std::ops::Range;

use rayon::prelude::*;

use super::rows::Rows;
use super::scores::Scores;
use super::{AttentionOptions, KEYS, ROWS};
use crate::{Element, KernelError, check};

/// Query heads of a task, at most, where a key-value head has more.
const TOGETHER: usize = 16;

/// The sizes of a cache and of the queries to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PagedShape {
    /// Query heads, a multiple of `kv_heads`.
    pub heads: usize,
    /// Key-value heads.
    pub kv_heads: usize,
    /// Components of each head's queries and keys.
    pub head_dim: usize,
    /// Components of each head's values.
    pub value_dim: usize,
    /// Tokens of a block.
    pub block_size: usize,
}

/// A sequence as one step sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PagedSequence<'a> {
    /// Tokens of this step, the last of `length`.
    pub queries: usize,
    /// Tokens whose keys and values are in the cache, those of this step included.
    pub length: usize,
    /// The blocks that hold them, in order; only the first `length / block_size`, rounded up, are looked at.
    pub blocks: &'a [u32],
}

/// One layer of a cache, and the queries.
#[derive(Clone, Copy, Debug)]
pub struct PagedInputs<'a, T> {
    /// Queries `[tokens, heads, head_dim]`, the sequences end to end.
    pub q: &'a [T],
    /// Keys `[blocks, block_size, kv_heads, head_dim]`.
    pub keys: &'a [T],
    /// Values `[blocks, block_size, kv_heads, value_dim]`; if there are none, they are the first `value_dim` components of the
    /// keys.
    pub values: Option<&'a [T]>,
    /// By how much a head's score grows from one key to the next, `[heads]`; empty for no such slopes.
    pub slopes: &'a [f64],
}

impl PagedShape {
    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Query heads of a task: a group, or neighbours of a group that is large, so that one sequence is work for several threads.
    fn together(&self) -> usize {
        let group = self.group();
        let divisor = (TOGETHER / 2..=TOGETHER).rev().find(|count| group.is_multiple_of(*count));
        divisor.filter(|_| group > TOGETHER).unwrap_or(group)
    }

    fn check<T>(
        &self,
        operation: &'static str,
        inputs: &PagedInputs<'_, T>,
        sequences: &[PagedSequence<'_>],
        options: &AttentionOptions,
    ) -> Result<(), KernelError> {
        let &Self { heads, kv_heads, head_dim, value_dim, block_size } = self;
        let least = heads.min(kv_heads).min(head_dim).min(value_dim).min(block_size);
        check::rule(
            operation,
            "at least one head of at least one component and blocks of a token",
            least > 0,
        )?;
        let multiple = heads % kv_heads == 0;
        check::rule(
            operation,
            "a number of heads that is a multiple of the number of key-value heads",
            multiple,
        )?;
        check::rule(operation, "a window of at least 1", options.window != Some(0))?;
        check::rule(operation, "a soft cap above 0", options.soft_cap.is_none_or(|cap| cap > 0.0))?;
        check::rule(operation, "a slope for each head", [0, heads].contains(&inputs.slopes.len()))?;
        let tokens = sequences.iter().fold(0usize, |sum, sequence| sum.saturating_add(sequence.queries));
        check::length(operation, "q", inputs.q, &[tokens, heads, head_dim])?;
        let block = block_size * kv_heads * head_dim;
        check::rule(operation, "a cache of whole blocks", inputs.keys.len().is_multiple_of(block))?;
        let blocks = inputs.keys.len() / block;
        match inputs.values {
            Some(values) => {
                check::length(operation, "values", values, &[blocks * block_size, kv_heads, value_dim])?;
            }
            None => check::rule(operation, "keys that are as wide as values", value_dim <= head_dim)?,
        }
        for sequence in sequences {
            let last = sequence.queries <= sequence.length;
            check::rule(operation, "queries that are the last tokens of their sequence", last)?;
            let needed = sequence.length.div_ceil(block_size);
            let Some(table) = sequence.blocks.get(..needed) else {
                return check::rule(operation, "a block for each token of a sequence", false);
            };
            if let Some(&value) = table.iter().find(|&&block| block as usize >= blocks) {
                return Err(KernelError::Index {
                    operation,
                    name: "blocks",
                    value: value.into(),
                    bound: blocks,
                });
            }
        }
        Ok(())
    }
}

/// Puts the keys or values of tokens, `x` `[tokens, width]` with all heads of a token, to their places in `cache` `[blocks *
/// block_size, width]`, one slot for each token.
///
/// # Errors
/// [`KernelError::Length`] if a slice doesn't fit, [`KernelError::Index`] if there is no such slot.
pub fn write<T: Element>(x: &[T], slots: &[usize], width: usize, cache: &mut [T]) -> Result<(), KernelError> {
    const OPERATION: &str = "paged_attention";
    check::length(OPERATION, "x", x, &[slots.len(), width])?;
    check::rule(OPERATION, "at least one component", width > 0)?;
    let bound = cache.len() / width;
    if let Some(&slot) = slots.iter().find(|&&slot| slot >= bound) {
        return Err(KernelError::Index { operation: OPERATION, name: "slots", value: slot as i64, bound });
    }
    for (&slot, row) in slots.iter().zip(x.chunks_exact(width)) {
        if let Some(place) = cache.get_mut(slot * width..(slot + 1) * width) {
            place.copy_from_slice(row);
        }
    }
    Ok(())
}

/// Writes `out` `[tokens, heads, value_dim]`. With `p` the position of a query in its sequence and `j` of a key,
/// `out[p] = sum over j of softmax(s[p])[j] v[j]`, `s[p, j] = cap(scale * q[p] . k[j] + slope * (j - p))` for `p - window < j <= p`.
///
/// # Errors
/// [`KernelError::Length`] if a slice doesn't fit, [`KernelError::Rule`] if a size or an option is out of range,
/// [`KernelError::Index`] if a table names a block that is not there.
pub fn forward<T: Element>(
    inputs: &PagedInputs<'_, T>,
    sequences: &[PagedSequence<'_>],
    shape: &PagedShape,
    options: &AttentionOptions,
    out: &mut [T],
) -> Result<(), KernelError> {
    forward_with_sinks(inputs, sequences, shape, options, &[], out)
}

/// As [`forward`], where each head also attends to a sink: a score of `sinks` `[heads]`, and a value of zero.
///
/// # Errors
/// As [`forward`].
pub fn forward_with_sinks<T: Element>(
    inputs: &PagedInputs<'_, T>,
    sequences: &[PagedSequence<'_>],
    shape: &PagedShape,
    options: &AttentionOptions,
    sinks: &[T::Compute],
    out: &mut [T],
) -> Result<(), KernelError> {
    const OPERATION: &str = "paged_attention";
    check::rule(OPERATION, "a sink for each head", sinks.is_empty() || sinks.len() == shape.heads)?;
    shape.check(OPERATION, inputs, sequences, options)?;
    let (value_dim, together) = (shape.value_dim, shape.together());
    let parts = shape.heads / together;
    check::length(OPERATION, "out", out, &[inputs.q.len() / shape.head_dim, value_dim])?;
    let mut tasks = Vec::new();
    let mut rest = out;
    let mut first_token = 0;
    for sequence in sequences {
        let tile_tokens = (ROWS / together).max(8);
        for first in (0..sequence.queries).step_by(tile_tokens) {
            let count = tile_tokens.min(sequence.queries - first);
            let size = count * shape.heads * value_dim;
            let Some((part, after)) = rest.split_at_mut_checked(size) else { return Ok(()) };
            rest = after;
            let position = sequence.length - sequence.queries + first;
            let tile = Tile { sequence: *sequence, token: first_token + first, position, count };
            let mut heads: Vec<Vec<&mut [T]>> = (0..parts).map(|_| Vec::with_capacity(count)).collect();
            for (index, row) in part.chunks_exact_mut(together * value_dim).enumerate() {
                if let Some(rows) = heads.get_mut(index % parts) {
                    rows.push(row);
                }
            }
            tasks.extend(heads.into_iter().enumerate().map(|(part, rows)| (tile, part * together, rows)));
        }
        first_token += sequence.queries;
    }
    tasks
        .into_par_iter()
        .with_max_len(1)
        .try_for_each(|(tile, head, out)| tile.run(head, inputs, shape, (options, sinks), out))
}

/// Queries of one task.
#[derive(Clone, Copy)]
struct Tile<'a> {
    sequence: PagedSequence<'a>,
    /// The first query's place among all queries.
    token: usize,
    /// Its position in the sequence.
    position: usize,
    /// Query tokens.
    count: usize,
}

/// Where a head lies in a cache whose heads have `head_dim` components.
#[derive(Clone, Copy)]
struct Place {
    block_size: usize,
    kv_heads: usize,
    kv_head: usize,
    head_dim: usize,
}

impl Tile<'_> {
    /// The query heads from `head` on that are computed together.
    fn run<T: Element>(
        &self,
        head: usize,
        inputs: &PagedInputs<'_, T>,
        shape: &PagedShape,
        (options, sinks): (&AttentionOptions, &[T::Compute]),
        out: Vec<&mut [T]>,
    ) -> Result<(), KernelError> {
        let (head_dim, value_dim, together) = (shape.head_dim, shape.value_dim, shape.together());
        let kv_head = head / shape.group();
        let mut queries = Vec::with_capacity(self.count * together * head_dim);
        let own = head * head_dim..(head + together) * head_dim;
        for token in inputs.q.chunks_exact(shape.heads * head_dim).skip(self.token).take(self.count) {
            queries.extend_from_slice(token.get(own.clone()).unwrap_or_default());
        }
        let sinks = sinks.get(head..head + together).unwrap_or_default();
        let scores = Scores::new(options, inputs.slopes.get(head..head + together).unwrap_or_default());
        let mut rows = Rows::new(&queries, self.position, together, [head_dim, value_dim], scores, sinks);
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        let end = self.position + self.count;
        for first_key in (rows.first_key()..end).step_by(KEYS) {
            let range = first_key..end.min(first_key + KEYS);
            let place = |head_dim| Place {
                block_size: shape.block_size,
                kv_heads: shape.kv_heads,
                kv_head,
                head_dim,
            };
            self.gather(inputs.keys, range.clone(), place(head_dim), head_dim, &mut keys);
            match inputs.values {
                Some(cache) => self.gather(cache, range, place(value_dim), value_dim, &mut values),
                None => self.gather(inputs.keys, range, place(head_dim), value_dim, &mut values),
            }
            rows.see(&keys, &values, first_key)?;
        }
        rows.finish(out);
        Ok(())
    }

    /// The first `taken` components of one head of the tokens at `positions`, one after the other.
    fn gather<T: Element>(
        &self,
        cache: &[T],
        positions: Range<usize>,
        place: Place,
        taken: usize,
        into: &mut Vec<T>,
    ) {
        let Place { block_size, kv_heads, kv_head, head_dim } = place;
        into.clear();
        for position in positions {
            let block = self.sequence.blocks.get(position / block_size).copied().unwrap_or_default();
            let slot = block as usize * block_size + position % block_size;
            let start = (slot * kv_heads + kv_head) * head_dim;
            into.extend_from_slice(cache.get(start..start + taken).unwrap_or_default());
        }
    }
}
