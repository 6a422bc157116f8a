//! Attention over a cache in blocks is attention over the same tokens end to end.

use half::{bf16, f16};
use swift_kernels::attention::{self, AttentionInputs, AttentionOptions, AttentionShape, paged};
use swift_kernels::{Element, Float, KernelError};

use paged::{PagedInputs, PagedSequence, PagedShape};

use crate::support::{assert_close, narrow, numbers, widen, zeros};

/// Lengths with the queries of each sequence, heads, key-value heads, components, block size, window, soft cap.
type Case = (&'static [(usize, usize)], usize, usize, usize, usize, Option<usize>, Option<f64>);

const CASES: [Case; 10] = [
    (&[], 2, 1, 4, 16, None, None),
    (&[(1, 1)], 1, 1, 1, 1, None, None),
    (&[(7, 1), (16, 1), (17, 1)], 4, 2, 5, 16, None, None),
    (&[(33, 33), (40, 3)], 4, 4, 8, 16, None, Some(1.5)),
    (&[(5, 0), (300, 270)], 6, 2, 8, 32, Some(40), None),
    (&[(200, 1), (131, 131), (64, 2)], 7, 1, 16, 4, Some(150), Some(2.0)),
    (&[(9, 9)], 2, 1, 3, 3, Some(1), None),
    (&[(129, 128), (128, 1)], 2, 2, 4, 8, Some(1000), None),
    // Groups of more heads than a task has, which it can be cut into or not.
    (&[(150, 1), (20, 20)], 48, 2, 6, 16, None, None),
    (&[(30, 11)], 17, 1, 4, 16, None, None),
];

/// Where the values of a problem come from.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Values {
    /// They are as wide as keys.
    Whole,
    /// They are narrower.
    Narrow,
    /// They are the first components of the keys, and not cached again.
    OfKeys,
}

struct Problem {
    values: Values,
    sequences: Vec<(usize, usize)>,
    shape: PagedShape,
    options: AttentionOptions,
    /// Of all tokens, end to end.
    q: Vec<f64>,
    k: Vec<f64>,
    v: Vec<f64>,
    slopes: Vec<f64>,
}

impl Problem {
    fn new(
        &(sequences, heads, kv_heads, head_dim, block_size, window, soft_cap): &Case,
        values: Values,
        sloped: bool,
    ) -> Self {
        let tokens: usize = sequences.iter().map(|(length, _)| length).sum();
        let of = |seed, heads| numbers(seed, tokens * heads * head_dim);
        let value_dim = if values == Values::Whole { head_dim } else { head_dim.div_ceil(2) };
        let k = of(2, kv_heads);
        // Components past those of a value are zero, as if values were as wide as keys.
        let mut v = if values == Values::OfKeys { k.clone() } else { of(3, kv_heads) };
        v.chunks_exact_mut(head_dim).for_each(|value| value[value_dim..].fill(0.0));
        Self {
            values,
            sequences: sequences.to_vec(),
            shape: PagedShape { heads, kv_heads, head_dim, value_dim, block_size },
            options: AttentionOptions { scale: 0.9, window, soft_cap },
            q: of(1, heads),
            k,
            v,
            slopes: (0..if sloped { heads } else { 0 }).map(|head| 0.5 / (head + 1) as f64).collect(),
        }
    }

    /// The rows of `x` that are queries of this step.
    fn last<T: Copy>(&self, x: &[T]) -> Vec<T> {
        let width = self.shape.heads * self.shape.head_dim;
        let mut rows = x.chunks_exact(width);
        let mut chosen = Vec::new();
        for &(length, queries) in &self.sequences {
            chosen.extend(rows.by_ref().take(length).skip(length - queries).flatten());
        }
        chosen
    }

    /// What attention without a cache gives.
    fn expected<T: Element>(&self) -> Vec<T> {
        let PagedShape { heads, kv_heads, head_dim, .. } = self.shape;
        let lengths: Vec<usize> = self.sequences.iter().map(|(length, _)| *length).collect();
        let shape = AttentionShape { lengths: &lengths, heads, kv_heads, head_dim };
        let [q, k, v] = [&self.q, &self.k, &self.v].map(|x| narrow::<T>(x));
        let mut out = zeros::<T>(q.len());
        let mut lse = vec![T::Compute::ZERO; lengths.iter().sum::<usize>() * heads];
        let inputs = AttentionInputs { q: &q, k: &k, v: &v, slopes: &self.slopes };
        attention::forward(&inputs, &shape, &self.options, &mut out, &mut lse).unwrap();
        self.cut(&self.last(&out))
    }

    /// The components that values have.
    fn cut<T: Copy>(&self, x: &[T]) -> Vec<T> {
        let PagedShape { head_dim, value_dim, .. } = self.shape;
        x.chunks_exact(head_dim).flat_map(|head| &head[..value_dim]).copied().collect()
    }

    /// The same from a cache whose blocks are handed out in an order of their own.
    fn paged<T: Element>(&self) -> Result<Vec<T>, KernelError> {
        let PagedShape { kv_heads, head_dim, value_dim, block_size, .. } = self.shape;
        let v = self.cut(&self.v);
        let needed: usize = self.sequences.iter().map(|(length, _)| length.div_ceil(block_size)).sum();
        // Some blocks hold what nobody may look at.
        let total = needed + 3;
        let mut free: Vec<u32> = (0..total as u32).collect();
        free.reverse();
        free.swap(0, needed / 2);
        let [mut keys, mut values] = [head_dim, value_dim]
            .map(|dim| narrow::<T>(&vec![f64::NAN; total * block_size * kv_heads * dim]));
        let (mut tables, mut start) = (Vec::new(), 0);
        for &(length, _) in &self.sequences {
            let table: Vec<u32> = (0..length.div_ceil(block_size)).map(|_| free.pop().unwrap()).collect();
            let slot = |position| table[position / block_size] as usize * block_size + position % block_size;
            let slots: Vec<usize> = (0..length).map(slot).collect();
            for (x, cache, dim) in [(&self.k, &mut keys, head_dim), (&v, &mut values, value_dim)] {
                let width = kv_heads * dim;
                let rows = narrow::<T>(&x[start * width..(start + length) * width]);
                paged::write(&rows, &slots, width, cache)?;
            }
            tables.push(table);
            start += length;
        }
        let sequences: Vec<_> = self
            .sequences
            .iter()
            .zip(&tables)
            .map(|(&(length, queries), blocks)| PagedSequence { queries, length, blocks })
            .collect();
        let q = self.last(&narrow::<T>(&self.q));
        let mut out = zeros::<T>(q.len() / head_dim * value_dim);
        let values = (self.values != Values::OfKeys).then_some(&*values);
        let inputs = PagedInputs { q: &q, keys: &keys, values, slopes: &self.slopes };
        paged::forward(&inputs, &sequences, &self.shape, &self.options, &mut out)?;
        Ok(out)
    }
}

fn agrees<T: Element>(tolerance: f64) {
    for case in &CASES {
        for (values, sloped) in [
            (Values::Whole, false),
            (Values::Whole, true),
            (Values::Narrow, false),
            (Values::OfKeys, false),
            (Values::OfKeys, true),
        ] {
            let problem = Problem::new(case, values, sloped);
            let (got, expected) = (widen(&problem.paged::<T>().unwrap()), widen(&problem.expected::<T>()));
            assert_close(&got, &expected, tolerance, &format!("{case:?} {values:?} {sloped}"));
        }
    }
}

#[test]
fn a_cache_in_blocks_gives_what_tokens_end_to_end_give() {
    agrees::<f64>(1e-12);
    agrees::<f32>(1e-5);
    agrees::<bf16>(1e-2);
    agrees::<f16>(1.25e-3);
}

#[test]
fn tables_that_do_not_fit_the_cache_are_refused() {
    let shape = PagedShape { heads: 1, kv_heads: 1, head_dim: 2, value_dim: 2, block_size: 2 };
    let options = AttentionOptions { scale: 1.0, window: None, soft_cap: None };
    let cache = [0f32; 8];
    let inputs = PagedInputs { q: &[0f32; 2], keys: &cache, values: Some(&cache), slopes: &[] };
    let run = |queries, length, blocks: &[u32]| {
        let sequences = [PagedSequence { queries, length, blocks }];
        paged::forward(&inputs, &sequences, &shape, &options, &mut [0f32; 2])
            .map_err(|error| error.to_string())
    };
    assert_eq!(run(1, 3, &[0, 1]), Ok(()));
    assert_eq!(run(1, 3, &[0, 2]), Err("Index 2 in `blocks` of `paged_attention` is not in 0..2".into()));
    let missing = "Operation `paged_attention` needs a block for each token of a sequence";
    assert_eq!(run(1, 3, &[0]), Err(missing.into()));
    let order = "Operation `paged_attention` needs queries that are the last tokens of their sequence";
    assert_eq!(run(1, 0, &[]), Err(order.into()));
    let slots = paged::write(&[0f32; 2], &[4], 2, &mut [0f32; 8]).map_err(|error| error.to_string());
    assert_eq!(slots, Err("Index 4 in `slots` of `paged_attention` is not in 0..4".into()));
}
