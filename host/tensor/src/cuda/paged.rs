use candle_core::{DType, Tensor as Value};
use swift_kernels::attention::AttentionOptions;
use swift_kernels::attention::paged::PagedShape;
use swift_kernels_cuda::{PAGED, PAGED_WRITE, Paged, PagedWrite};

use super::buffer::{Buffer, Operands};
use super::launch::{Grid, launch};
use super::{contiguous, converted, wide};
use crate::fused::HeadScores;
use crate::{Error, Result};

const OP: &str = "paged_attention";
/// Components of a head, at most: what the threads of a warp keep.
const WIDEST: usize = 576;
const THREADS: usize = 128;

/// Writes rows of `width` elements to their slots of a cache.
pub(crate) fn paged_write(x: &Value, slots: &Value, width: usize, cache: &mut Buffer) -> Result<()> {
    let (device, x) = (x.device(), contiguous(x)?);
    let at = Operands { op: OP, device, dtype: cache.dtype() };
    let rows = slots.elem_count();
    let arguments = PagedWrite {
        x: at.stored(&x)?,
        slots: Operands { dtype: DType::I64, ..at }.stored(slots)?,
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
    /// The position of each token with where its blocks begin, and the blocks.
    pub(crate) tables: [&'a Value; 2],
    pub(crate) shape: &'a PagedShape,
    pub(crate) options: &'a AttentionOptions,
}

/// Attention of queries to what a cache holds of their sequences.
pub(crate) fn paged_attention(queries: PagedQueries<'_>) -> Result<Value> {
    let PagedQueries { q, caches: [keys, values], added, tables, shape, options } = queries;
    let (device, dtype, q) = (q.device(), q.dtype(), contiguous(q)?);
    let &PagedShape { heads, kv_heads, head_dim, value_dim, block_size } = shape;
    let tokens = q.dim(0)?;
    if head_dim.max(value_dim) > WIDEST || kv_heads == 0 || heads % kv_heads != 0 {
        let what = format!("{heads} heads for {kv_heads} of {head_dim} components");
        return Err(Error::Unsupported { op: OP, what });
    }
    let [places, blocks] = tables;
    if places.elem_count() != 2 * tokens {
        return Err(Error::shapes(OP, q.dims(), places.dims()));
    }
    let tables = Operands { op: OP, device, dtype: DType::I64 };
    let at = Operands { op: OP, device, dtype };
    let sinks =
        added.sinks.map(|sinks| contiguous(&converted(OP, sinks.value(), wide(dtype))?)).transpose()?;
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
        places: tables.stored(places)?,
        blocks: tables.stored(blocks)?,
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
