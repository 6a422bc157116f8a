use candle_core::{DType, Device, Tensor as Value};
use swift_kernels::attention::AttentionOptions;
use swift_kernels_cuda::{ATTENTION_DELTA, ATTENTION_FORWARD, ATTENTION_KEYS, ATTENTION_QUERIES, Attention};

use super::buffer::{Buffer, Operands};
use super::launch::{BLOCK, Grid, launch, shared_memory};
use super::wide;
use crate::{Error, Result};

const OP: &str = "attention";
/// Rows that a warp owns, and threads of a warp.
const STRIP: usize = 16;
const WARP: usize = 32;
/// Rows of a tile, the most first; few where they are emulated, so that tests see several tiles.
const TILES: &[usize] = if cfg!(feature = "emulation") { &[32, 16] } else { &[64, 32, 16] };

/// Attention of queries `[tokens, heads, head_dim]` to keys and values of the sequences that lie end to end.
pub(crate) struct Sequences<'a> {
    pub(crate) qkv: [&'a Value; 3],
    pub(crate) sinks: Option<&'a Value>,
    /// One for each head, or none.
    pub(crate) slopes: &'a [f64],
    pub(crate) lengths: &'a [usize],
    pub(crate) options: &'a AttentionOptions,
}

/// Matrices in a kernel's shared memory, by the rows and elements that they have for each row of a tile.
struct Needs {
    /// As wide as a head, in the element type and in the one that is computed in.
    stored: usize,
    wide: usize,
    /// As wide as a tile.
    scores: usize,
    weights: usize,
}

const FORWARD: Needs = Needs { stored: 2, wide: 1, scores: 1, weights: 1 };
const QUERIES: Needs = Needs { stored: 3, wide: 1, scores: 2, weights: 1 };
const KEYS: Needs = Needs { stored: 3, wide: 2, scores: 2, weights: 1 };

impl Needs {
    fn bytes(&self, tile: usize, padded_dim: usize, dtype: DType) -> usize {
        let matrix = |columns: usize, dtype: DType| {
            // As `attention.cuh` has it: rows are 16 bytes longer, and matrices begin at multiples of 128.
            (tile * (columns * dtype.size_in_bytes() + 16)).next_multiple_of(128)
        };
        let computed = wide(dtype);
        self.stored * matrix(padded_dim, dtype)
            + self.wide * matrix(padded_dim, computed)
            + self.scores * matrix(tile, computed)
            + self.weights * matrix(tile, dtype)
    }
}

impl Sequences<'_> {
    fn sizes(&self) -> Result<[usize; 4]> {
        let [q, k, _] = self.qkv;
        let ((tokens, heads, head_dim), (_, kv_heads, _)) = (q.dims3()?, k.dims3()?);
        let options = self.options;
        let holds = heads.min(kv_heads).min(head_dim) > 0
            && heads % kv_heads == 0
            && options.window != Some(0)
            && options.soft_cap.is_none_or(|cap| cap > 0.0)
            && self.lengths.iter().sum::<usize>() == tokens;
        if !holds {
            let message =
                "needs heads in groups, a window of at least 1, a soft cap above 0 and lengths that add up";
            return Err(Error::invalid(OP, message));
        }
        Ok([tokens, heads, kv_heads, head_dim])
    }

    /// The arguments that all kernels share, with addresses of nothing.
    fn arguments(&self) -> Result<Attention> {
        let [tokens, heads, kv_heads, head_dim] = self.sizes()?.map(|size| size as i64);
        let &AttentionOptions { scale, window, soft_cap } = self.options;
        Ok(Attention {
            q: 0,
            k: 0,
            v: 0,
            sinks: 0,
            slopes: 0,
            out: 0,
            lse: 0,
            dout: 0,
            delta: 0,
            dq: 0,
            dk: 0,
            dv: 0,
            tiles: 0,
            tokens,
            heads,
            kv_heads,
            head_dim,
            padded_dim: (head_dim as usize).next_multiple_of(STRIP) as i64,
            tile: 0,
            window: window.unwrap_or(0) as i64,
            scale,
            soft_cap: soft_cap.unwrap_or(0.0),
        })
    }

    fn slopes(&self, device: &Device) -> Result<Option<Buffer>> {
        (!self.slopes.is_empty()).then(|| Buffer::of(OP, device, self.slopes)).transpose()
    }

    /// Cuts sequences into tiles of the largest size that fits: its rows, a list of tiles as kernels read it, their number, and
    /// the shared memory of a block.
    fn tiles(&self, needs: &Needs, padded_dim: i64, device: &Device, dtype: DType) -> Result<Tiles> {
        let there = shared_memory(OP, device)?;
        let bytes = |tile: usize| needs.bytes(tile, padded_dim as usize, dtype);
        let Some(tile) = TILES.iter().copied().find(|&tile| bytes(tile) <= there) else {
            let message =
                format!("heads of {padded_dim} components do not fit into {there} bytes of shared memory");
            return Err(Error::Unsupported { op: OP, what: message });
        };
        let (mut list, mut start) = (Vec::new(), 0);
        for &length in self.lengths {
            for first in (0..length).step_by(tile) {
                list.extend([start as i64, length as i64, first as i64]);
            }
            start += length;
        }
        let count = list.len() / 3;
        Ok(Tiles { tile, list: Buffer::of(OP, device, &list)?, count, shared: bytes(tile) })
    }
}

struct Tiles {
    tile: usize,
    list: Buffer,
    count: usize,
    shared: usize,
}

impl Tiles {
    fn grid(&self, heads: i64) -> Grid {
        Grid::blocks(self.count, heads as usize).with(self.tile / STRIP * WARP, self.shared)
    }
}

/// The result, and the logarithm of the sum of exponentials of each query's scores, `[heads, tokens]`.
pub(crate) fn attention_forward(sequences: &Sequences<'_>) -> Result<[Value; 2]> {
    let [q, k, v] = sequences.qkv;
    let (device, dtype) = (q.device(), q.dtype());
    let at = Operands { op: OP, device, dtype };
    let (q, k, v) = (q.contiguous()?, k.contiguous()?, v.contiguous()?);
    let sinks = sequences.sinks.map(|sinks| sinks.to_dtype(wide(dtype))?.contiguous()).transpose()?;
    let arguments = sequences.arguments()?;
    let [tokens, heads, ..] = sequences.sizes()?;
    let mut slopes = sequences.slopes(device)?;
    let mut tiles = sequences.tiles(&FORWARD, arguments.padded_dim, device, dtype)?;
    let mut out = Buffer::new(OP, device, dtype, q.elem_count())?;
    let mut lse = Buffer::new(OP, device, wide(dtype), heads * tokens)?;
    let arguments = Attention {
        q: at.stored(&q)?,
        k: at.stored(&k)?,
        v: at.stored(&v)?,
        sinks: at.wide_if(sinks.as_ref())?,
        slopes: slopes.as_mut().map_or(Ok(0), Buffer::address)?,
        out: out.address()?,
        lse: lse.address()?,
        tiles: tiles.list.address()?,
        tile: tiles.tile as i64,
        ..arguments
    };
    launch(OP, device, (ATTENTION_FORWARD, dtype), tiles.grid(arguments.heads), &arguments)?;
    Ok([out.into_value(q.dims()), lse.into_value(&[heads, tokens])])
}

/// The gradients of queries, keys and values, and of sinks if there are some.
pub(crate) fn attention_backward(
    sequences: &Sequences<'_>,
    dout: &Value,
    [out, lse]: [&Value; 2],
) -> Result<Vec<Option<Value>>> {
    let [q, k, v] = sequences.qkv;
    let (device, dtype) = (q.device(), q.dtype());
    let at = Operands { op: OP, device, dtype };
    let (q, k, v) = (q.contiguous()?, k.contiguous()?, v.contiguous()?);
    let (dout, out) = (dout.contiguous()?, out.contiguous()?);
    let [tokens, heads, ..] = sequences.sizes()?;
    let mut slopes = sequences.slopes(device)?;
    let mut delta = Buffer::new(OP, device, wide(dtype), heads * tokens)?;
    let shared = Attention {
        q: at.stored(&q)?,
        k: at.stored(&k)?,
        v: at.stored(&v)?,
        out: at.stored(&out)?,
        lse: at.wide(lse)?,
        dout: at.stored(&dout)?,
        delta: delta.address()?,
        slopes: slopes.as_mut().map_or(Ok(0), Buffer::address)?,
        ..sequences.arguments()?
    };
    let warps = Grid::blocks((heads * tokens * WARP).div_ceil(BLOCK as usize), 1);
    launch(OP, device, (ATTENTION_DELTA, dtype), warps, &shared)?;

    let mut dq = Buffer::new(OP, device, dtype, q.elem_count())?;
    let mut tiles = sequences.tiles(&QUERIES, shared.padded_dim, device, dtype)?;
    let (list, tile) = (tiles.list.address()?, tiles.tile as i64);
    let arguments = Attention { dq: dq.address()?, tiles: list, tile, ..shared };
    launch(OP, device, (ATTENTION_QUERIES, dtype), tiles.grid(shared.heads), &arguments)?;

    let mut dk = Buffer::new(OP, device, dtype, k.elem_count())?;
    let mut dv = Buffer::new(OP, device, dtype, v.elem_count())?;
    let mut tiles = sequences.tiles(&KEYS, shared.padded_dim, device, dtype)?;
    let (list, tile) = (tiles.list.address()?, tiles.tile as i64);
    let arguments = Attention { dk: dk.address()?, dv: dv.address()?, tiles: list, tile, ..shared };
    launch(OP, device, (ATTENTION_KEYS, dtype), tiles.grid(shared.kv_heads), &arguments)?;

    let mut gradients =
        vec![Some(dq.into_value(q.dims())), Some(dk.into_value(k.dims())), Some(dv.into_value(v.dims()))];
    if let Some(sinks) = sequences.sinks {
        // `-sum over tokens of exp(sink - lse) delta`.
        let delta = delta.into_value(&[heads, tokens]);
        let scores = sinks.to_dtype(wide(dtype))?.reshape((heads, 1))?;
        let weights = scores.broadcast_sub(lse)?.exp()?;
        let sums = (weights * delta)?.sum(1)?.neg()?;
        gradients.push(Some(sums.to_dtype(sinks.dtype())?));
    }
    Ok(gradients)
}
