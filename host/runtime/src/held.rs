//! What plugins hold constant with `detach`, kept from one call to the next.

use std::sync::{Mutex, PoisonError};

use swift_tensor::Tensor;

/// Keeps the results of `detach`, so that later calls get them again.
///
/// A finite difference moves everything that a loss is computed from, also what its gradient holds constant. If the moved
/// calls find the values of the call that was not moved, the difference is that of the same function as the gradient.
#[derive(Debug, Default)]
pub struct HeldConstants(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    values: Vec<Tensor>,
    phase: Phase,
}

#[derive(Debug, Default)]
enum Phase {
    /// Values are neither kept nor given again.
    #[default]
    Idle,
    Keeping,
    /// With the number of the next value.
    Giving(usize),
}

impl HeldConstants {
    /// From now on, values are kept, and those of before forgotten.
    pub fn keep(&self) {
        self.with(|held| *held = Held { values: Vec::new(), phase: Phase::Keeping });
    }

    /// From now on, the values that were kept are given again in their order, beginning with the first.
    pub fn give_again(&self) {
        self.with(|held| held.phase = Phase::Giving(0));
    }

    /// From now on, values are computed, and those of before forgotten.
    pub fn forget(&self) {
        self.with(|held| *held = Held::default());
    }

    /// The result of `detach`. What was not kept, or has another type, is computed.
    pub(crate) fn detach(&self, x: &Tensor) -> Tensor {
        let computed = x.detach();
        self.with(|held| {
            let next = match &mut held.phase {
                Phase::Idle => return computed,
                Phase::Keeping => {
                    held.values.push(computed.clone());
                    return computed;
                }
                Phase::Giving(next) => next,
            };
            let kept = held.values.get(*next);
            *next += 1;
            let fits = |kept: &&Tensor| (kept.dims(), kept.dtype()) == (computed.dims(), computed.dtype());
            kept.filter(fits).unwrap_or(&computed).clone()
        })
    }

    fn with<T>(&self, f: impl FnOnce(&mut Held) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swift_tensor::{DType, from_list};

    #[test]
    fn what_was_kept_is_given_again_where_it_fits() {
        let vector = |values: &[f64]| from_list(values, &[values.len() as u64], DType::F64).unwrap();
        let held = HeldConstants::default();
        let detach = |values: &[f64]| held.detach(&vector(values)).to_list().unwrap();
        assert_eq!(detach(&[0.0]), [0.0]);
        held.keep();
        assert_eq!([detach(&[1.0]), detach(&[2.0])], [[1.0], [2.0]]);
        for _ in 0..2 {
            held.give_again();
            assert_eq!(detach(&[1.5]), [1.0]);
            assert_eq!(detach(&[3.0, 4.0]), [3.0, 4.0]);
            assert_eq!(detach(&[5.0]), [5.0]);
        }
        held.forget();
        held.give_again();
        assert_eq!(detach(&[6.0]), [6.0]);
    }
}
