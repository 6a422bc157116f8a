//! One layer on rows that have different adapters.

use std::ops::Range;
use std::sync::Arc;

use swift_tensor::fused::{Linear, Way, head_linear, linear};
use swift_tensor::{Result, Tensor, cat};

use super::Adapter;

/// `x W^T + b` for `x` `[rows, in]`, where the adapter of each part of the rows works on that part. The product with `W`, by
/// far the largest, is taken once for all of them.
pub(crate) fn adapted_rows(
    x: &Tensor,
    index: usize,
    weight: Tensor,
    bias: Option<Tensor>,
    parts: &[(usize, Option<Arc<Adapter>>)],
) -> Result<Tensor> {
    let plain = linear(x, &Linear { weight: weight.clone(), bias: bias.clone(), adapter: None })?;
    let layer = |adapter: &Option<Arc<Adapter>>| adapter.as_ref().is_some_and(|a| a.layer(index).is_some());
    if !parts.iter().any(|(_, adapter)| layer(adapter)) {
        return Ok(plain);
    }
    let (mut start, mut pieces) = (0, Vec::with_capacity(parts.len()));
    for (count, adapter) in parts {
        let rows = |tensor: &Tensor| tensor.narrow(0, start, *count as u64);
        pieces.push(match adapter.as_ref().and_then(|adapter| adapter.layer(index)) {
            None => rows(&plain)?,
            Some(layer) => match layer.addition(&rows(x)?)? {
                Some(addition) => rows(&plain)?.add(&addition)?,
                None => layer.forward(&rows(x)?, weight.clone(), bias.clone(), false, None)?,
            },
        });
        start += *count as u64;
    }
    cat(&pieces.iter().collect::<Vec<_>>(), 0)
}

/// [`head_linear`] with the layer `index`, where the adapter of each part of the tokens works on that part.
pub(crate) fn adapted_heads(
    x: &Tensor,
    index: usize,
    weight: &Tensor,
    rows: Range<usize>,
    way: Way,
    parts: &[(usize, Option<Arc<Adapter>>)],
) -> Result<Tensor> {
    let layer = |adapter: &Option<Arc<Adapter>>| adapter.as_ref().is_some_and(|a| a.layer(index).is_some());
    if !parts.iter().any(|(_, adapter)| layer(adapter)) {
        return head_linear(x, weight, rows, way);
    }
    let (mut start, mut pieces) = (0, Vec::with_capacity(parts.len()));
    for (count, adapter) in parts {
        let x = x.narrow(0, start, *count as u64)?;
        pieces.push(match adapter.as_ref().and_then(|adapter| adapter.layer(index)) {
            None => head_linear(&x, weight, rows.clone(), way)?,
            Some(layer) => layer.head_linear(&x, weight, rows.clone(), way)?,
        });
        start += *count as u64;
    }
    cat(&pieces.iter().collect::<Vec<_>>(), 0)
}
