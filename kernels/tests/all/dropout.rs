use half::bf16;
use swift_kernels::{Dropout, dropout};

use crate::support::on_threads;

fn mask(rate: f64, seed: u64, count: usize) -> Vec<f64> {
    let mut y = vec![f64::NAN; count];
    dropout::forward(&vec![1.0; count], Dropout { rate, seed }, &mut y).unwrap();
    y
}

/// The share of elements that are kept in both, relative to what chance gives.
fn together(a: &[f64], b: &[f64], kept: f64) -> f64 {
    let both = a.iter().zip(b).filter(|(a, b)| **a > 0.0 && **b > 0.0).count();
    both as f64 / a.len() as f64 / (kept * kept)
}

#[test]
fn elements_are_dropped_at_the_rate_and_the_others_grow() {
    const COUNT: usize = 1 << 20;
    for rate in [0.0, 0.05, 0.5, 0.9] {
        let mask = mask(rate, 1, COUNT);
        let kept = mask.iter().filter(|x| **x != 0.0).count() as f64 / COUNT as f64;
        // Six standard deviations.
        assert!((kept - (1.0 - rate)).abs() <= 6.0 * (rate * (1.0 - rate) / COUNT as f64).sqrt(), "{kept}");
        assert!(mask.iter().all(|x| *x == 0.0 || *x == 1.0 / (1.0 - rate)));
    }
}

#[test]
fn neither_neighbours_nor_seeds_are_alike() {
    const COUNT: usize = 1 << 20;
    let of = |seed| mask(0.5, seed, COUNT);
    let first = of(1);
    // What chance gives is 1, with a standard deviation of 0.0017.
    for distance in [1, 2, 3, 16, 64, 896, 1024, 4864] {
        let share = together(&first[distance..], &first[..COUNT - distance], 0.5);
        assert!((share - 1.0).abs() < 0.01, "{share} at {distance}");
    }
    for seed in [0, 2, 3, 1 << 32, u64::MAX] {
        let share = together(&first, &of(seed), 0.5);
        assert!((share - 1.0).abs() < 0.01, "{share} with the seed {seed}");
    }
    assert_eq!(on_threads(3, || of(1)), first, "on three threads");
}

#[test]
fn what_is_not_a_number_can_be_dropped() {
    let x = vec![bf16::INFINITY; 64];
    let mut y = vec![bf16::ONE; 64];
    dropout::forward(&x, Dropout { rate: 0.5, seed: 1 }, &mut y).unwrap();
    assert!(y.contains(&bf16::ZERO) && y.iter().all(|y| *y == bf16::ZERO || *y == bf16::INFINITY));
}
