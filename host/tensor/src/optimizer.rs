//! The optimiser's arithmetic, in place on the storage of a parameter.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Mutex;

use candle_core::{CpuStorage, DType, InplaceOp1, Layout, Tensor as Value};
use swift_kernels::{Element, adamw};

use crate::reading::{count_read, read_back};
use crate::storage::{on_device, read};
use crate::{Error, Result};

const OP: &str = "adamw";

/// The constants of AdamW (Loshchilov and Hutter 2017).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the denominator.
    pub epsilon: f64,
}

/// `float32` numbers that an optimiser keeps, where their parameter is.
#[derive(Debug)]
pub struct Numbers(Kept);

#[derive(Debug)]
enum Kept {
    Host(Vec<f32>),
    #[cfg(any(feature = "cuda", feature = "emulation"))]
    Device(crate::cuda::Buffer),
}

impl Numbers {
    /// Takes numbers to the device of `parameter`.
    ///
    /// # Errors
    /// If they don't fit there.
    pub fn new(parameter: &Value, numbers: Vec<f32>) -> Result<Self> {
        on_device!(OP, parameter.device(),
            cpu: Ok(Self(Kept::Host(numbers))),
            cuda: Ok(Self(Kept::Device(crate::cuda::Buffer::of(OP, parameter.device(), &numbers)?))),
        )
    }

    /// How many they are.
    #[expect(clippy::len_without_is_empty, reason = "a parameter has elements")]
    pub fn len(&self) -> usize {
        match &self.0 {
            Kept::Host(numbers) => numbers.len(),
            #[cfg(any(feature = "cuda", feature = "emulation"))]
            Kept::Device(buffer) => buffer.count(),
        }
    }

    /// The numbers themselves, copied if they are on a device.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn to_host(&self) -> Result<Cow<'_, [f32]>> {
        match &self.0 {
            Kept::Host(numbers) => Ok(numbers.into()),
            #[cfg(any(feature = "cuda", feature = "emulation"))]
            Kept::Device(buffer) => Ok(buffer.to_vec()?.into()),
        }
    }

    fn host(&mut self) -> Result<&mut [f32]> {
        match &mut self.0 {
            Kept::Host(numbers) => Ok(numbers.as_mut_slice()),
            #[cfg(any(feature = "cuda", feature = "emulation"))]
            Kept::Device(_) => Err(Error::invalid(OP, "a state on another device than its parameter")),
        }
    }

    #[cfg(any(feature = "cuda", feature = "emulation"))]
    fn device(&mut self) -> Result<&mut crate::cuda::Buffer> {
        match &mut self.0 {
            Kept::Device(buffer) => Ok(buffer),
            Kept::Host(_) => Err(Error::invalid(OP, "a state on another device than its parameter")),
        }
    }
}

/// What AdamW keeps for one parameter.
#[derive(Debug)]
pub struct AdamWState {
    /// Running mean of the gradient.
    pub first_moment: Numbers,
    /// Running mean of its square.
    pub second_moment: Numbers,
    /// The parameter at full precision, if it is kept in 16 bits itself.
    pub master: Option<Numbers>,
}

impl AdamWState {
    /// The state before the first step.
    ///
    /// # Errors
    /// If the parameter can't be read.
    pub fn new(parameter: &Value) -> Result<Self> {
        let zeros = || Numbers::new(parameter, vec![0.0; parameter.elem_count()]);
        let master = match parameter.dtype() {
            DType::BF16 | DType::F16 => {
                let numbers = read_back(&parameter.to_dtype(DType::F32)?)?;
                Some(Numbers::new(parameter, numbers)?)
            }
            _ => None,
        };
        Ok(Self { first_moment: zeros()?, second_moment: zeros()?, master })
    }
}

/// One step of AdamW: `parameter` is changed in place.
///
/// `gradient` is `float32` in the shape of the parameter and is multiplied by `gradient_scale` (clipping) on the way;
/// `step` counts from one.
///
/// # Errors
/// If the parameter is not `float32`, `bfloat16` or `float16`, or shapes don't fit.
#[expect(clippy::too_many_arguments, reason = "the arguments are those of the published update rule")]
pub fn adamw_step(
    parameter: &Value,
    gradient: &Value,
    state: &mut AdamWState,
    learning_rate: f64,
    weight_decay: f64,
    step: u64,
    gradient_scale: f64,
    constants: &AdamW,
) -> Result<()> {
    if parameter.dims() != gradient.dims() {
        return Err(Error::shapes(OP, parameter.dims(), gradient.dims()));
    }
    let step = adamw::AdamWStep {
        learning_rate,
        beta1: constants.beta1,
        beta2: constants.beta2,
        epsilon: constants.epsilon,
        weight_decay,
        step,
        gradient_scale,
    };
    let AdamWState { first_moment, second_moment, master } = state;
    on_device!(OP, parameter.device(),
        cpu: {
            let state = HostState {
                first_moment: first_moment.host()?,
                second_moment: second_moment.host()?,
                master: master.as_mut().map(Numbers::host).transpose()?,
            };
            read::<f32, _>(gradient, |gradient| {
                Ok(parameter.inplace_op1(&Update { gradient, state: Mutex::new(state), step })?)
            })
        },
        cuda: {
            let moments = [first_moment.device()?, second_moment.device()?];
            let master = master.as_mut().map(Numbers::device).transpose()?;
            crate::cuda::adamw(parameter, gradient, moments, master, &step)
        },
    )
}

/// The sum of squares of each `float32` value, in `float64` and in a fixed order. From a device all are read at once.
///
/// # Errors
/// If one is of another type or on another device than the first, or can't be read.
pub fn sums_of_squares(values: &[&Value]) -> Result<Vec<f64>> {
    let Some(first) = values.first() else { return Ok(Vec::new()) };
    let sum = |value: &&Value| {
        read::<f32, _>(value, |elements| Ok(swift_kernels::elementwise::sum_of_squares(elements)))
    };
    count_read()?;
    on_device!("sum_of_squares", first.device(),
        cpu: values.iter().map(sum).collect(),
        cuda: crate::cuda::sums_of_squares(values),
    )
}

/// What AdamW keeps, on the CPU.
struct HostState<'a> {
    first_moment: &'a mut [f32],
    second_moment: &'a mut [f32],
    master: Option<&'a mut [f32]>,
}

struct Update<'a> {
    gradient: &'a [f32],
    /// candle lends the operation immutably; the lock is never contended.
    state: Mutex<HostState<'a>>,
    step: adamw::AdamWStep,
}

impl Update<'_> {
    fn step<T: Element<Compute = f32>>(&self, all: &mut [T], range: Range<usize>) -> candle_core::Result<()> {
        let p = all.get_mut(range).ok_or_else(|| refused("a parameter outside of its storage"))?;
        let mut state = self.state.lock().map_err(|_| refused("a state left by a panic"))?;
        let HostState { first_moment, second_moment, master } = &mut *state;
        let done =
            adamw::step(p, master.as_deref_mut(), self.gradient, first_moment, second_moment, &self.step);
        done.map_err(candle_core::Error::wrap)
    }
}

impl InplaceOp1 for Update<'_> {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let (start, end) = layout.contiguous_offsets().ok_or_else(|| refused("a parameter with gaps"))?;
        match storage {
            CpuStorage::F32(all) => self.step(all, start..end),
            CpuStorage::BF16(all) => self.step(all, start..end),
            CpuStorage::F16(all) => self.step(all, start..end),
            _ => Err(refused("an element type other than `float32`, `bfloat16` and `float16`")),
        }
    }
}

fn refused(what: &str) -> candle_core::Error {
    candle_core::Error::Msg(format!("`adamw` can't update {what}"))
}
