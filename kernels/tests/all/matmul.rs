use half::bf16;
use swift_kernels::{Element, Float, matmul};

use crate::support::{assert_close, narrow, numbers, widen};

/// `m`, `k`, `n`: small and odd ones, none of something, and ones that cross the panels of converted elements.
const SHAPES: [(usize, usize, usize); 11] = [
    (1, 1, 1),
    (2, 3, 4),
    (1, 17, 9),
    (9, 17, 1),
    (7, 2, 5),
    (33, 300, 65),
    (0, 3, 2),
    (3, 0, 2),
    (3, 2, 0),
    (3, 5, 2050),
    (2050, 5, 3),
];

fn transpose(x: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| x[row * columns + column])).collect()
}

fn naive(a: &[f64], b: &[f64], (m, k, n): (usize, usize, usize)) -> Vec<f64> {
    let cell = |i: usize| (0..k).map(|p| a[i / n * k + p] * b[p * n + i % n]).sum();
    (0..m * n).map(cell).collect()
}

fn follows_the_formula<T: Element>(tolerance: f64) {
    for (m, k, n) in SHAPES {
        let (a, b, c) = (
            narrow::<T>(&numbers(1, m * k)),
            narrow::<T>(&numbers(2, k * n)),
            narrow::<T>(&numbers(3, m * n)),
        );
        let product = naive(&widen(&a), &widen(&b), (m, k, n));
        let sum: Vec<f64> = product.iter().zip(widen(&c)).map(|(product, c)| product + c).collect();
        for (transpose_a, transpose_b) in [(false, false), (false, true), (true, false), (true, true)] {
            let a = if transpose_a { narrow(&transpose(&widen(&a), m, k)) } else { a.clone() };
            let b = if transpose_b { narrow(&transpose(&widen(&b), k, n)) } else { b.clone() };
            for (accumulate, want) in [(false, &product), (true, &sum)] {
                let mut c = c.clone();
                matmul::product(&a, &b, &mut c, m, k, n, transpose_a, transpose_b, accumulate).unwrap();
                let what = format!("{m} x {k} x {n}, {transpose_a} {transpose_b} {accumulate}");
                assert_close(&widen(&c), want, tolerance, &what);
            }
        }
    }
}

#[test]
fn products_follow_the_formula_in_every_type() {
    follows_the_formula::<f64>(1e-13);
    follows_the_formula::<f32>(1e-5);
    follows_the_formula::<bf16>(4e-3);
}

#[test]
fn what_was_in_the_result_is_not_read_without_accumulation() {
    let mut c = [f32::NAN];
    matmul::product(&[2f32], &[3.0], &mut c, 1, 1, 1, false, false, false).unwrap();
    assert_eq!(c, [6.0]);
    let nan = bf16::store(f32::NAN);
    let (a, b, mut c) = (narrow::<bf16>(&[2.0]), narrow::<bf16>(&[3.0]), [nan]);
    matmul::product(&a, &b, &mut c, 1, 1, 1, false, false, false).unwrap();
    assert_eq!(c[0].load().widen(), 6.0);
}

#[test]
fn slices_that_do_not_fit_are_refused_by_name() {
    let error =
        matmul::product(&[0f32; 6], &[0.0; 5], &mut [0.0; 4], 2, 3, 2, false, false, false).unwrap_err();
    assert_eq!(error.to_string(), "Slice `b` of `matmul` has 5 elements, not 6");
    let error = matmul::product::<f32>(&[], &[], &mut [], usize::MAX, 2, 2, false, false, false).unwrap_err();
    assert!(error.to_string().starts_with("Slice `a` of `matmul`"), "{error}");
}
