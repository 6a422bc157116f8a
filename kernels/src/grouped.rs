//! Products of rows that lie in groups with a matrix for each group: the linear layers of experts (Shazeer et al. 2017,
//! "Outrageously large neural networks"). No row is dropped and none is padded.
//!
//! `counts` are the rows of each group, which lie end to end. A matrix is `[out, in]`, or `[in, out]` if `transposed`.

use rayon::prelude::*;

use crate::matmul::compute;
use crate::matrix::{Matrix, Workers};
use crate::{Element, KernelError, check};

/// Rows that one task multiplies, at most.
const ROWS: usize = 256;
/// With fewer groups that have rows, each product is shared out instead.
const GROUPS: usize = 4;

/// The sizes of a grouped product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupedShape<'a> {
    /// Rows of each group.
    pub counts: &'a [usize],
    /// Width of what goes in.
    pub inputs: usize,
    /// Width of what comes out.
    pub outputs: usize,
    /// Whether matrices are `[in, out]`.
    pub transposed: bool,
}

impl GroupedShape<'_> {
    fn check<T>(
        &self,
        operation: &'static str,
        x: &[T],
        y: &[T],
        matrices: usize,
    ) -> Result<(), KernelError> {
        let rows = self.counts.iter().fold(0usize, |sum, &count| sum.saturating_add(count));
        check::rule(operation, "at least one input and one output", self.inputs.min(self.outputs) > 0)?;
        check::rule(operation, "a matrix for each group", matrices == self.counts.len())?;
        check::length(operation, "x", x, &[rows, self.inputs])?;
        check::length(operation, "y", y, &[rows, self.outputs])
    }

    /// The matrix of a group, as `[in, out]`.
    fn matrix<'m, T: Element>(&self, elements: &'m [T]) -> Result<Matrix<'m, T>, KernelError> {
        match self.transposed {
            true => Matrix::new(elements, self.inputs, self.outputs),
            false => Ok(Matrix::new(elements, self.outputs, self.inputs)?.transposed()),
        }
    }

    /// Whether there are enough groups for each task to work alone.
    fn workers(&self) -> (Workers, usize) {
        let busy = self.counts.iter().filter(|&&count| count > 0).count();
        if busy < GROUPS { (Workers::Pool, usize::MAX) } else { (Workers::Caller, ROWS) }
    }

    /// `into = from matrix`, or `into += from matrix`, group by group; `matrix` is as given or transposed.
    fn multiply<T: Element>(
        &self,
        from: (&[T], usize),
        matrices: &[&[T]],
        into: (&mut [T], usize),
        back: bool,
        accumulate: bool,
    ) -> Result<(), KernelError> {
        let (workers, most) = self.workers();
        let ((mut from, from_width), (mut into, into_width)) = (from, into);
        let mut tasks = Vec::new();
        for (&count, matrix) in self.counts.iter().zip(matrices) {
            let matrix = self.matrix(matrix)?.transposed_if(back);
            let mut left = count;
            while left > 0 {
                let rows = left.min(most);
                let Some((x, x_rest)) = from.split_at_checked(rows * from_width) else { return Ok(()) };
                let Some((y, y_rest)) = into.split_at_mut_checked(rows * into_width) else { return Ok(()) };
                tasks.push((Matrix::new(x, rows, from_width)?, matrix, y));
                (from, into, left) = (x_rest, y_rest, left - rows);
            }
        }
        let run = |(x, matrix, y): (Matrix<'_, T>, Matrix<'_, T>, &mut [T])| {
            compute(x, matrix, y, accumulate, workers);
        };
        match workers {
            Workers::Pool => tasks.into_iter().for_each(run),
            Workers::Caller => tasks.into_par_iter().with_max_len(1).for_each(run),
        }
        Ok(())
    }
}

/// `y = x matrix`, or `y += x matrix`, for each row with the matrix of its group.
///
/// # Errors
/// [`KernelError::Length`] if a slice doesn't fit, [`KernelError::Rule`] if a size is zero or a matrix is missing.
pub fn forward<T: Element>(
    x: &[T],
    matrices: &[&[T]],
    shape: &GroupedShape<'_>,
    y: &mut [T],
    accumulate: bool,
) -> Result<(), KernelError> {
    shape.check("grouped_linear", x, y, matrices.len())?;
    shape.multiply((x, shape.inputs), matrices, (y, shape.outputs), false, accumulate)
}

/// `dx = dy matrix^T` for each row.
///
/// # Errors
/// As [`forward`].
pub fn input_gradient<T: Element>(
    dy: &[T],
    matrices: &[&[T]],
    shape: &GroupedShape<'_>,
    dx: &mut [T],
) -> Result<(), KernelError> {
    shape.check("grouped_linear backward", dx, dy, matrices.len())?;
    shape.multiply((dy, shape.outputs), matrices, (dx, shape.inputs), true, false)
}

/// The gradient of each matrix, in its layout; zero where a group has no rows.
///
/// # Errors
/// As [`forward`].
pub fn weight_gradients<T: Element>(
    x: &[T],
    dy: &[T],
    shape: &GroupedShape<'_>,
    gradients: &mut [&mut [T]],
) -> Result<(), KernelError> {
    const OPERATION: &str = "grouped_linear backward";
    shape.check(OPERATION, x, dy, gradients.len())?;
    let mut start = 0;
    let mut tasks = Vec::new();
    for (&count, gradient) in shape.counts.iter().zip(gradients) {
        check::length(OPERATION, "gradient", gradient, &[shape.inputs, shape.outputs])?;
        let part = |from: &'_ [T], width: usize| -> std::ops::Range<usize> {
            (start * width).min(from.len())..((start + count) * width).min(from.len())
        };
        let x = Matrix::new(x.get(part(x, shape.inputs)).unwrap_or_default(), count, shape.inputs)?;
        let dy = Matrix::new(dy.get(part(dy, shape.outputs)).unwrap_or_default(), count, shape.outputs)?;
        start += count;
        if count > 0 {
            let (left, right) = if shape.transposed { (x, dy) } else { (dy, x) };
            tasks.push((left.transposed(), right, &mut **gradient));
        }
    }
    let (workers, _) = shape.workers();
    let run = |(left, right, gradient): (Matrix<'_, T>, Matrix<'_, T>, &mut [T])| {
        compute(left, right, gradient, false, workers);
    };
    match workers {
        Workers::Pool => tasks.into_iter().for_each(run),
        Workers::Caller => tasks.into_par_iter().with_max_len(1).for_each(run),
    }
    Ok(())
}
