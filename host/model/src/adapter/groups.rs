//! Adapters on the layers of experts.

use std::ops::Range;
use std::sync::Arc;

use swift_tensor::fused::{
    Dropout, GroupedLinear, Linear, LowRankRows, group_counts, grouped_linear, linear, low_rank_rows,
};
use swift_tensor::{Error, Result, Tensor, cat, read_back};

use super::Adapter;
use super::layer::Layer;
use super::target::Member;
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
    /// Which part of the layer is the group's, if it is one on a stack that the model has apart.
    member: Option<&'a Member>,
}

impl Part<'_> {
    /// The low-rank product with a layer that is on it, if that is all that the layer does.
    fn low_rank(&self, adapter: &Adapter, layer: &Layer, training: bool) -> Result<Option<LowRankRows>> {
        let Self { start, count, .. } = *self;
        match self.member {
            Some(member) => layer.stacked_rows(member.layer, Some(&member.outputs), start, count).map(Some),
            None => Ok(layer.low_rank_rows(start, count, adapter.trainable() && training)),
        }
    }
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
            let layer = |adapter: &'a Adapter| match adapter.member(weight as usize) {
                Some((layer, member)) => Some((adapter, layer, Some(member))),
                None => Some((adapter, adapter.layer(weight as usize)?, None)),
            };
            let part = |start, count, found: Option<(&'a Adapter, &'a Layer, Option<&'a Member>)>| Part {
                group,
                start,
                count,
                layer: found.map(|(adapter, layer, _)| (adapter, layer)),
                member: found.and_then(|(.., member)| member),
            };
            if let Self::All(adapter, _) = self {
                parts.push(part(start, count, adapter.and_then(|adapter| layer(adapter))));
                start += count;
                continue;
            }
            let first = parts.len();
            for token in tokens.iter().skip(start).take(count) {
                let adapter = self.of_token(usize::try_from(*token).unwrap_or_default());
                let found = adapter.and_then(layer);
                let same = |part: &&mut Part<'a>| {
                    part.layer.map(|(_, layer)| std::ptr::from_ref(layer))
                        == found.map(|(_, layer, _)| std::ptr::from_ref(layer))
                };
                match parts.get_mut(first..).and_then(<[_]>::last_mut).filter(same) {
                    Some(part) => part.count += 1,
                    None => parts.push(part(start, 1, found)),
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
            Some(stack) => plain.add(&stack.stacked_addition(x, groups, None, adapter.trainable())?),
            None => Ok(plain),
        };
    }
    if let Served::All(Some(adapter), _) = served
        && let Some((stack, outputs)) = whole_stack(adapter, weights)?
    {
        let addition = stack.stacked_addition(x, groups, Some(outputs), adapter.trainable())?;
        return grouped_linear(x, layer, groups)?.add(&addition);
    }
    if tokens.dims() != groups.dims() {
        return Err(Error::invalid(
            "grouped_linear",
            format!("there are {:?} groups and {:?} tokens", groups.dims(), tokens.dims()),
        ));
    }
    let weights = stack.map_or_else(|| weights.to_vec(), |(index, groups)| vec![index; groups]);
    let counts = group_counts(groups, weights.len())?;
    let tokens = read_back::<i64>(&tokens.value().to_dtype(swift_tensor::DType::I64)?)?;
    let parts = served.parts(&weights, &counts, &tokens);
    if stack.is_some() {
        let rows = parts.iter().filter_map(|part| Some((part, part.layer?.1)));
        let rows = rows.map(|(part, layer)| layer.stacked_rows(part.group, None, part.start, part.count));
        return low_rank_rows(&grouped_linear(x, layer, groups)?, x, &rows.collect::<Result<Vec<_>>>()?);
    }
    let seed = match served {
        Served::All(Some(adapter), seed) => seed.filter(|_| adapter.dropout() > 0.0),
        _ => None,
    };
    let training = matches!(served, Served::All(..));
    let with_layer = parts.iter().filter_map(|part| Some((part, part.layer?)));
    let low_rank = with_layer.map(|(part, (adapter, layer))| part.low_rank(adapter, layer, training));
    let low_rank: Option<Vec<_>> = low_rank.collect::<Result<Vec<_>>>()?.into_iter().collect();
    match low_rank.filter(|_| seed.is_none()) {
        Some(parts) if parts.is_empty() => grouped_linear(x, layer, groups),
        Some(parts) => low_rank_rows(&grouped_linear(x, layer, groups)?, x, &parts),
        None => one_by_one(x, layer, &parts, seed, training),
    }
}

/// The layer on the stack that the model has apart in the form of these weights, and which of its outputs are theirs.
fn whole_stack<'a>(adapter: &'a Adapter, weights: &[u32]) -> Result<Option<(&'a Layer, &'a Range<usize>)>> {
    let mut members = weights.iter().map(|&weight| adapter.member(weight as usize));
    let Some(Some((first, Member { outputs, .. }))) = members.next() else { return Ok(None) };
    let fits = |(layer, found): (usize, Option<(&Layer, &Member)>)| {
        found.is_some_and(|(stack, member)| {
            std::ptr::eq(stack, first) && *member == Member { layer, outputs: outputs.clone() }
        })
    };
    match weights.len() == first.module().layers() && (1..).zip(members).all(fits) {
        true => Ok(Some((first, outputs))),
        false => {
            Err(Error::invalid("grouped_linear", "its weights are not those of a stack, in their order"))
        }
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
        pieces.push(match (part.layer, part.member) {
            (None, _) => linear(&rows, &Linear { weight, bias, adapter: None })?,
            (Some((_, layer)), Some(member)) => {
                let plain = linear(&rows, &Linear { weight, bias, adapter: None })?;
                let all = layer.stacked_rows(member.layer, Some(&member.outputs), 0, part.count)?;
                low_rank_rows(&plain, &rows, &[all])?
            }
            (Some((adapter, layer)), None) => {
                let rate = adapter.dropout();
                let dropout = seed.map(|seed| Dropout { rate, seed: stream(seed, &layer.module().name) });
                layer.forward(&rows, weight, bias, training && adapter.trainable(), dropout)?
            }
        });
    }
    cat(&pieces.iter().collect::<Vec<_>>(), 0)
}
