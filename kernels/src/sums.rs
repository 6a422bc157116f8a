//! Sums in a fixed order that vector instructions can follow.

use crate::{Element, Float};

/// Partial sums that run side by side; they are added up at the end.
const LANES: usize = 16;

/// Sum of `term` of each element.
#[inline(always)]
pub(crate) fn sum<T: Element>(x: &[T], term: impl Fn(T::Compute) -> T::Compute) -> T::Compute {
    let mut lanes = [T::Compute::ZERO; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += term(x.load());
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane += term(x.load());
    }
    total(lanes)
}

/// Sum of `term` of each element, taken in `f64`.
#[inline(always)]
pub(crate) fn sum_of_wide<T: Element>(x: &[T], term: impl Fn(T::Compute) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += term(x.load());
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane += term(x.load());
    }
    total(lanes)
}

/// Sum of the products of two slices of one length.
#[inline(always)]
pub(crate) fn dot<T: Element>(x: &[T], y: &[T::Compute]) -> T::Compute {
    /// More partial sums, since there is little else to do while one is added to.
    const WIDE: usize = 4 * LANES;
    let mut lanes = [T::Compute::ZERO; WIDE];
    let ((xs, x_rest), (ys, y_rest)) = (x.as_chunks::<WIDE>(), y.as_chunks::<WIDE>());
    for (x, y) in xs.iter().zip(ys) {
        for ((lane, &x), &y) in lanes.iter_mut().zip(x).zip(y) {
            *lane += x.load() * y;
        }
    }
    for ((lane, &x), &y) in lanes.iter_mut().zip(x_rest).zip(y_rest) {
        *lane += x.load() * y;
    }
    let mut sums = [T::Compute::ZERO; LANES];
    for lanes in lanes.as_chunks::<LANES>().0 {
        for (sum, &lane) in sums.iter_mut().zip(lanes) {
            *sum += lane;
        }
    }
    total(sums)
}

/// Sum of `term` of each triple of elements of three slices of one length.
#[inline(always)]
pub(crate) fn sum_of_triples<T: Element>(
    (x, y, z): (&[T], &[T], &[T]),
    term: impl Fn(T::Compute, T::Compute, T::Compute) -> T::Compute,
) -> T::Compute {
    let mut lanes = [T::Compute::ZERO; LANES];
    let ((xs, x_rest), (ys, y_rest), (zs, z_rest)) =
        (x.as_chunks::<LANES>(), y.as_chunks::<LANES>(), z.as_chunks::<LANES>());
    for ((x, y), z) in xs.iter().zip(ys).zip(zs) {
        for (((lane, x), y), z) in lanes.iter_mut().zip(x).zip(y).zip(z) {
            *lane += term(x.load(), y.load(), z.load());
        }
    }
    for (((lane, x), y), z) in lanes.iter_mut().zip(x_rest).zip(y_rest).zip(z_rest) {
        *lane += term(x.load(), y.load(), z.load());
    }
    total(lanes)
}

/// Puts `value` of each element in its place and returns the sum of `term` of the element and its value.
#[inline(always)]
pub(crate) fn sum_replacing<C: Float>(x: &mut [C], value: impl Fn(C) -> C, term: impl Fn(C, C) -> C) -> C {
    let mut lanes = [C::ZERO; LANES];
    let (chunks, rest) = x.as_chunks_mut::<LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            let old = std::mem::replace(x, value(*x));
            *lane += term(old, *x);
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        let old = std::mem::replace(x, value(*x));
        *lane += term(old, *x);
    }
    total(lanes)
}

/// The greatest element, or [`Float::LOWEST`] of none; NaN is passed over.
#[inline(always)]
pub(crate) fn greatest<C: Float>(x: &[C]) -> C {
    let mut lanes = [C::LOWEST; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = if x > *lane { x } else { *lane };
        }
    }
    lanes.iter().chain(rest).fold(C::LOWEST, |greatest, &x| if x > greatest { x } else { greatest })
}

#[inline(always)]
fn total<C: Float>(lanes: [C; LANES]) -> C {
    lanes.into_iter().fold(C::ZERO, |sum, lane| sum + lane)
}
