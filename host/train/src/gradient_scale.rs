//! Scaling of gradients that are computed in `float16`, whose least number is 2^-24.

use serde::{Deserialize, Serialize};

use crate::number::Number;

/// The factor before the first step.
const FIRST: f64 = 65536.0;
/// What the factor is multiplied by after as many steps as [`INTERVAL`], and divided by when a gradient overflows.
const STEP: f64 = 2.0;
/// Steps without overflow after which a greater factor is tried.
const INTERVAL: u64 = 2000;
/// An overflow is not the factor's fault any more where it is this.
const LEAST: f64 = 1.0;

/// What losses are multiplied by before the way back, and gradients are divided by after it (Micikevicius et al. 2018, "Mixed
/// precision training"). The greatest factor without overflow is sought, with the numbers that `torch.amp.GradScaler` has by default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct GradientScale {
    factor: Number,
    /// Steps since it has changed.
    unchanged: u64,
    /// Steps in which a gradient overflowed and nothing was learned.
    skipped: u64,
}

impl Default for GradientScale {
    fn default() -> Self {
        Self { factor: Number(FIRST), unchanged: 0, skipped: 0 }
    }
}

impl GradientScale {
    pub(crate) fn factor(&self) -> f64 {
        self.factor.0
    }

    pub(crate) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// A step was taken.
    pub(crate) fn taken(&mut self) {
        self.unchanged += 1;
        if self.unchanged == INTERVAL {
            (self.factor.0, self.unchanged) = (self.factor.0 * STEP, 0);
        }
    }

    /// A gradient overflowed. Says whether a smaller factor may help; then the step is left out.
    pub(crate) fn overflowed(&mut self) -> bool {
        let helps = self.factor.0 > LEAST;
        if helps {
            (self.factor.0, self.unchanged) = (self.factor.0 / STEP, 0);
            self.skipped += 1;
        }
        helps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_halves_with_each_overflow_and_doubles_after_2000_steps_without_one() {
        let mut scale = GradientScale::default();
        assert!(scale.overflowed() && scale.overflowed());
        assert_eq!((scale.factor(), scale.skipped()), (16384.0, 2));
        (0..1999).for_each(|_| scale.taken());
        assert_eq!(scale.factor(), 16384.0);
        scale.taken();
        assert_eq!(scale.factor(), 32768.0);
        (0..1999).for_each(|_| scale.taken());
        assert!(scale.overflowed());
        (0..1999).for_each(|_| scale.taken());
        assert_eq!(scale.factor(), 16384.0);
    }

    #[test]
    fn a_factor_of_one_is_not_made_smaller() {
        let mut scale = GradientScale::default();
        let halved = (0..).take_while(|_| scale.overflowed()).count();
        assert_eq!((halved, scale.factor(), scale.skipped()), (16, 1.0, 16));
    }
}
