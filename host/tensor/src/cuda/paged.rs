use candle_core::{Device, Tensor as Value};
use swift_kernels::attention::AttentionOptions;
use swift_kernels::attention::paged::{PagedSequence, PagedShape};
use swift_kernels_cuda::{PAGED, PAGED_WRITE, Paged, PagedWrite};

use super::buffer::{Buffer, Operands};
use super::launch::{Grid, launch};
use super::wide;
use crate::fused::HeadScores;
use crate::{Error, Result};

const OP: &str = "paged_attention";
/// Components of a head, at most: what the threads of a warp keep.
const WIDEST: usize = 576;
const THREADS: usize = 128;

/// Writes rows of `width` elements to their slots of a cache.
pub(crate) fn paged_write(x: &Value, slots: &[i64], width: usize, cache: &mut Buffer) -> Result<()> {
    let (device, x) = (x.device(), x.contiguous()?);
    let at = Operands { op: OP, device, dtype: cache.dtype() };
    let mut slots = Buffer::of(OP, device, slots)?;
    let rows = slots.count();
    let arguments = PagedWrite {
        x: at.stored(&x)?,
        slots: slots.address()?,
        cache: cache.address()?,
        width: width as i64,
    };
    launch(OP, device, (PAGED_WRITE, cache.dtype()), Grid::blocks(rows, 1), &arguments)
}

/// Copies the block `from` to the block `to`, each of `size` elements.
pub(crate) fn paged_copy(cache: &mut Buffer, size: usize, from: usize, to: usize) -> Result<()> {
    let device = cache.device();
    let mut slots = Buffer::of(OP, &device, &[to as i64])?;
    let arguments = PagedWrite {
        x: cache.address_of(from * size)?,
        slots: slots.address()?,
        cache: cache.address()?,
        width: size as i64,
    };
    launch(OP, &device, (PAGED_WRITE, cache.dtype()), Grid::blocks(1, 1), &arguments)
}

/// Queries of new tokens, and what they attend to.
pub(crate) struct PagedQueries<'a> {
    /// `[tokens, heads, head_dim]`.
    pub(crate) q: &'a Value,
    /// Keys, and values unless these are a part of the keys.
    pub(crate) caches: [Option<&'a mut Buffer>; 2],
    pub(crate) added: HeadScores<'a>,
    pub(crate) sequences: &'a [PagedSequence<'a>],
    pub(crate) shape: &'a PagedShape,
    pub(crate) options: &'a AttentionOptions,
}

/// Attention of queries to what a cache holds of their sequences.
pub(crate) fn paged_attention(queries: PagedQueries<'_>) -> Result<Value> {
    let PagedQueries { q, caches: [keys, values], added, sequences, shape, options } = queries;
    let (device, dtype, q) = (q.device(), q.dtype(), q.contiguous()?);
    let &PagedShape { heads, kv_heads, head_dim, value_dim, block_size } = shape;
    let tokens = q.dim(0)?;
    if head_dim.max(value_dim) > WIDEST || kv_heads == 0 || heads % kv_heads != 0 {
        let what = format!("{heads} heads for {kv_heads} of {head_dim} components");
        return Err(Error::Unsupported { op: OP, what });
    }
    let (mut places, mut blocks) = (Vec::new(), Vec::new());
    for sequence in sequences {
        let first = blocks.len() as i64;
        let positions = sequence.length.saturating_sub(sequence.queries)..sequence.length;
        places.extend(positions.flat_map(|position| [position as i64, first]));
        blocks.extend(sequence.blocks.iter().map(|&block| i64::from(block)));
    }
    if places.len() != 2 * tokens {
        return Err(Error::shapes(OP, q.dims(), &[places.len() / 2]));
    }
    let upload = |numbers: &[i64], device: &Device| Buffer::of(OP, device, numbers);
    let (mut places, mut blocks) = (upload(&places, device)?, upload(&blocks, device)?);
    let at = Operands { op: OP, device, dtype };
    let sinks = added.sinks.map(|sinks| sinks.value().to_dtype(wide(dtype))?.contiguous()).transpose()?;
    let has_slopes = !added.slopes.is_empty();
    let mut slopes = has_slopes.then(|| Buffer::of(OP, device, added.slopes)).transpose()?;
    let mut out = Buffer::new(OP, device, dtype, tokens * heads * value_dim)?;
    let of = |cache: Option<&mut Buffer>| cache.map_or(Ok(0), Buffer::address);
    let arguments = Paged {
        q: at.stored(&q)?,
        keys: of(keys)?,
        values: of(values)?,
        sinks: at.wide_if(sinks.as_ref())?,
        slopes: slopes.as_mut().map_or(Ok(0), Buffer::address)?,
        places: places.address()?,
        blocks: blocks.address()?,
        out: out.address()?,
        heads: heads as i64,
        kv_heads: kv_heads as i64,
        head_dim: head_dim as i64,
        value_dim: value_dim as i64,
        block_size: block_size as i64,
        window: options.window.unwrap_or(0) as i64,
        scale: options.scale,
        soft_cap: options.soft_cap.unwrap_or(0.0),
    };
    launch(OP, device, (PAGED, dtype), Grid::blocks(tokens, heads).with(THREADS, 0), &arguments)?;
    Ok(out.into_value(&[tokens, heads, value_dim]))
}
