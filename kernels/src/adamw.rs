//! AdamW (Loshchilov and Hutter 2019), with the arithmetic of PyTorch's `torch.optim.AdamW`.

use rayon::prelude::*;

use crate::vectorised::vectorised;
use crate::{CHUNK, Element, Float, KernelError, check};

/// The numbers of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWStep {
    /// Step size, per step.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Part of the parameter taken away per step, times the learning rate.
    pub weight_decay: f64,
    /// Number of this step, from 1.
    pub step: u64,
    /// Factor on the gradient, as clipping gives; 1 otherwise.
    pub gradient_scale: f64,
}

/// Updates `parameter` and its moments `first` and `second`, all of one length, in place:
///
/// ```text
/// g = gradient * gradient_scale
/// p = p * (1 - learning_rate * weight_decay)
/// m = m + (1 - beta1) (g - m)
/// v = beta2 v + (1 - beta2) g g
/// p = p - learning_rate / (1 - beta1^step) * m / (sqrt(v) / sqrt(1 - beta2^step) + epsilon)
/// ```
///
/// With `master`, a copy of the parameter in `T::Compute`, the copy is what is updated, and the parameter gets its
/// rounded value; without, steps that are small against a parameter of 16 bits are rounded away.
///
/// # Errors
/// [`KernelError::Length`] if the lengths differ, [`KernelError::Rule`] if `step` is zero.
pub fn step<T: Element>(
    parameter: &mut [T],
    master: Option<&mut [T::Compute]>,
    gradient: &[T::Compute],
    first: &mut [T::Compute],
    second: &mut [T::Compute],
    step: &AdamWStep,
) -> Result<(), KernelError> {
    const OPERATION: &str = "adamw";
    let sizes = [parameter.len()];
    check::rule(OPERATION, "steps counted from 1", step.step > 0)?;
    check::length(OPERATION, "gradient", gradient, &sizes)?;
    check::length(OPERATION, "first", first, &sizes)?;
    check::length(OPERATION, "second", second, &sizes)?;
    let factors = Factors::<T::Compute>::new(step);
    let state = gradient.par_chunks(CHUNK).zip(first.par_chunks_mut(CHUNK)).zip(second.par_chunks_mut(CHUNK));
    let tasks = parameter.par_chunks_mut(CHUNK).zip(state);
    if let Some(master) = master {
        check::length(OPERATION, "master", master, &sizes)?;
        tasks.zip(master.par_chunks_mut(CHUNK)).for_each(
            |((parameter, ((gradient, first), second)), master)| {
                step_master(&factors, parameter, master, gradient, first, second);
            },
        );
    } else {
        tasks.for_each(|(parameter, ((gradient, first), second))| {
            step_alone(&factors, parameter, gradient, first, second);
        });
    }
    Ok(())
}

vectorised! {
    fn step_master<T: Element>(
        factors: &Factors<T::Compute>,
        parameter: &mut [T],
        master: &mut [T::Compute],
        gradient: &[T::Compute],
        first: &mut [T::Compute],
        second: &mut [T::Compute],
    ) {
        let state = gradient.iter().zip(first).zip(second);
        for ((parameter, master), ((&gradient, first), second)) in parameter.iter_mut().zip(master).zip(state) {
            *master = factors.update(*master, gradient, first, second);
            *parameter = T::store(*master);
        }
    }

    fn step_alone<T: Element>(
        factors: &Factors<T::Compute>,
        parameter: &mut [T],
        gradient: &[T::Compute],
        first: &mut [T::Compute],
        second: &mut [T::Compute],
    ) {
        let state = gradient.iter().zip(first).zip(second);
        for (parameter, ((&gradient, first), second)) in parameter.iter_mut().zip(state) {
            *parameter = T::store(factors.update(parameter.load(), gradient, first, second));
        }
    }
}

/// What [`AdamWStep`] comes to for each element: with a gradient `g` times `gradient_scale`, `m += towards_gradient (g - m)`,
/// `v = beta2 v + towards_square g g` and `p = keep p + minus_step_size m / (sqrt(v) / second_root + epsilon)`. Computed in `f64` and
/// rounded once, as PyTorch does.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "the formulas above say what each is")]
pub struct Factors<C> {
    pub gradient_scale: C,
    pub keep: C,
    pub towards_gradient: C,
    pub beta2: C,
    pub towards_square: C,
    pub second_root: C,
    pub epsilon: C,
    pub minus_step_size: C,
}

impl AdamWStep {
    /// What the step comes to for each element.
    pub fn factors(&self) -> Factors<f64> {
        Factors::new(self)
    }
}

impl<C: Float> Factors<C> {
    fn new(step: &AdamWStep) -> Self {
        let correction = |beta: f64| 1.0 - beta.powf(step.step as f64);
        Self {
            gradient_scale: C::of(step.gradient_scale),
            keep: C::of(1.0 - step.learning_rate * step.weight_decay),
            towards_gradient: C::of(1.0 - step.beta1),
            beta2: C::of(step.beta2),
            towards_square: C::of(1.0 - step.beta2),
            second_root: C::of(correction(step.beta2).sqrt()),
            epsilon: C::of(step.epsilon),
            minus_step_size: C::of(-(step.learning_rate / correction(step.beta1))),
        }
    }

    /// The parameter after the step.
    #[inline(always)]
    fn update(&self, parameter: C, gradient: C, first: &mut C, second: &mut C) -> C {
        let gradient = gradient * self.gradient_scale;
        *first += self.towards_gradient * (gradient - *first);
        *second = *second * self.beta2 + self.towards_square * gradient * gradient;
        let denominator = second.root() / self.second_root + self.epsilon;
        parameter * self.keep + self.minus_step_size * *first / denominator
    }
}
