//! Products with a matrix of low rank (the factors of LoRA, Hu et al. 2021). They do next to no arithmetic for what they
//! read, so unlike a general product they pass over the large matrix once, without packing it, and accumulate in place.
//!
//! What is of low rank is in the numbers that `T` is computed in. Elements of the other matrix may be dropped at random on their way.

use rayon::prelude::*;

use crate::element::{load_into, store_into};
use crate::sums::dot;
use crate::vectorised::vectorised;
use crate::{Dropout, Element, Float, KernelError, check};

/// Rows that are added to another at a time.
const ROWS: usize = 4;
/// Rows of the large matrix that one task of [`project`] and [`expand`] works on.
const TASK_ROWS: usize = 32;
/// Columns of the large matrix that one task of [`contract`] works on: with some rows of them they fit the nearest cache.
const TASK_COLUMNS: usize = 512;

/// `scale dropout(x) factor^T`: from `x` `[rows, width]` and `factor` `[rank, width]` to `low` `[rows, rank]`.
///
/// # Errors
/// [`KernelError::Length`] if a slice doesn't fit, [`KernelError::Rule`] if a size is zero.
pub fn project<T: Element>(
    x: &[T],
    factor: &[T::Compute],
    (rank, width): (usize, usize),
    scale: T::Compute,
    dropout: Option<Dropout>,
    low: &mut [T::Compute],
) -> Result<(), KernelError> {
    const OPERATION: &str = "low_rank project";
    check_factor(OPERATION, factor, rank, width)?;
    let rows = x.len() / width;
    check::length(OPERATION, "x", x, &[rows, width])?;
    check::length(OPERATION, "low", low, &[rows, rank])?;
    let tasks = low.par_chunks_mut(TASK_ROWS * rank).zip(x.par_chunks(TASK_ROWS * width)).enumerate();
    tasks.for_each(|(task, (low, x))| {
        let mut numbers = vec![T::Compute::ZERO; width];
        for (row, (low, x)) in low.chunks_exact_mut(rank).zip(x.chunks_exact(width)).enumerate() {
            let place = (task * TASK_ROWS + row) * width;
            project_row(loaded(x, dropout, place, &mut numbers), factor, scale, low);
        }
    });
    Ok(())
}

/// `y += dropout(low factor)`: from `low` `[rows, rank]` and `factor` `[rank, width]` to `y` `[rows, width]`, which is rounded once.
///
/// # Errors
/// As [`project`].
pub fn expand<T: Element>(
    low: &[T::Compute],
    factor: &[T::Compute],
    (rank, width): (usize, usize),
    dropout: Option<Dropout>,
    y: &mut [T],
) -> Result<(), KernelError> {
    const OPERATION: &str = "low_rank expand";
    check_factor(OPERATION, factor, rank, width)?;
    let rows = y.len() / width;
    check::length(OPERATION, "y", y, &[rows, width])?;
    check::length(OPERATION, "low", low, &[rows, rank])?;
    let tasks = y.par_chunks_mut(TASK_ROWS * width).zip(low.par_chunks(TASK_ROWS * rank)).enumerate();
    tasks.for_each(|(task, (y, low))| {
        let mut sums = vec![T::Compute::ZERO; width];
        for (row, (y, low)) in y.chunks_exact_mut(width).zip(low.chunks_exact(rank)).enumerate() {
            match dropout {
                Some(_) => sums.fill(T::Compute::ZERO),
                None => load_into(y, &mut sums),
            }
            for (low, factor) in low.chunks(ROWS).zip(factor.chunks(ROWS * width)) {
                add_rows(factor, width, |row| low.get(row).copied(), &mut sums);
            }
            match dropout {
                Some(dropout) => dropout.add(&sums, (task * TASK_ROWS + row) * width, y),
                None => store_into(&sums, y),
            }
        }
    });
    Ok(())
}

/// `low^T dropout(x)`: from `low` `[rows, rank]` and `x` `[rows, width]` to `factor` `[rank, width]`. Rows are added in their order.
///
/// # Errors
/// As [`project`].
pub fn contract<T: Element>(
    low: &[T::Compute],
    x: &[T],
    (rank, width): (usize, usize),
    dropout: Option<Dropout>,
    factor: &mut [T::Compute],
) -> Result<(), KernelError> {
    const OPERATION: &str = "low_rank contract";
    check_factor(OPERATION, factor, rank, width)?;
    let rows = x.len() / width;
    check::length(OPERATION, "x", x, &[rows, width])?;
    check::length(OPERATION, "low", low, &[rows, rank])?;
    let starts: Vec<usize> = (0..width).step_by(TASK_COLUMNS).collect();
    let strips = starts.into_par_iter().map(|start| {
        let columns = start..width.min(start + TASK_COLUMNS);
        let count = columns.len();
        let mut strip = vec![T::Compute::ZERO; rank * count];
        let mut numbers = vec![T::Compute::ZERO; ROWS * count];
        for (group, (low, x)) in low.chunks(ROWS * rank).zip(x.chunks(ROWS * width)).enumerate() {
            for (row, (numbers, x)) in numbers.chunks_exact_mut(count).zip(x.chunks_exact(width)).enumerate()
            {
                let x = x.get(columns.clone()).unwrap_or_default();
                match dropout {
                    Some(dropout) => dropout.load(x, (group * ROWS + row) * width + columns.start, numbers),
                    None => load_into(x, numbers),
                }
            }
            for (index, sums) in strip.chunks_exact_mut(count).enumerate() {
                add_rows(&numbers, count, |row| low.get(row * rank + index).copied(), sums);
            }
        }
        strip
    });
    let strips: Vec<_> = strips.collect();
    for (index, factor) in factor.chunks_exact_mut(width).enumerate() {
        for (columns, strip) in factor.chunks_mut(TASK_COLUMNS).zip(&strips) {
            let count = columns.len();
            columns.copy_from_slice(strip.get(index * count..(index + 1) * count).unwrap_or_default());
        }
    }
    Ok(())
}

/// From `x` `[n, width]` to `[width, n]`.
pub fn transposed<C: Float>(x: &[C], width: usize) -> Vec<C> {
    (0..width).flat_map(|column| x.iter().skip(column).step_by(width).copied()).collect()
}

fn check_factor<C>(
    operation: &'static str,
    factor: &[C],
    rank: usize,
    width: usize,
) -> Result<(), KernelError> {
    check::rule(operation, "at least one rank and one column", rank > 0 && width > 0)?;
    check::length(operation, "factor", factor, &[rank, width])
}

/// The elements to compute with, in `buffer` if they need to be converted or some are dropped.
fn loaded<'a, T: Element>(
    x: &'a [T],
    dropout: Option<Dropout>,
    place: usize,
    buffer: &'a mut [T::Compute],
) -> &'a [T::Compute] {
    match (dropout, T::as_compute(x)) {
        (Some(dropout), _) => dropout.load(x, place, buffer),
        (None, Some(x)) => return x,
        (None, None) => load_into(x, buffer),
    }
    buffer
}

/// Adds up to four rows of `width`, each times its factor; rows without one are left out.
fn add_rows<C: Float>(rows: &[C], width: usize, factor: impl Fn(usize) -> Option<C>, sums: &mut [C]) {
    let mut rows = rows.chunks_exact(width);
    let mut next = || rows.next().unwrap_or_default();
    let (a, b, c, d) = (next(), next(), next(), next());
    if let (Some(p), Some(q), Some(r), Some(s)) = (factor(0), factor(1), factor(2), factor(3)) {
        add_four(sums, (a, p), (b, q), (c, r), (d, s));
        return;
    }
    for (index, row) in [a, b, c].into_iter().enumerate() {
        if let Some(factor) = factor(index) {
            add_one(sums, row, factor);
        }
    }
}

vectorised! {
    fn project_row<C: Float>(x: &[C], factor: &[C], scale: C, low: &mut [C]) {
        for (low, factor) in low.iter_mut().zip(factor.chunks_exact(x.len())) {
            *low = dot(x, factor) * scale;
        }
    }

    fn add_four<C: Float>(
        sums: &mut [C],
        first: (&[C], C),
        second: (&[C], C),
        third: (&[C], C),
        fourth: (&[C], C),
    ) {
        let rows = first.0.iter().zip(second.0).zip(third.0).zip(fourth.0);
        for (sum, (((&a, &b), &c), &d)) in sums.iter_mut().zip(rows) {
            *sum += (a * first.1 + b * second.1) + (c * third.1 + d * fourth.1);
        }
    }

    fn add_one<C: Float>(sums: &mut [C], row: &[C], factor: C) {
        for (sum, &x) in sums.iter_mut().zip(row) {
            *sum += x * factor;
        }
    }
}
