//! Adapters on the layers of experts.

use std::sync::Arc;

use swift_tensor::fused::{
    Dropout, GroupedLinear, Linear, group_counts, grouped_linear, linear, low_rank_rows,
};
use swift_tensor::{Error, Result, Tensor, cat};

use super::Adapter;
use super::layer::Layer;
use crate::random::stream;

/// Which adapters work on which rows.
pub(crate) enum Served<'a> {
    /// One, or none, on all, with the seed of its dropout.
    All(Option<&'a Arc<Adapter>>, Option<u64>),
    /// Each on so many tokens, in order.
    ByToken(&'a [(usize, Option<Arc<Adapter>>)]),
}

/// Neighbouring rows of one group with the layer of one adapter.
struct Part<'a> {
    group: usize,
    start: usize,
    count: usize,
    layer: Option<(&'a Adapter, &'a Layer)>,
}

impl<'a> Served<'a> {
    /// The adapter of a token.
    fn of_token(&self, token: usize) -> Option<&'a Adapter> {
        match self {
            Self::All(adapter, _) => adapter.map(|adapter| &**adapter),
            Self::ByToken(parts) => {
                let mut end = 0;
                let part = parts.iter().find(|(count, _)| {
                    end += count;
                    token < end
                });
                part.and_then(|(_, adapter)| adapter.as_deref())
            }
        }
    }

    /// All rows, cut where the group or the adapter changes. A group without rows has a part, too, for the gradients of its
    /// adapter are zero and not missing.
    fn parts(&self, weights: &[u32], counts: &[usize], tokens: &[i64]) -> Vec<Part<'a>> {
        let (mut parts, mut start): (Vec<Part<'a>>, usize) = (Vec::new(), 0);
        for (group, (&count, &weight)) in counts.iter().zip(weights).enumerate() {
            let layer = |adapter: &'a Adapter| Some((adapter, adapter.layer(weight as usize)?));
            if let Self::All(adapter, _) = self {
                let layer = adapter.and_then(|adapter| layer(adapter));
                parts.push(Part { group, start, count, layer });
                start += count;
                continue;
            }
            let first = parts.len();
            for token in tokens.iter().skip(start).take(count) {
                let adapter = self.of_token(usize::try_from(*token).unwrap_or_default());
                let layer = adapter.and_then(layer);
                let same = |part: &&mut Part<'a>| {
                    part.layer.map(|(_, layer)| std::ptr::from_ref(layer))
                        == layer.map(|(_, layer)| std::ptr::from_ref(layer))
                };
                match parts.get_mut(first..).and_then(<[_]>::last_mut).filter(same) {
                    Some(part) => part.count += 1,
                    None => parts.push(Part { group, start, count: 1, layer }),
                }
                start += 1;
            }
        }
        parts
    }
}

/// [`grouped_linear`] with adapters on the layers, whose parameters have the indices `weights`.
pub(crate) fn adapted_groups(
    x: &Tensor,
    weights: &[u32],
    layer: &GroupedLinear,
    groups: &Tensor,
    tokens: &Tensor,
    served: &Served<'_>,
) -> Result<Tensor> {
    if matches!(served, Served::All(None, _)) {
        return grouped_linear(x, layer, groups);
    }
    // A stack has one adapter for all groups.
    let stack =
        weights.first().zip(layer.weights.first()).and_then(|(&index, weight)| match *weight.dims() {
            [groups, _, _] => Some((index, groups)),
            _ => None,
        });
    if let (Some((index, _)), Served::All(Some(adapter), _)) = (stack, served) {
        let plain = grouped_linear(x, layer, groups)?;
        return match adapter.layer(index as usize) {
            Some(stack) => plain.add(&stack.stacked_addition(x, groups, adapter.trainable())?),
            None => Ok(plain),
        };
    }
    if tokens.dims() != groups.dims() {
        return Err(Error::invalid(
            "grouped_linear",
            format!("there are {:?} groups and {:?} tokens", groups.dims(), tokens.dims()),
        ));
    }
    let weights = stack.map_or_else(|| weights.to_vec(), |(index, groups)| vec![index; groups]);
    let counts = group_counts(groups, weights.len())?;
    let tokens = tokens.value().to_dtype(swift_tensor::DType::I64)?.to_vec1::<i64>()?;
    let parts = served.parts(&weights, &counts, &tokens);
    if stack.is_some() {
        let rows = parts.iter().filter_map(|part| Some((part, part.layer?.1)));
        let rows = rows.map(|(part, layer)| layer.stacked_rows(part.group, part.start, part.count));
        return low_rank_rows(&grouped_linear(x, layer, groups)?, x, &rows.collect::<Result<Vec<_>>>()?);
    }
    let seed = match served {
        Served::All(Some(adapter), seed) => seed.filter(|_| adapter.dropout() > 0.0),
        _ => None,
    };
    let low_rank: Option<Vec<_>> = parts
        .iter()
        .filter_map(|part| Some((part, part.layer?)))
        .map(|(part, (adapter, layer))| {
            layer.low_rank_rows(
                part.start,
                part.count,
                adapter.trainable() && matches!(served, Served::All(..)),
            )
        })
        .collect();
    match low_rank.filter(|_| seed.is_none()) {
        Some(parts) if parts.is_empty() => grouped_linear(x, layer, groups),
        Some(parts) => low_rank_rows(&grouped_linear(x, layer, groups)?, x, &parts),
        None => one_by_one(x, layer, &parts, seed, matches!(served, Served::All(..))),
    }
}

/// Each part on its own, for what is more than a low-rank product.
fn one_by_one(
    x: &Tensor,
    grouped: &GroupedLinear,
    parts: &[Part<'_>],
    seed: Option<u64>,
    training: bool,
) -> Result<Tensor> {
    let mut pieces = Vec::with_capacity(parts.len());
    for part in parts {
        let rows = x.narrow(0, part.start as u64, part.count as u64)?;
        let missing = || Error::invalid("grouped_linear", "there is a group without weights");
        let weight = grouped.weights.get(part.group).ok_or_else(missing)?.clone();
        let bias = grouped.biases.get(part.group).cloned();
        pieces.push(match part.layer {
            None => linear(&rows, &Linear { weight, bias, adapter: None })?,
            Some((adapter, layer)) => {
                let rate = adapter.dropout();
                let dropout = seed.map(|seed| Dropout { rate, seed: stream(seed, &layer.module().name) });
                layer.forward(&rows, weight, bias, training && adapter.trainable(), dropout)?
            }
        });
    }
    cat(&pieces.iter().collect::<Vec<_>>(), 0)
}
