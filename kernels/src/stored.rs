//! Products of matrices as they are stored, in numbers to compute with.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use crate::element::{load_into, store_into};
use crate::matrix::{Matrix, Workers, multiply};
use crate::{CHUNK, Element, Float, KernelError};

/// A row-major matrix on a slice without gaps, or the transpose of one.
#[derive(Clone, Copy)]
pub(crate) struct Stored<'a, T> {
    elements: &'a [T],
    rows: usize,
    columns: usize,
    transposed: bool,
}

impl<'a, T: Element> Stored<'a, T> {
    /// `rows x columns`.
    pub(crate) fn new(elements: &'a [T], rows: usize, columns: usize) -> Self {
        Self { elements, rows, columns, transposed: false }
    }

    /// `rows x columns`, in the part `range` of `elements`.
    pub(crate) fn part(elements: &'a [T], range: Range<usize>, rows: usize, columns: usize) -> Self {
        Self::new(elements.get(range).unwrap_or_default(), rows, columns)
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

    pub(crate) fn transposed(self) -> Self {
        Self { transposed: !self.transposed, ..self }
    }
}

/// `result = lhs rhs`, or `result += lhs rhs`.
pub(crate) fn multiply_stored<'a, T: Element>(
    lhs: Stored<'a, T>,
    rhs: Stored<'a, T>,
    result: &mut [T::Compute],
    accumulate: bool,
    workers: Workers,
) -> Result<(), KernelError> {
    let matrix = |stored: Stored<'a, T>| Matrix::new(stored.elements, stored.rows, stored.columns);
    let (left, right) =
        (matrix(lhs)?.transposed_if(lhs.transposed), matrix(rhs)?.transposed_if(rhs.transposed));
    multiply(left, right, result, accumulate, workers)
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
