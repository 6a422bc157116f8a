use half::{bf16, f16};
use swift_kernels::low_rank::{contract, expand, project, transposed};
use swift_kernels::{Element, Float};

use crate::support::{assert_close, narrow, numbers, on_threads, widen, zeros};

/// All three products for one shape against their formulas.
fn follow<T: Element>(rows: usize, width: usize, rank: usize, tolerance: f64) {
    let x = narrow::<T>(&numbers(1, rows * width));
    let m = narrow::<T::Compute>(&numbers(2, rank * width));
    let y = narrow::<T>(&numbers(3, rows * width));
    let scale = 0.5;
    let [x_wide, y_wide] = [&x, &y].map(|x| widen(x));
    let m_wide = widen(&m);

    let mut low_wide = vec![0.0; rows * rank];
    for row in 0..rows {
        for r in 0..rank {
            let products = (0..width).map(|j| x_wide[row * width + j] * m_wide[r * width + j]);
            low_wide[row * rank + r] = scale * products.sum::<f64>();
        }
    }
    let (mut expanded_wide, mut contracted_wide) = (y_wide, vec![0.0; rank * width]);
    for row in 0..rows {
        for r in 0..rank {
            for j in 0..width {
                let low = low_wide[row * rank + r];
                expanded_wide[row * width + j] += low * m_wide[r * width + j];
                contracted_wide[r * width + j] += low * x_wide[row * width + j];
            }
        }
    }

    let all = || {
        let mut low = zeros::<T::Compute>(rows * rank);
        project(&x, &m, (rank, width), T::Compute::of(scale), &mut low).unwrap();
        let mut expanded = y.clone();
        expand(&low, &m, (rank, width), &mut expanded).unwrap();
        let mut contracted = zeros::<T::Compute>(rank * width);
        contract(&low, &x, (rank, width), &mut contracted).unwrap();
        [widen(&low), widen(&expanded), widen(&contracted)]
    };
    let results = on_threads(1, all);
    let what = format!("{rows} rows of {width}, rank {rank}");
    let sums_tolerance = if size_of::<T::Compute>() == 8 { 1e-13 } else { 1e-5 };
    assert_close(&results[0], &low_wide, sums_tolerance, &what);
    assert_close(&results[1], &expanded_wide, tolerance, &what);
    assert_close(&results[2], &contracted_wide, sums_tolerance, &what);
    assert_eq!(on_threads(3, all), results, "{what} on three threads");
}

#[test]
fn products_of_low_rank_follow_the_formulas_in_every_type() {
    for (rows, width, rank) in [(1, 1, 1), (37, 100, 8), (70, 1030, 3), (5, 48, 21), (4, 16, 16)] {
        follow::<f64>(rows, width, rank, 1e-13);
        follow::<f32>(rows, width, rank, 1e-5);
        follow::<bf16>(rows, width, rank, 4e-3);
        follow::<f16>(rows, width, rank, 5e-4);
    }
}

#[test]
fn a_transposed_matrix_has_its_columns_as_rows() {
    assert_eq!(transposed(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], 3), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
}

#[test]
fn no_rows_are_fine_and_what_does_not_fit_is_refused() {
    let factor = [1.0f32, 2.0, 3.0];
    let mut sums = [7.0; 3];
    project::<f32>(&[], &factor, (1, 3), 1.0, &mut []).unwrap();
    contract::<f32>(&[], &[], (1, 3), &mut sums).unwrap();
    assert_eq!(sums, [0.0; 3]);
    let refused = |result: Result<(), swift_kernels::KernelError>| result.unwrap_err().to_string();
    assert!(refused(project(&[1.0f32; 4], &factor, (1, 3), 1.0, &mut [0.0])).contains("`x`"));
    assert!(refused(expand(&[], &factor, (1, 3), &mut [1.0f32; 3])).contains("`low`"));
    assert!(refused(contract(&[1.0], &[1.0f32; 3], (2, 3), &mut sums)).contains("`factor`"));
    assert!(refused(expand(&[], &[], (0, 3), &mut [1.0f32; 3])).contains("at least one rank"));
}
