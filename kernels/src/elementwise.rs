//! Sums and copies, element by element: what is left between the fused operations.

use rayon::prelude::*;

use crate::sums::sum_of_wide;
use crate::vectorised::vectorised;
use crate::{CHUNK, Element, Float, KernelError, check};

/// Writes `sum = x + y`, all of one length.
///
/// # Errors
/// [`KernelError::Length`] if the lengths differ.
pub fn add<T: Element>(x: &[T], y: &[T], sum: &mut [T]) -> Result<(), KernelError> {
    check::length("add", "y", y, &[x.len()])?;
    check::length("add", "sum", sum, &[x.len()])?;
    let tasks = sum.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).zip(y.par_chunks(CHUNK));
    tasks.for_each(|((sum, x), y)| sum_of(x, y, sum));
    Ok(())
}

/// Writes `row` `[width]` to each row of `x` `[rows, width]`.
///
/// # Errors
/// [`KernelError::Length`] if a slice doesn't fit, [`KernelError::Rule`] if `row` is empty.
pub fn repeat_row<T: Element>(row: &[T], x: &mut [T]) -> Result<(), KernelError> {
    let width = row.len();
    check::rule("repeat_row", "a width of at least 1", width > 0)?;
    check::length("repeat_row", "x", x, &[x.len() / width, width])?;
    let rows = (CHUNK / width).max(1);
    x.par_chunks_mut(rows * width).for_each(|x| {
        x.chunks_exact_mut(width).for_each(|x| x.copy_from_slice(row));
    });
    Ok(())
}

/// Writes `to = factor * from`, in another element type or the same. Products are taken in `C`.
///
/// # Errors
/// [`KernelError::Length`] if the lengths differ.
pub fn scale<S, T>(from: &[S], factor: S::Compute, to: &mut [T]) -> Result<(), KernelError>
where
    S: Element,
    T: Element<Compute = S::Compute>,
{
    check::length("scale", "to", to, &[from.len()])?;
    let tasks = to.par_chunks_mut(CHUNK).zip(from.par_chunks(CHUNK));
    tasks.for_each(|(to, from)| scaled::<S::Compute, S, T>(from, factor, to));
    Ok(())
}

/// The sum of the squares of `x`, taken in `f64` and in a fixed order.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    x.par_chunks(CHUNK).map(squares::<f32>).collect::<Vec<_>>().into_iter().sum()
}

vectorised! {
    fn sum_of<T: Element>(x: &[T], y: &[T], sum: &mut [T]) {
        for ((sum, x), y) in sum.iter_mut().zip(x).zip(y) {
            *sum = T::store(x.load() + y.load());
        }
    }

    fn scaled<C: Float, S: Element<Compute = C>, T: Element<Compute = C>>(from: &[S], factor: C, to: &mut [T]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = T::store(from.load() * factor);
        }
    }

    fn squares<T: Element>(x: &[T]) -> f64 {
        sum_of_wide(x, |x| x.widen() * x.widen())
    }
}
