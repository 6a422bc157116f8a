use std::borrow::Cow;
use std::sync::Arc;

use candle_core::{DType, Tensor as Value};
use swift_kernels::rope as kernel;

use crate::storage::{make, on_device, read, with_real, zeros};
use crate::tape::record;
use crate::{Error, Result, Tensor};

const OP: &str = "rope";

/// Cosines and sines of the rotation of each position: made once for a batch, used by every layer.
#[derive(Clone, Debug)]
pub struct RotaryTable {
    cos: Arc<[f32]>,
    sin: Arc<[f32]>,
    /// Cosines and sines for `float64`, the former first.
    wide: Option<[Arc<[f64]>; 2]>,
    /// Both where tensors are rotated on a device, once they have been.
    #[cfg(any(feature = "cuda", feature = "emulation"))]
    on_device: Arc<std::sync::OnceLock<[Value; 2]>>,
    pairs: usize,
    interleaved: bool,
}

/// What sequences beyond a length are rotated with, in the place of a table's own frequencies.
#[derive(Clone, Debug, PartialEq)]
pub struct LongerSequences {
    /// The most tokens of a sequence that has the table's own.
    pub tokens: u64,
    /// One for each rotated pair.
    pub inverse_frequencies: Vec<f64>,
    /// By how much the slowest pair turns more slowly the longer the sequence is; 0 for one table of all lengths.
    pub growth: f64,
}

impl LongerSequences {
    /// The frequencies of a sequence of `length` tokens, if it is longer: pair `i` of `n` has `inverse_frequencies[i] / (1 + growth *
    /// (length / tokens - 1))^(i / (n - 1))`. With the base `theta` of frequencies `theta^(-2i / dim)`, that is the base `theta *
    /// (growth * length / tokens - (growth - 1))^(dim / (dim - 2))` of transformers' `dynamic` scheme.
    pub fn frequencies(&self, length: u64) -> Option<Cow<'_, [f64]>> {
        if length <= self.tokens {
            return None;
        }
        if self.growth == 0.0 {
            return Some(Cow::Borrowed(&self.inverse_frequencies));
        }
        let stretch = 1.0 + self.growth * (length as f64 / self.tokens as f64 - 1.0);
        let last = self.inverse_frequencies.len().saturating_sub(1).max(1) as f64;
        let pairs = self.inverse_frequencies.iter().enumerate();
        Some(pairs.map(|(pair, frequency)| frequency / stretch.powf(pair as f64 / last)).collect())
    }
}

/// Some positions, and the frequencies that they are rotated with.
pub type RotaryPart<'a> = (Cow<'a, [f64]>, &'a [u32]);

/// The parts of `positions` that are rotated alike: those of each of the sequences, of these `lengths`, by how long it is, or as if it
/// had `longest` tokens. `own` are the frequencies of a sequence that is not longer than others begin at.
pub fn rotary_parts<'a>(
    own: &'a [f64],
    longer: Option<&'a LongerSequences>,
    mut positions: &'a [u32],
    lengths: &[usize],
    longest: Option<u64>,
) -> Vec<RotaryPart<'a>> {
    let Some(longer) = longer else { return vec![(Cow::Borrowed(own), positions)] };
    let mut parts = Vec::with_capacity(lengths.len());
    for &length in lengths {
        let Some((part, rest)) = positions.split_at_checked(length) else { break };
        positions = rest;
        let length = part.iter().max().map_or(0, |&last| u64::from(last) + 1);
        parts.push((longer.frequencies(longest.unwrap_or(length)).unwrap_or(Cow::Borrowed(own)), part));
    }
    parts
}

impl RotaryTable {
    /// Angles are `position * inverse_frequencies[i]`; `scale` multiplies cosines and sines. Pairs are `(2i, 2i + 1)` if
    /// `interleaved`, else `(i, i + pairs)`. `dtype` is that of the tensors to rotate.
    pub fn new(
        inverse_frequencies: &[f64],
        positions: &[u32],
        scale: f64,
        interleaved: bool,
        dtype: DType,
    ) -> Self {
        Self::of_parts(&[(Cow::Borrowed(inverse_frequencies), positions)], scale, interleaved, dtype)
    }

    /// As [`Self::new`], where each of some parts of the positions has frequencies of its own, one for each of as many pairs.
    pub fn of_parts(parts: &[RotaryPart<'_>], scale: f64, interleaved: bool, dtype: DType) -> Self {
        let pairs = parts.first().map_or(0, |(frequencies, _)| frequencies.len());
        let [cos, sin] = tables::<f32>(parts, scale);
        let wide = (dtype == DType::F64).then(|| tables::<f64>(parts, scale));
        Self {
            cos,
            sin,
            wide,
            #[cfg(any(feature = "cuda", feature = "emulation"))]
            on_device: Arc::default(),
            pairs,
            interleaved,
        }
    }

    /// Cosines and sines on the device of `like`, in the type that it is computed in.
    #[cfg(any(feature = "cuda", feature = "emulation"))]
    fn on_device_of(&self, like: &Value) -> Result<&[Value; 2]> {
        if let Some(there) = self.on_device.get() {
            return Ok(there);
        }
        let dims = (self.cos.len() / self.pairs.max(1), self.pairs);
        let made = match (crate::storage::wide(like.dtype()), &self.wide) {
            (DType::F64, Some([cos, sin])) => {
                [cos, sin].map(|table| Value::from_slice(table, dims, like.device()))
            }
            _ => [&self.cos, &self.sin].map(|table| Value::from_slice(table, dims, like.device())),
        };
        let [cos, sin] = made;
        let made = [cos?, sin?];
        Ok(self.on_device.get_or_init(|| made))
    }
}

/// Cosines and sines of all parts.
fn tables<C: swift_kernels::Float>(parts: &[RotaryPart<'_>], scale: f64) -> [Arc<[C]>; 2] {
    let (mut cos, mut sin) = (Vec::new(), Vec::new());
    for (frequencies, positions) in parts {
        let (mut more_cos, mut more_sin) = kernel::tables::<C>(frequencies, positions, scale);
        cos.append(&mut more_cos);
        sin.append(&mut more_sin);
    }
    [cos.into(), sin.into()]
}

/// The table in the precision that an element type computes in.
trait Precision: Sized {
    fn pick(table: &RotaryTable) -> Option<(&[Self], &[Self])>;
}

impl Precision for f32 {
    fn pick(table: &RotaryTable) -> Option<(&[Self], &[Self])> {
        Some((&table.cos, &table.sin))
    }
}

impl Precision for f64 {
    fn pick(table: &RotaryTable) -> Option<(&[Self], &[Self])> {
        table.wide.as_ref().map(|[cos, sin]| (&**cos, &**sin))
    }
}

/// Rotary position embedding of `[tokens, heads, head_dim]` (Su et al. 2021). Components beyond the rotated pairs pass
/// through. The way back is the rotation by the opposite angle.
///
/// # Errors
/// If the shape does not fit the table.
pub fn rope(x: &Tensor, table: &RotaryTable) -> Result<Tensor> {
    let table = table.clone();
    let y = rotate(x.value(), &table, false)?;
    record(OP, y, &[x], move |gradient, _| Ok(vec![Some(rotate(gradient, &table, true)?)]))
}

fn rotate(x: &Value, table: &RotaryTable, inverse: bool) -> Result<Value> {
    let &[tokens, heads, head_dim] = x.dims() else {
        return Err(Error::invalid(OP, format!("shape {:?} is not [tokens, heads, head_dim]", x.dims())));
    };
    if 2 * table.pairs > head_dim || table.cos.len() != tokens * table.pairs {
        return Err(Error::shapes(OP, x.dims(), &[table.cos.len() / table.pairs.max(1), 2 * table.pairs]));
    }
    let shape = kernel::RopeShape { heads, head_dim, pairs: table.pairs };
    on_device!(OP, x.device(),
        cpu: turn(x, table, &shape, inverse),
        cuda: crate::cuda::rotate(x, &shape, table.on_device_of(x)?, table.interleaved, inverse),
    )
}

fn turn(x: &Value, table: &RotaryTable, shape: &kernel::RopeShape, inverse: bool) -> Result<Value> {
    with_real!(OP, x.dtype(), T => {
        let (cos, sin) = <<T as swift_kernels::Element>::Compute as Precision>::pick(table)
            .ok_or_else(|| Error::invalid(OP, "the table was made for another element type"))?;
        read::<T, _>(x, |elements| {
            let mut y = zeros::<T>(elements.len());
            kernel::rotate(elements, &mut y, shape, cos, sin, table.interleaved, inverse)?;
            make(y, x.dims())
        })
    })
}
