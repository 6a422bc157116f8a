//! Root mean square normalisation (Zhang and Sennrich 2019), `y = x / sqrt(mean(x^2) + epsilon) * (offset + weight)`.

use rayon::prelude::*;

use crate::sums::{sum, sum_of_triples};
use crate::vectorised::vectorised;
use crate::{Element, Float, KernelError, check};

/// Rows that one task works on, and whose contributions to the gradient of the weight make one partial sum.
const ROWS: usize = 64;

/// What rows are normalised with besides their weight.
#[derive(Clone, Copy, Debug)]
pub struct RmsNorm {
    /// Elements of a row.
    pub width: usize,
    /// Added to the mean of squares.
    pub epsilon: f64,
    /// Added to every weight, in the precision that is computed in; 0 for the norm of the paper.
    pub offset: f64,
}

/// Writes `y` `[rows, width]` and, for the backward pass, `rstd` `[rows]` `= 1 / sqrt(mean(x^2) + epsilon)`, from `x`
/// `[rows, width]` and `weight` `[width]`.
///
/// # Errors
/// [`KernelError::Length`] if a slice doesn't fit, [`KernelError::Rule`] if `width` is zero.
pub fn forward<T: Element>(
    x: &[T],
    weight: &[T],
    norm: &RmsNorm,
    y: &mut [T],
    rstd: &mut [T::Compute],
) -> Result<(), KernelError> {
    const OPERATION: &str = "rms_norm";
    let width = norm.width;
    check::rule(OPERATION, "a width of at least 1", width > 0)?;
    check::length(OPERATION, "weight", weight, &[width])?;
    check::length(OPERATION, "x", x, &[rstd.len(), width])?;
    check::length(OPERATION, "y", y, &[rstd.len(), width])?;
    let [count, epsilon, offset] = [width as f64, norm.epsilon, norm.offset].map(T::Compute::of);
    let tasks = x.par_chunks(ROWS * width).zip(y.par_chunks_mut(ROWS * width)).zip(rstd.par_chunks_mut(ROWS));
    tasks.for_each(|((x, y), rstd)| {
        for ((x, y), rstd) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)).zip(rstd) {
            *rstd = normalise(x, weight, [count, epsilon, offset], y);
        }
    });
    Ok(())
}

/// Gradients for `dy` `[rows, width]`, with `r` the `rstd` of the forward pass and `w = offset + weight`:
/// `dx = r (w dy) - x r^3 mean(w dy x)` overwrites `dx` `[rows, width]`, and `sum over rows of dy x r` is added to
/// `dweight` `[width]`. What is not asked for is not computed.
///
/// # Errors
/// [`KernelError::Length`] if a slice doesn't fit, [`KernelError::Rule`] if `width` is zero.
pub fn backward<T: Element>(
    dy: &[T],
    x: &[T],
    weight: &[T],
    rstd: &[T::Compute],
    norm: &RmsNorm,
    dx: Option<&mut [T]>,
    dweight: Option<&mut [T::Compute]>,
) -> Result<(), KernelError> {
    const OPERATION: &str = "rms_norm backward";
    let width = norm.width;
    check::rule(OPERATION, "a width of at least 1", width > 0)?;
    check::length(OPERATION, "weight", weight, &[width])?;
    check::length(OPERATION, "x", x, &[rstd.len(), width])?;
    check::length(OPERATION, "dy", dy, &[rstd.len(), width])?;
    dx.as_ref().map_or(Ok(()), |dx| check::length(OPERATION, "dx", dx, &[rstd.len(), width]))?;
    dweight.as_ref().map_or(Ok(()), |dweight| check::length(OPERATION, "dweight", dweight, &[width]))?;
    let rows = x.par_chunks(ROWS * width).zip(dy.par_chunks(ROWS * width)).zip(rstd.par_chunks(ROWS));
    if let Some(dx) = dx {
        let [count, offset] = [width as f64, norm.offset].map(T::Compute::of);
        rows.clone().zip(dx.par_chunks_mut(ROWS * width)).for_each(|(((x, dy), rstd), dx)| {
            let rows =
                x.chunks_exact(width).zip(dy.chunks_exact(width)).zip(rstd).zip(dx.chunks_exact_mut(width));
            for (((x, dy), &rstd), dx) in rows {
                row_slope(dy, x, weight, rstd, [count, offset], dx);
            }
        });
    }
    if let Some(dweight) = dweight {
        let partial_sums = rows.map(|((x, dy), rstd)| {
            let mut partial_sum = vec![T::Compute::ZERO; width];
            for ((x, dy), &rstd) in x.chunks_exact(width).zip(dy.chunks_exact(width)).zip(rstd) {
                add_weight_slope(dy, x, rstd, &mut partial_sum);
            }
            partial_sum
        });
        for partial_sum in partial_sums.collect::<Vec<_>>() {
            for (dweight, partial_sum) in dweight.iter_mut().zip(partial_sum) {
                *dweight += partial_sum;
            }
        }
    }
    Ok(())
}

vectorised! {
    /// A row, with its width, epsilon and offset; returns its `rstd`.
    fn normalise<T: Element>(
        x: &[T],
        weight: &[T],
        terms: [T::Compute; 3],
        y: &mut [T],
    ) -> T::Compute {
        let [count, epsilon, offset] = terms;
        let rstd = T::Compute::ONE / (sum(x, |x| x * x) / count + epsilon).root();
        for ((y, x), weight) in y.iter_mut().zip(x).zip(weight) {
            *y = T::store(x.load() * rstd * (offset + weight.load()));
        }
        rstd
    }

    /// The gradient of a row, with its width and offset.
    fn row_slope<T: Element>(
        dy: &[T],
        x: &[T],
        weight: &[T],
        rstd: T::Compute,
        terms: [T::Compute; 2],
        dx: &mut [T],
    ) {
        let [count, offset] = terms;
        let mean = sum_of_triples((x, dy, weight), |x, dy, weight| (offset + weight) * dy * x) / count;
        let pull = mean * rstd * rstd * rstd;
        for (((dx, x), dy), weight) in dx.iter_mut().zip(x).zip(dy).zip(weight) {
            *dx = T::store((offset + weight.load()) * dy.load() * rstd - x.load() * pull);
        }
    }

    /// Adds a row's part of the gradient of the weight.
    fn add_weight_slope<T: Element>(dy: &[T], x: &[T], rstd: T::Compute, sums: &mut [T::Compute]) {
        for ((sum, x), dy) in sums.iter_mut().zip(x).zip(dy) {
            *sum += dy.load() * x.load() * rstd;
        }
    }
}
