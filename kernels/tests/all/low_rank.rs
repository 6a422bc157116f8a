use half::{bf16, f16};
use swift_kernels::low_rank::{contract, expand, project, transposed};
use swift_kernels::{Dropout, Element, Float, dropout};

use crate::support::{assert_close, narrow, numbers, on_threads, widen, zeros};

/// All three products for one shape against their formulas, with some elements dropped or none.
fn follow<T: Element>((rows, width, rank): (usize, usize, usize), dropout: Option<Dropout>, tolerance: f64) {
    // What each element is multiplied with.
    let mut mask = vec![1.0; rows * width];
    if let Some(rate) = dropout {
        dropout::forward(&mask.clone(), rate, &mut mask).unwrap();
    }
    let x = narrow::<T>(&numbers(1, rows * width));
    let m = narrow::<T::Compute>(&numbers(2, rank * width));
    let y = narrow::<T>(&numbers(3, rows * width));
    let scale = 0.5;
    let [x_wide, y_wide] = [&x, &y].map(|x| widen(x));
    let m_wide = widen(&m);

    let mut low_wide = vec![0.0; rows * rank];
    for row in 0..rows {
        for r in 0..rank {
            let products = (0..width).map(|j| {
                let i = row * width + j;
                x_wide[i] * mask[i] * m_wide[r * width + j]
            });
            low_wide[row * rank + r] = scale * products.sum::<f64>();
        }
    }
    let (mut expanded_wide, mut contracted_wide) = (y_wide, vec![0.0; rank * width]);
    for row in 0..rows {
        for r in 0..rank {
            for j in 0..width {
                let low = low_wide[row * rank + r];
                let i = row * width + j;
                expanded_wide[i] += low * m_wide[r * width + j] * mask[i];
                contracted_wide[r * width + j] += low * x_wide[i] * mask[i];
            }
        }
    }

    let all = || {
        let mut low = zeros::<T::Compute>(rows * rank);
        project(&x, &m, (rank, width), T::Compute::of(scale), dropout, &mut low).unwrap();
        let mut expanded = y.clone();
        expand(&low, &m, (rank, width), dropout, &mut expanded).unwrap();
        let mut contracted = zeros::<T::Compute>(rank * width);
        contract(&low, &x, (rank, width), dropout, &mut contracted).unwrap();
        [widen(&low), widen(&expanded), widen(&contracted)]
    };
    let results = on_threads(1, all);
    let what = format!("{rows} rows of {width}, rank {rank}");
    // Of terms that are a hundred times as great, in part.
    let sums_tolerance = if size_of::<T::Compute>() == 8 { 1e-13 } else { 4e-5 };
    assert_close(&results[0], &low_wide, sums_tolerance, &what);
    assert_close(&results[1], &expanded_wide, tolerance, &what);
    assert_close(&results[2], &contracted_wide, sums_tolerance, &what);
    assert_eq!(on_threads(3, all), results, "{what} on three threads");
}

#[test]
fn products_of_low_rank_follow_the_formulas_in_every_type() {
    for shape in [(1, 1, 1), (37, 100, 8), (70, 1030, 3), (5, 48, 21), (4, 16, 16)] {
        for dropout in [None, Some(Dropout { rate: 0.3, seed: 7 })] {
            follow::<f64>(shape, dropout, 1e-13);
            follow::<f32>(shape, dropout, 1e-5);
            follow::<bf16>(shape, dropout, 4e-3);
            follow::<f16>(shape, dropout, 5e-4);
        }
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
    project::<f32>(&[], &factor, (1, 3), 1.0, None, &mut []).unwrap();
    contract::<f32>(&[], &[], (1, 3), None, &mut sums).unwrap();
    assert_eq!(sums, [0.0; 3]);
    let refused = |result: Result<(), swift_kernels::KernelError>| result.unwrap_err().to_string();
    assert!(refused(project(&[1.0f32; 4], &factor, (1, 3), 1.0, None, &mut [0.0])).contains("`x`"));
    assert!(refused(expand(&[], &factor, (1, 3), None, &mut [1.0f32; 3])).contains("`low`"));
    assert!(refused(contract(&[1.0], &[1.0f32; 3], (2, 3), None, &mut sums)).contains("`factor`"));
    assert!(refused(expand(&[], &[], (0, 3), None, &mut [1.0f32; 3])).contains("at least one rank"));
}
