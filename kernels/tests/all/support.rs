//! Inputs, comparisons and central differences.

use swift_kernels::{Element, Float};

/// The same numbers in [-1, 1) for the same seed (a multiplicative congruential generator).
pub(crate) fn numbers(seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state = state.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(0x2545_f491_4f6c_dd1d);
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

pub(crate) fn scaled(x: Vec<f64>, factor: f64) -> Vec<f64> {
    x.into_iter().map(|x| x * factor).collect()
}

/// Rounded to `T`.
pub(crate) fn narrow<T: Element>(x: &[f64]) -> Vec<T> {
    x.iter().map(|&x| T::store(T::Compute::of(x))).collect()
}

pub(crate) fn widen<T: Element>(x: &[T]) -> Vec<f64> {
    x.iter().map(|x| x.load().widen()).collect()
}

pub(crate) fn zeros<T: Element>(count: usize) -> Vec<T> {
    vec![T::store(T::Compute::ZERO); count]
}

/// `|got - want| <= tolerance (1 + |want|)` for each element.
#[track_caller]
pub(crate) fn assert_close(got: &[f64], want: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}: number of elements");
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let close = got == want || (got - want).abs() <= tolerance * (1.0 + want.abs());
        assert!(close, "{what}: element {i} is {got:e}, not {want:e}");
    }
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Central difference of `f` at `x` in each of the components `at`.
pub(crate) fn differences(x: &[f64], at: &[usize], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let mut x = x.to_vec();
    let derivative = |&i: &usize| {
        let kept = x[i];
        x[i] = kept + STEP;
        let above = f(&x);
        x[i] = kept - STEP;
        let below = f(&x);
        x[i] = kept;
        (above - below) / (2.0 * STEP)
    };
    at.iter().map(derivative).collect()
}

/// All components, or `count` of them spread out.
pub(crate) fn components(length: usize, count: usize) -> Vec<usize> {
    (0..length).step_by(length.div_ceil(count).max(1)).collect()
}

/// The elements `at`.
pub(crate) fn pick(x: &[f64], at: &[usize]) -> Vec<f64> {
    at.iter().map(|&i| x[i]).collect()
}

/// What `f` gives on this many threads.
pub(crate) fn on_threads<R: Send>(threads: usize, f: impl Fn() -> R + Send + Sync) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(f)
}
