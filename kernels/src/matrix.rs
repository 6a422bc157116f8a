//! Matrices on slices, and their products for the operations that are made of some.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use crate::element::{load_into, store_into};
use crate::matmul::compute;
use crate::{CHUNK, Element, Float, KernelError, check};

/// A matrix on a slice without gaps, or the transpose of one.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a, T> {
    pub(crate) elements: &'a [T],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// From an element to that below it.
    pub(crate) row_stride: usize,
    /// From an element to that beside it; one of the strides is 1.
    pub(crate) column_stride: usize,
}

impl<'a, T: Element> Matrix<'a, T> {
    /// `rows x columns`, row-major.
    pub(crate) fn new(elements: &'a [T], rows: usize, columns: usize) -> Result<Self, KernelError> {
        check::length("matmul", "matrix", elements, &[rows, columns])?;
        Ok(Self { elements, rows, columns, row_stride: columns, column_stride: 1 })
    }

    /// `rows x columns`, row-major, in the part `range` of `elements`.
    pub(crate) fn part(
        elements: &'a [T],
        range: Range<usize>,
        rows: usize,
        columns: usize,
    ) -> Result<Self, KernelError> {
        Self::new(elements.get(range).unwrap_or_default(), rows, columns)
    }

    /// Some columns of a row-major matrix, whose rows are then as far apart as before.
    pub(crate) fn some_columns(self, columns: Range<usize>) -> Result<Self, KernelError> {
        let fits = self.column_stride == 1 && columns.start <= columns.end && columns.end <= self.columns;
        check::rule("matmul", "columns of a row-major matrix", fits)?;
        let elements = self.elements.get(columns.start..).unwrap_or_default();
        Ok(Self { elements, columns: columns.len(), ..self })
    }

    pub(crate) fn transposed(self) -> Self {
        Self {
            elements: self.elements,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }

    /// The transpose if `condition`.
    pub(crate) fn transposed_if(self, condition: bool) -> Self {
        if condition { self.transposed() } else { self }
    }

    /// The same matrix, if its elements can be computed with as they are.
    pub(crate) fn to_compute(self) -> Option<Matrix<'a, T::Compute>> {
        Some(self.with(T::as_compute(self.elements)?))
    }

    /// The elements to compute with; converted only if they need to be.
    pub(crate) fn converted(self, workers: Workers) -> Cow<'a, [T::Compute]> {
        if let Some(elements) = T::as_compute(self.elements) {
            return Cow::Borrowed(elements);
        }
        let mut converted = vec![T::Compute::ZERO; self.elements.len()];
        match workers {
            Workers::Caller => load_into(self.elements, &mut converted),
            Workers::Pool => {
                let tasks = converted.par_chunks_mut(CHUNK).zip(self.elements.par_chunks(CHUNK));
                tasks.for_each(|(into, from)| load_into(from, into));
            }
        }
        Cow::Owned(converted)
    }

    /// A matrix of these sizes on another slice of the same length.
    pub(crate) fn with<U>(self, elements: &'a [U]) -> Matrix<'a, U> {
        let Self { rows, columns, row_stride, column_stride, .. } = self;
        Matrix { elements, rows, columns, row_stride, column_stride }
    }
}

/// Who computes a product.
#[derive(Clone, Copy)]
pub(crate) enum Workers {
    /// The thread that asks, which shares the work out otherwise.
    Caller,
    /// All threads of the current pool.
    Pool,
}

/// `result = lhs rhs`, or `result += lhs rhs`, in the numbers that the elements are computed in: the product of two
/// `bf16` or `f16` matrices is `f32`.
pub(crate) fn multiply<T: Element>(
    lhs: Matrix<'_, T>,
    rhs: Matrix<'_, T>,
    result: &mut [T::Compute],
    accumulate: bool,
    workers: Workers,
) -> Result<(), KernelError> {
    check::rule(
        "matmul",
        "as many columns of the left matrix as rows of the right one",
        lhs.columns == rhs.rows,
    )?;
    check::length("matmul", "product", result, &[lhs.rows, rhs.columns])?;
    compute(lhs, rhs, result, accumulate, workers);
    Ok(())
}

/// Numbers as they are stored, in `buffer` if they need to be rounded.
pub(crate) fn rounded<'a, T: Element>(
    numbers: &'a [T::Compute],
    buffer: &'a mut Vec<T>,
    workers: Workers,
) -> &'a [T] {
    if let Some(stored) = T::from_compute(numbers) {
        return stored;
    }
    buffer.resize(numbers.len(), T::store(T::Compute::ZERO));
    match workers {
        Workers::Caller => store_into(numbers, buffer),
        Workers::Pool => {
            let tasks = buffer.par_chunks_mut(CHUNK).zip(numbers.par_chunks(CHUNK));
            tasks.for_each(|(into, from)| store_into(from, into));
        }
    }
    buffer
}
