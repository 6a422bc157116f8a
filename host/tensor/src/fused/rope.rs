use std::borrow::Cow;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor as Value, WithDType};
use swift_kernels::rope as kernel;

use crate::storage::{make, on_device, read, with_real, zeros};
use crate::tape::record;
use crate::{Error, HostNumbers, Result, Tensor};

const OP: &str = "rope";

/// Cosines and sines of the rotation of each position: made once for a batch, used by every layer.
#[derive(Clone, Debug)]
pub struct RotaryTable {
    /// Cosines, and sines.
    narrow: [Arc<HostNumbers<f32>>; 2],
    /// The same for `float64`.
    wide: Option<[Arc<HostNumbers<f64>>; 2]>,
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
        let narrow = tables::<f32>(parts, scale);
        let wide = (dtype == DType::F64).then(|| tables::<f64>(parts, scale));
        Self { narrow, wide, pairs, interleaved }
    }

    /// Sends what tensors of `dtype` are rotated with to `device`, to where it is of `others` if they are given.
    ///
    /// # Errors
    /// If the device has not as much memory, or `others` are of another size or on no device.
    pub fn send(&self, device: &Device, others: Option<&Self>) -> Result<()> {
        fn all<T: WithDType>(
            mine: &[Arc<HostNumbers<T>>; 2],
            others: Option<&[Arc<HostNumbers<T>>; 2]>,
            device: &Device,
        ) -> Result<()> {
            match others {
                Some(others) => mine.iter().zip(others).try_for_each(|(mine, others)| mine.replace(others)),
                None => mine.iter().try_for_each(|mine| mine.send(device)),
            }
        }
        match &self.wide {
            Some(wide) => all(wide, others.and_then(|others| others.wide.as_ref()), device),
            None => all(&self.narrow, others.map(|others| &others.narrow), device),
        }
    }

    /// Cosines and sines on the device of `like`, in the type that it is computed in.
    #[cfg(any(feature = "cuda", feature = "emulation"))]
    fn on_device_of(&self, like: &Value) -> Result<[&Value; 2]> {
        let device = like.device();
        match (crate::storage::wide(like.dtype()), &self.wide) {
            (DType::F64, Some([cos, sin])) => Ok([cos.on(OP, device)?, sin.on(OP, device)?]),
            _ => {
                let [cos, sin] = &self.narrow;
                Ok([cos.on(OP, device)?, sin.on(OP, device)?])
            }
        }
    }

    /// Positions that there are angles for.
    fn positions(&self) -> usize {
        let [cos, _] = &self.narrow;
        cos.host().len() / self.pairs.max(1)
    }
}

/// Cosines and sines of all parts.
fn tables<C: swift_kernels::Float + WithDType>(
    parts: &[RotaryPart<'_>],
    scale: f64,
) -> [Arc<HostNumbers<C>>; 2] {
    let (mut cos, mut sin) = (Vec::new(), Vec::new());
    for (frequencies, positions) in parts {
        let (mut more_cos, mut more_sin) = kernel::tables::<C>(frequencies, positions, scale);
        cos.append(&mut more_cos);
        sin.append(&mut more_sin);
    }
    [cos, sin].map(|numbers| Arc::new(HostNumbers::new(numbers)))
}

/// The table in the precision that an element type computes in.
trait Precision: Sized {
    fn pick(table: &RotaryTable) -> Option<(&[Self], &[Self])>;
}

impl Precision for f32 {
    fn pick(table: &RotaryTable) -> Option<(&[Self], &[Self])> {
        let [cos, sin] = &table.narrow;
        Some((cos.host(), sin.host()))
    }
}

impl Precision for f64 {
    fn pick(table: &RotaryTable) -> Option<(&[Self], &[Self])> {
        table.wide.as_ref().map(|[cos, sin]| (cos.host(), sin.host()))
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
    if 2 * table.pairs > head_dim || table.pairs > 0 && table.positions() != tokens {
        return Err(Error::shapes(OP, x.dims(), &[table.positions(), 2 * table.pairs]));
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
