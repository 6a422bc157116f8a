//! The running statistics of one token's logits.

use crate::Float;
use crate::sums::{greatest, sum, sum_replacing};
use crate::vectorised::vectorised;

/// What is known about a token's logits after some tiles of the vocabulary. Kept in `f64`: there are few, and sums over
/// a vocabulary of 10^5 stay exact to `f32`.
#[derive(Clone, Copy)]
pub(super) struct Running {
    /// The greatest logit, and where it is first.
    pub(super) greatest: f64,
    pub(super) prediction: usize,
    /// `sum of exp(logit - greatest)`.
    pub(super) weight: f64,
    /// `sum of exp(logit - greatest) (logit - greatest)`.
    pub(super) weighted: f64,
    /// Sum of the logits.
    pub(super) total: f64,
    /// The logit of the label.
    pub(super) label: f64,
}

impl Running {
    pub(super) const NEW: Self = Self {
        greatest: f64::NEG_INFINITY,
        prediction: 0,
        weight: 0.0,
        weighted: 0.0,
        total: 0.0,
        label: 0.0,
    };

    /// Takes in the logits of the entries from `first`, and leaves `exp(logit - greatest)` in their place. Returns the
    /// factor that brings exponentials of earlier tiles to the new `greatest`.
    pub(super) fn take<C: Float>(&mut self, logits: &mut [C], first: usize, label: i64) -> C {
        take(self, logits, first, label)
    }

    pub(super) fn log_sum_exp(&self) -> f64 {
        self.greatest + self.weight.ln()
    }

    /// `-sum of p ln p`.
    pub(super) fn entropy(&self) -> f64 {
        self.weight.ln() - self.weighted / self.weight
    }
}

vectorised! {
    fn take<C: Float>(state: &mut Running, logits: &mut [C], first: usize, label: i64) -> C {
        let label = (label as usize).checked_sub(first).and_then(|index| logits.get(index));
        if let Some(label) = label {
            state.label = label.widen();
        }
        state.total += sum(logits, |logit| logit).widen();
        let highest = greatest(logits);
        let mut shrink = 1.0;
        if highest.widen() > state.greatest {
            let step = state.greatest - highest.widen();
            shrink = step.exp();
            if state.weight > 0.0 {
                state.weighted = shrink * (state.weighted + step * state.weight);
            }
            state.weight *= shrink;
            state.greatest = highest.widen();
            let position = logits.iter().position(|&logit| logit == highest);
            state.prediction = first + position.unwrap_or_default();
        }
        let greatest = C::of(state.greatest);
        // A logit of minus infinity has no weight, and takes no part in the mean.
        let product =
            |logit: C, weight: C| if weight > C::ZERO { weight * (logit - greatest) } else { C::ZERO };
        state.weighted += sum_replacing(logits, |logit| (logit - greatest).exponential(), product).widen();
        state.weight += sum(logits, |weight| weight).widen();
        C::of(shrink)
    }
}
