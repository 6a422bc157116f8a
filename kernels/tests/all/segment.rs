use half::{bf16, f16};
use swift_kernels::{Element, segment};

use crate::support::{assert_close, components, differences, dot, narrow, numbers, widen, zeros};

/// Segments, their number and the width: out of order with an empty one, one row, no rows.
const CASES: [(&[i64], usize, usize); 4] =
    [(&[2, 0, 0, 2, 3, 0], 5, 1), (&[1, 1, 0, 2], 3, 4), (&[0], 1, 3), (&[], 2, 2)];

fn naive(values: &[f64], segments: &[i64], count: usize, width: usize, mean: bool) -> Vec<f64> {
    let mut sums = vec![0.0; count * width];
    for (i, value) in values.iter().enumerate() {
        let segment = segments[i / width];
        let rows = segments.iter().filter(|&&other| other == segment).count() as f64;
        sums[segment as usize * width + i % width] += value / if mean { rows } else { 1.0 };
    }
    sums
}

fn follows_the_formula<T: Element>(tolerance: f64) {
    for (segments, count, width) in CASES {
        let values = narrow::<T>(&numbers(1, segments.len() * width));
        let (mut sums, mut means) = (zeros::<T>(count * width), zeros::<T>(count * width));
        segment::sum(&values, segments, width, &mut sums).unwrap();
        segment::mean(&values, segments, width, &mut means).unwrap();
        let values = widen(&values);
        assert_close(&widen(&sums), &naive(&values, segments, count, width, false), tolerance, "sum");
        assert_close(&widen(&means), &naive(&values, segments, count, width, true), tolerance, "mean");
    }
}

#[test]
fn sums_and_means_follow_the_formula_in_every_type() {
    follows_the_formula::<f64>(1e-14);
    follows_the_formula::<f32>(1e-6);
    follows_the_formula::<bf16>(4e-3);
    follows_the_formula::<f16>(5e-4);
}

#[test]
fn gradients_are_central_differences() {
    for (segments, count, width) in CASES {
        let (values, dresult) = (numbers(2, segments.len() * width), numbers(3, count * width));
        let (mut of_sum, mut of_mean) = (zeros::<f64>(values.len()), zeros::<f64>(values.len()));
        segment::sum_backward(&dresult, segments, width, &mut of_sum).unwrap();
        segment::mean_backward(&dresult, segments, width, &mut of_mean).unwrap();
        let at = components(values.len(), values.len().max(1));
        for (got, mean) in [(of_sum, false), (of_mean, true)] {
            let loss = |values: &[f64]| dot(&naive(values, segments, count, width, mean), &dresult);
            assert_close(&got, &differences(&values, &at, loss), 1e-8, "dvalues");
        }
    }
}

#[test]
fn segments_that_do_not_exist_are_refused() {
    for wrong in [2, -1] {
        let error = segment::sum(&[1f32], &[wrong], 1, &mut [0.0; 2]).unwrap_err();
        assert_eq!(error.to_string(), format!("Index {wrong} in `segments` of `segment_sum` is not in 0..2"));
    }
}
