//! The one place where chance enters the data.

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use sha2::{Digest, Sha256};

/// What a permutation is for; different uses of one seed are independent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// The rows of `PATH#N`.
    RowChoice,
    /// The order of the examples before any epoch.
    Dataset,
    /// The order of an epoch.
    Epoch,
}

/// A permutation of `0..length`.
///
/// ChaCha12 (`StdRng` of rand 0.9) is seeded with SHA-256 of purpose, seed and epoch as three little-endian 64-bit
/// numbers. Fisher and Yates' shuffle goes from the last place down, taking for place `i` the index
/// `floor(r (i + 1) / 2^64)` of a 64-bit draw `r`. So a permutation depends on nothing but its arguments.
pub(crate) fn permutation(length: usize, purpose: Purpose, seed: u64, epoch: u64) -> Vec<usize> {
    let mut key = Sha256::new();
    for number in [purpose as u64, seed, epoch] {
        key.update(number.to_le_bytes());
    }
    let mut random = StdRng::from_seed(key.finalize().into());
    let mut order: Vec<usize> = (0..length).collect();
    for place in (1..length).rev() {
        let draw = (u128::from(random.next_u64()) * (place as u128 + 1)) >> 64;
        order.swap(place, draw as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_holds_every_index_once_and_depends_on_its_arguments_only() {
        let first = permutation(100, Purpose::Epoch, 42, 0);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert_eq!(first, permutation(100, Purpose::Epoch, 42, 0));
        for other in [
            permutation(100, Purpose::Epoch, 42, 1),
            permutation(100, Purpose::Epoch, 43, 0),
            permutation(100, Purpose::Dataset, 42, 0),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn the_order_of_an_epoch_stays_the_same_in_every_version() {
        assert_eq!(permutation(10, Purpose::Epoch, 42, 0), [1, 5, 2, 4, 9, 7, 8, 3, 0, 6]);
    }
}
