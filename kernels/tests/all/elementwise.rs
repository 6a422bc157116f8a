use half::{bf16, f16};
use swift_kernels::{Element, Float, elementwise};

use crate::support::{narrow, numbers, widen, zeros};

fn sums<T: Element>() {
    let (x, y) = (narrow::<T>(&numbers(1, 40_000)), narrow::<T>(&numbers(2, 40_000)));
    let mut sum = zeros::<T>(x.len());
    elementwise::add(&x, &y, &mut sum).unwrap();
    let want: Vec<T> = x.iter().zip(&y).map(|(x, y)| T::store(x.load() + y.load())).collect();
    assert_eq!(widen(&sum), widen(&want));

    let row = narrow::<T>(&numbers(3, 100));
    elementwise::repeat_row(&row, &mut sum).unwrap();
    assert!(sum.chunks(100).all(|sum| widen(sum) == widen(&row)));

    let mut scaled = zeros::<T::Compute>(x.len());
    elementwise::scale(&x, T::Compute::of(0.25), &mut scaled).unwrap();
    assert_eq!(widen(&scaled), widen(&x).iter().map(|x| x * 0.25).collect::<Vec<_>>());
}

#[test]
fn sums_rows_and_multiples_are_those_of_each_element() {
    sums::<f32>();
    sums::<f64>();
    sums::<bf16>();
    sums::<f16>();
    assert!(elementwise::add(&[1.0f32], &[], &mut [0.0]).is_err());
    assert!(elementwise::repeat_row(&[1.0f32, 2.0], &mut [0.0; 3]).is_err());
    assert!(elementwise::repeat_row::<f32>(&[], &mut []).is_err());
}

#[test]
fn small_squares_are_not_lost_beside_large_ones() {
    let mut x = vec![1e-4f32; 1 << 20];
    x[77] = 1e3;
    let want = 1e6 + (x.len() - 1) as f64 * f64::from(1e-4f32).powi(2);
    assert!((elementwise::sum_of_squares(&x) - want).abs() < 1e-6);
}
