use half::{bf16, f16};
use swift_kernels::{Element, Float, matmul};

use crate::support::{assert_close, narrow, numbers, widen};

/// `m`, `k`, `n`: small and odd ones, none of something, and ones that cross the panels of converted elements or parts of rows.
const SHAPES: [(usize, usize, usize); 13] = [
    (1, 1, 1),
    (2, 3, 4),
    (1, 17, 9),
    (9, 17, 1),
    (7, 2, 5),
    (33, 300, 65),
    (7, 1037, 37),
    (45, 5003, 21),
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
        // Longer sums are rounded more often.
        let tolerance = tolerance * (k as f64 / 1024.0).max(1.0);
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
    follows_the_formula::<f16>(5e-4);
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
fn an_inner_dimension_longer_than_any_panel_is_summed_to_its_end() {
    let (m, k, n) = (9, 70_000, 3);
    let last = |rows: usize, value| {
        let mut elements = vec![0.0; rows * k];
        elements.iter_mut().skip(k - 1).step_by(k).for_each(|element| *element = value);
        narrow::<bf16>(&elements)
    };
    for product in [matmul::product, matmul::product_portable] {
        let mut c = narrow::<bf16>(&vec![0.0; m * n]);
        product(&last(m, 2.0), &last(n, 3.0), &mut c, m, k, n, false, true, false).unwrap();
        assert_eq!(widen(&c), vec![6.0; m * n]);
    }
}

#[test]
fn slices_that_do_not_fit_are_refused_by_name() {
    let error =
        matmul::product(&[0f32; 6], &[0.0; 5], &mut [0.0; 4], 2, 3, 2, false, false, false).unwrap_err();
    assert_eq!(error.to_string(), "Slice `b` of `matmul` has 5 elements, not 6");
    let error = matmul::product::<f32>(&[], &[], &mut [], usize::MAX, 2, 2, false, false, false).unwrap_err();
    assert!(error.to_string().starts_with("Slice `a` of `matmul`"), "{error}");
}

/// Numbers of a seeded generator, from 1 to `bound`.
fn sizes(seed: u64, bound: f64) -> impl Iterator<Item = usize> {
    numbers(seed, 3 * 60).into_iter().map(move |x| 1 + ((x + 1.0) / 2.0 * bound) as usize)
}

/// A product of `T` by one of the two functions, and the bound of its error: each of `k` additions and the store round.
fn is_within_the_bound_of_rounding<T: Element>(
    (m, k, n): (usize, usize, usize),
    seed: u64,
    unit_of_sums: f64,
    unit_of_store: f64,
) {
    let (a, b) = (narrow::<T>(&numbers(seed, m * k)), narrow::<T>(&numbers(seed + 1, k * n)));
    let old = narrow::<T>(&numbers(seed + 2, m * n));
    let (wide_a, wide_b) = (widen(&a), widen(&b));
    let magnitudes = |x: &[f64]| x.iter().map(|x| x.abs()).collect::<Vec<_>>();
    let product = naive(&wide_a, &wide_b, (m, k, n));
    let magnitude = naive(&magnitudes(&wide_a), &magnitudes(&wide_b), (m, k, n));
    for (transpose_a, transpose_b) in [(false, false), (false, true), (true, false), (true, true)] {
        let a = if transpose_a { narrow(&transpose(&wide_a, m, k)) } else { a.clone() };
        let b = if transpose_b { narrow(&transpose(&wide_b, k, n)) } else { b.clone() };
        for function in [matmul::product, matmul::product_portable] {
            for accumulate in [false, true] {
                let mut c = old.clone();
                function(&a, &b, &mut c, m, k, n, transpose_a, transpose_b, accumulate).unwrap();
                let old = widen(&old).into_iter().map(|old| if accumulate { old } else { 0.0 });
                let wanted = product.iter().zip(&magnitude).zip(old);
                for (i, (&got, ((&product, &magnitude), old))) in widen(&c).iter().zip(wanted).enumerate() {
                    let want = product + old;
                    let sums = (k + 2) as f64 * unit_of_sums * (magnitude + old.abs());
                    let bound = sums + unit_of_store * (want.abs() + sums);
                    assert!(
                        (got - want).abs() <= bound,
                        "{m} x {k} x {n}, {transpose_a} {transpose_b} {accumulate}: \
                         element {i} is {got:e}, not {want:e}"
                    );
                }
            }
        }
    }
}

#[test]
fn products_of_random_sizes_are_within_the_bound_of_rounding_by_every_path() {
    let (single, half) = (2f64.powi(-24), 2f64.powi(-8));
    let mut sizes = sizes(7, 70.0);
    for seed in 0..60 {
        let shape = (sizes.next().unwrap(), sizes.next().unwrap(), sizes.next().unwrap());
        is_within_the_bound_of_rounding::<bf16>(shape, seed, single, half);
        is_within_the_bound_of_rounding::<f16>(shape, seed, single, half / 8.0);
        is_within_the_bound_of_rounding::<f32>(shape, seed, single, 0.0);
    }
    // Few rows with columns beyond a panel, a task and whole vectors, and with inner dimensions beyond whole vectors.
    for m in 1..=9 {
        for (k, n) in [(64, 64), (67, 333), (896, 130), (15, 17), (2, 1100)] {
            is_within_the_bound_of_rounding::<bf16>((m, k, n), 98, single, half);
            is_within_the_bound_of_rounding::<f16>((m, k, n), 98, single, half / 8.0);
            is_within_the_bound_of_rounding::<f32>((m, k, n), 98, single, 0.0);
        }
    }
    // Several steps of the inner dimension, blocks of rows and panels; an odd inner dimension; rows a power of two apart.
    for (m, k, n) in [(97, 1027, 70), (200, 2048, 33), (13, 2050, 31), (100, 1, 200), (5, 1100, 600)] {
        is_within_the_bound_of_rounding::<bf16>((m, k, n), 99, single, half);
        is_within_the_bound_of_rounding::<f32>((m, k, n), 99, single, 0.0);
    }
}

#[test]
fn infinities_and_nans_of_bfloat16_reach_their_row_and_column_and_no_other() {
    let (m, k, n) = (40, 67, 90);
    for (row, inner, value) in [(3, 66, f64::INFINITY), (39, 0, f64::NAN)] {
        let (mut a, b) = (vec![1.0; m * k], vec![0.5; k * n]);
        a[row * k + inner] = value;
        for transpose_a in [false, true] {
            let a = if transpose_a { transpose(&a, m, k) } else { a.clone() };
            let mut c = vec![bf16::store(0.0); m * n];
            matmul::product(&narrow(&a), &narrow(&b), &mut c, m, k, n, transpose_a, false, false).unwrap();
            for (i, c) in widen(&c).into_iter().enumerate() {
                let special = if value.is_nan() { c.is_nan() } else { c == value };
                assert!(if i / n == row { special } else { c == 33.5 }, "element {i} is {c}");
            }
            // The same element on the right.
            let mut c = vec![bf16::store(0.0); m * n];
            let (left, right) = (narrow(&vec![0.5; n * k]), narrow::<bf16>(&a));
            matmul::product(&left, &right, &mut c, n, k, m, false, !transpose_a, false).unwrap();
            for (i, c) in widen(&c).into_iter().enumerate() {
                let special = if value.is_nan() { c.is_nan() } else { c == value };
                assert!(if i % m == row { special } else { c == 33.5 }, "element {i} is {c}");
            }
        }
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_row_of_bfloat16_does_not_depend_on_the_rows_beside_it() {
    if !is_x86_feature_detected!("avx512bf16") {
        // The `gemm` crate promises no such thing.
        return;
    }
    let (m, k, n) = (130, 1500, 100);
    let (a, b) = (narrow::<bf16>(&numbers(1, m * k)), narrow::<bf16>(&numbers(2, k * n)));
    let product = |m: usize| {
        let mut c = vec![bf16::store(0.0); m * n];
        matmul::product(&a[..m * k], &b, &mut c, m, k, n, false, true, false).unwrap();
        c
    };
    // Few rows are summed up in another order than more.
    for (together, fewer) in [(48, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 26, 47][..]), (m, &[49, 96, 97])] {
        let all = product(together);
        for &rows in fewer {
            assert!(product(rows) == all[..rows * n], "{rows} rows");
        }
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_row_among_few_does_not_depend_on_the_others() {
    fn check<T: Element + PartialEq>() {
        let (m, k, n) = (64, 2500, 100);
        let (a, b) = (narrow::<T>(&numbers(1, m * k)), narrow::<T>(&numbers(2, k * n)));
        let product = |m: usize| {
            let mut c = narrow::<T>(&vec![0.0; m * n]);
            matmul::product_portable(&a[..m * k], &b, &mut c, m, k, n, false, true, false).unwrap();
            c
        };
        let all = product(m);
        for rows in [2, 3, 4, 5, 8, 63] {
            assert!(product(rows) == all[..rows * n], "{rows} rows");
        }
    }
    // By AVX2; other processors promise no such thing.
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        check::<bf16>();
        check::<f16>();
        check::<f32>();
    }
}
