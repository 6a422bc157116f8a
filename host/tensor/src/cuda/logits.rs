//! From hidden states to log-probabilities, tile by tile of the vocabulary, as `swift_kernels::token_logps` does it.

use candle_core::{DType, Device, Tensor as Value};
use swift_kernels_cuda::{
    Address, FINISH_LOGITS, FinishLogits, LOGITS_DIRECTION, LOGITS_STATE, LogitsDirection, PULL_LOGITS,
    PullLogits, TAKE_LOGITS, TakeLogits,
};

use super::buffer::{Buffer, Operands};
use super::launch::{Grid, launch};
use super::sums::{scale_rows, scale_rows_in_place};
use super::{column_sums, multiply, wide};
use crate::Result;
use crate::fused::{Head, Statistics};

const OP: &str = "token_statistics";

/// Tokens of a chunk.
const TOKENS: usize = if cfg!(feature = "emulation") { 64 } else { 4096 };
/// Logits that exist at a time: 128 MiB of `float32`.
const LOGITS: usize = 1 << 25;

/// One tile of logits.
struct Tile<'a> {
    logits: &'a mut Buffer,
    /// Its part of the projection.
    weight: Value,
    bias: Address,
    labels: Address,
    tokens: usize,
    first_token: usize,
    columns: usize,
    first_column: usize,
}

/// A part of the work: the hidden states of some tokens.
struct Chunk {
    hidden: Value,
    first: usize,
    count: usize,
}

impl Head {
    fn device(&self) -> &Device {
        self.hidden.device()
    }

    fn dtype(&self) -> DType {
        self.hidden.dtype()
    }

    fn at(&self) -> Operands<'_> {
        Operands { op: OP, device: self.device(), dtype: self.dtype() }
    }

    fn cap(&self) -> f64 {
        self.soft_cap.unwrap_or(0.0)
    }

    fn chunks(&self) -> impl Iterator<Item = Result<Chunk>> + '_ {
        let tokens = self.labels.len();
        (0..tokens).step_by(TOKENS).map(move |first| {
            let count = TOKENS.min(tokens - first);
            Ok(Chunk { hidden: self.hidden.narrow(0, first, count)?, first, count })
        })
    }

    /// Calls `f` with the logits of a chunk, a tile of the vocabulary after the other.
    fn tiles(&self, chunk: &Chunk, labels: Address, mut f: impl FnMut(Tile<'_>) -> Result<()>) -> Result<()> {
        let (vocab, device) = (self.weight.dim(0)?, self.device());
        let most = match cfg!(feature = "emulation") {
            // Three tiles, so that tests see several.
            true => vocab.div_ceil(3).max(1),
            false => (LOGITS / chunk.count.max(1)).clamp(1, vocab.max(1)),
        };
        let mut logits = Buffer::new(OP, device, wide(self.dtype()), chunk.count * most)?;
        for first_column in (0..vocab).step_by(most) {
            let columns = most.min(vocab - first_column);
            let weight = self.weight.narrow(0, first_column, columns)?;
            let bias = self.bias.as_ref().map(|bias| bias.narrow(0, first_column, columns)).transpose()?;
            multiply(OP, (&chunk.hidden, false), (&weight, true), (&mut logits, 0), false)?;
            f(Tile {
                logits: &mut logits,
                weight,
                bias: bias.as_ref().map_or(Ok(0), |bias| self.at().stored(bias))?,
                labels,
                tokens: chunk.count,
                first_token: chunk.first,
                columns,
                first_column,
            })?;
        }
        Ok(())
    }
}

/// The statistics of each token, and the direction if it is asked for.
pub(crate) fn logits_forward(head: &Head, with_direction: bool) -> Result<Statistics> {
    let (device, dtype, tokens, width) =
        (head.device(), head.dtype(), head.labels.len(), head.hidden.dim(1)?);
    let mut labels = Buffer::of(OP, device, &head.labels)?;
    let mut states = Buffer::new(OP, device, DType::U8, tokens * LOGITS_STATE)?;
    let mut direction = with_direction.then(|| Buffer::new(OP, device, dtype, tokens * width)).transpose()?;
    for chunk in head.chunks() {
        let chunk = chunk?;
        let labels = labels.address_of(chunk.first)?;
        let states = states.address_of(chunk.first * LOGITS_STATE)?;
        let mut means = Means::new(head, &chunk, with_direction, width)?;
        head.tiles(&chunk, labels, |tile| means.take(head, tile, states))?;
        if let (Some(direction), Some(mut sums)) = (direction.as_mut(), means.sums) {
            let arguments = LogitsDirection {
                weight: head.at().stored(&head.weight)?,
                means: sums.address()?,
                labels,
                states,
                direction: direction.address_of(chunk.first * width)?,
                width: width as i64,
                cap: head.cap(),
            };
            launch(OP, device, (LOGITS_DIRECTION, dtype), Grid::blocks(chunk.count, 1), &arguments)?;
        }
    }
    let per_token = || Buffer::new(OP, device, wide(dtype), tokens);
    let [mut logps, mut entropies, mut mean_logits, mut log_sum_exp] =
        [per_token()?, per_token()?, per_token()?, per_token()?];
    let mut predictions = Buffer::new(OP, device, DType::I64, tokens)?;
    let arguments = FinishLogits {
        states: states.address()?,
        logps: logps.address()?,
        predictions: predictions.address()?,
        entropies: entropies.address()?,
        mean_logits: mean_logits.address()?,
        log_sum_exp: log_sum_exp.address()?,
        count: tokens as i64,
        vocabulary: head.weight.dim(0)? as i64,
    };
    launch(OP, device, (FINISH_LOGITS, dtype), Grid::elements(tokens), &arguments)?;
    Ok(Statistics {
        logps: logps.into_value(&[tokens]),
        predictions: predictions.into_value(&[tokens]),
        entropies: entropies.into_value(&[tokens]),
        mean_logits: mean_logits.into_value(&[tokens]),
        log_sum_exp: log_sum_exp.into_value(&[tokens]),
        direction: direction.map(|direction| direction.into_value(&[tokens, width])),
    })
}

/// Sums of the rows of the projection, weighted by exponentials relative to the greatest logit so far.
struct Means {
    sums: Option<Buffer>,
    shrinks: Buffer,
    width: usize,
}

impl Means {
    fn new(head: &Head, chunk: &Chunk, wanted: bool, width: usize) -> Result<Self> {
        let (device, dtype) = (head.device(), wide(head.dtype()));
        let sums = wanted.then(|| Buffer::zeros(OP, device, dtype, chunk.count * width)).transpose()?;
        Ok(Self { sums, shrinks: Buffer::new(OP, device, dtype, chunk.count)?, width })
    }

    fn take(&mut self, head: &Head, tile: Tile<'_>, states: Address) -> Result<()> {
        let (device, dtype) = (head.device(), head.dtype());
        let Tile { logits, weight, bias, labels, tokens, columns, first_column, .. } = tile;
        let mut weights =
            self.sums.as_ref().map(|_| Buffer::new(OP, device, dtype, tokens * columns)).transpose()?;
        let arguments = TakeLogits {
            logits: logits.address()?,
            bias,
            labels,
            states,
            weights: weights.as_mut().map_or(Ok(0), Buffer::address)?,
            shrinks: self.shrinks.address()?,
            columns: columns as i64,
            first_column: first_column as i64,
            cap: head.cap(),
        };
        launch(OP, device, (TAKE_LOGITS, dtype), Grid::blocks(tokens, 1), &arguments)?;
        if let (Some(sums), Some(weights)) = (&mut self.sums, weights) {
            scale_rows_in_place(OP, device, sums, &mut self.shrinks, self.width)?;
            let weights = weights.into_value(&[tokens, columns]);
            multiply(OP, (&weights, false), (&weight, false), (sums, 0), true)?;
        }
        Ok(())
    }
}

/// From the direction that the way there left behind to the gradient of the hidden states.
pub(crate) fn direction_gradient(dlogp: &Value, direction: &Value) -> Result<Value> {
    scale_rows(OP, direction, dlogp, direction.dim(1)?)
}

/// The gradients of hidden states, projection and bias that are wanted, from logits that are computed again.
pub(crate) fn logits_backward(
    dlogp: &Value,
    head: &Head,
    log_sum_exp: &Value,
    [want_hidden, want_weight, want_bias]: [bool; 3],
) -> Result<[Option<Value>; 3]> {
    let (device, dtype) = (head.device(), head.dtype());
    let ((tokens, width), vocab) = (head.hidden.dims2()?, head.weight.dim(0)?);
    let dlogp = dlogp.contiguous()?;
    let mut labels = Buffer::of(OP, device, &head.labels)?;
    let zeros =
        |wanted: bool, count| wanted.then(|| Buffer::zeros(OP, device, wide(dtype), count)).transpose();
    let mut dhidden = zeros(want_hidden, tokens * width)?;
    let mut dweight = zeros(want_weight, vocab * width)?;
    let mut dbias = want_bias.then(|| Value::zeros(vocab, wide(dtype), device)).transpose()?;
    for chunk in head.chunks() {
        let chunk = chunk?;
        let wide_hidden = chunk.hidden.to_dtype(wide(dtype))?;
        let mut bias_parts = Vec::new();
        head.tiles(&chunk, labels.address_of(chunk.first)?, |tile| {
            let Tile { logits, weight, bias, labels, tokens, first_token, columns, first_column } = tile;
            let mut rounded = Buffer::new(OP, device, dtype, tokens * columns)?;
            let arguments = PullLogits {
                logits: logits.address()?,
                rounded: rounded.address()?,
                bias,
                labels,
                dlogp: head.at().wide(&dlogp.narrow(0, first_token, tokens)?)?,
                log_sum_exp: head.at().wide(&log_sum_exp.narrow(0, first_token, tokens)?)?,
                columns: columns as i64,
                first_column: first_column as i64,
                cap: head.cap(),
            };
            launch(OP, device, (PULL_LOGITS, dtype), Grid::blocks(tokens, 1), &arguments)?;
            let rounded = rounded.into_value(&[tokens, columns]);
            if let Some(dhidden) = &mut dhidden {
                multiply(OP, (&rounded, false), (&weight, false), (dhidden, first_token * width), true)?;
            }
            if dweight.is_none() && dbias.is_none() {
                return Ok(());
            }
            // Rounding errors would add up over the tokens, so nothing is rounded.
            let mut dlogits = Buffer::new(OP, device, wide(dtype), tokens * columns)?;
            std::mem::swap(&mut dlogits, logits);
            let dlogits = dlogits.into_value(&[tokens, columns]);
            if let Some(dweight) = &mut dweight {
                let to = (dweight, first_column * width);
                multiply(OP, (&dlogits, true), (&wide_hidden, false), to, true)?;
            }
            if dbias.is_some() {
                bias_parts.push(column_sums(OP, &dlogits, columns, None)?);
            }
            Ok(())
        })?;
        if let Some(sums) = dbias.take() {
            dbias = Some((sums + Value::cat(&bias_parts, 0)?)?);
        }
    }
    let dhidden = dhidden.map(|sums| sums.into_value(&[tokens, width]).to_dtype(dtype)).transpose()?;
    Ok([dhidden, dweight.map(|sums| sums.into_value(&[vocab, width])), dbias])
}
