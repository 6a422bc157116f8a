//! The optimiser's arithmetic, in place on the storage of a parameter.

use std::sync::Mutex;

use candle_core::{CpuStorage, DType, InplaceOp1, Layout, Tensor as Value};
use swift_kernels::adamw;

use crate::storage::read;
use crate::{Error, Result};

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

/// What AdamW keeps for one parameter, in `float32`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AdamWState {
    /// Running mean of the gradient.
    pub first_moment: Vec<f32>,
    /// Running mean of its square.
    pub second_moment: Vec<f32>,
    /// The parameter at full precision, if it is kept in `bfloat16` itself; else empty.
    pub master: Vec<f32>,
}

impl AdamWState {
    /// The state before the first step.
    ///
    /// # Errors
    /// If the parameter can't be read.
    pub fn new(parameter: &Value) -> Result<Self> {
        let count = parameter.elem_count();
        let master = match parameter.dtype() {
            DType::BF16 => parameter.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?,
            _ => Vec::new(),
        };
        Ok(Self { first_moment: vec![0.0; count], second_moment: vec![0.0; count], master })
    }
}

/// One step of AdamW: `parameter` is changed in place.
///
/// `gradient` is `float32` in the shape of the parameter and is multiplied by `gradient_scale` (clipping) on the way;
/// `step` counts from one.
///
/// # Errors
/// If the parameter is neither `float32` nor `bfloat16`, or shapes don't fit.
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
        return Err(Error::shapes("adamw", parameter.dims(), gradient.dims()));
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
    read::<f32, _>(gradient, |gradient| {
        Ok(parameter.inplace_op1(&Update { gradient, state: Mutex::new(state), step })?)
    })
}

struct Update<'a> {
    gradient: &'a [f32],
    /// candle lends the operation immutably; the lock is never contended.
    state: Mutex<&'a mut AdamWState>,
    step: adamw::AdamWStep,
}

impl InplaceOp1 for Update<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let (start, end) = layout.contiguous_offsets().ok_or_else(|| refused("a parameter with gaps"))?;
        let mut state = self.state.lock().map_err(|_| refused("a state left by a panic"))?;
        let AdamWState { first_moment, second_moment, master } = &mut **state;
        let done = match storage {
            CpuStorage::F32(p) => {
                let p = p.get_mut(start..end).ok_or_else(|| refused("a parameter outside of its storage"))?;
                adamw::step(p, None, self.gradient, first_moment, second_moment, &self.step)
            }
            CpuStorage::BF16(p) => {
                let p = p.get_mut(start..end).ok_or_else(|| refused("a parameter outside of its storage"))?;
                adamw::step(p, Some(master), self.gradient, first_moment, second_moment, &self.step)
            }
            _ => return Err(refused("an element type other than `float32` and `bfloat16`")),
        };
        done.map_err(candle_core::Error::wrap)
    }
}

fn refused(what: &str) -> candle_core::Error {
    candle_core::Error::Msg(format!("`adamw` can't update {what}"))
}
