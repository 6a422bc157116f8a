//! The product of few rows whose elements have to be converted, on any processor.

use crate::element::load_into;
use crate::few_rows::{self, ROWS, Rows};
use crate::matrix::{Matrix, Workers};
use crate::sums::dot;
use crate::vectorised::vectorised;
use crate::{Element, Float as _};

/// `result = left right`, or `result += left right`, if this is a product of few rows with the transpose of a matrix whose
/// rows lie side by side, and if elements have to be converted; says whether it is.
pub(super) fn multiply<T: Element, O: Element<Compute = T::Compute>>(
    left: Matrix<'_, T>,
    right: Matrix<'_, T>,
    result: &mut [O],
    accumulate: bool,
    workers: Workers,
) -> bool {
    let k = left.columns;
    let fits = (1..=ROWS).contains(&left.rows)
        && k > 0
        && (left.column_stride, left.row_stride) == (1, k)
        && (right.row_stride, right.column_stride) == (1, k)
        && T::as_compute(&[]).is_none();
    if fits {
        let mut inputs = vec![T::Compute::ZERO; left.elements.len()];
        load_into(left.elements, &mut inputs);
        few_rows::multiply(&inputs, &Weight(right.transposed()), result, accumulate, workers);
    }
    fits
}

/// A matrix whose rows lie side by side.
struct Weight<'a, T>(Matrix<'a, T>);

impl<'a, T: Element> Weight<'a, T> {
    fn row(&self, row: usize) -> &'a [T] {
        self.0.elements.get(row * self.0.columns..(row + 1) * self.0.columns).unwrap_or_default()
    }
}

impl<T: Element> Rows<T::Compute> for Weight<'_, T> {
    fn rows(&self) -> usize {
        self.0.rows
    }

    fn columns(&self) -> usize {
        self.0.columns
    }

    fn convert(&self, row: usize, into: &mut [T::Compute]) {
        load_into(self.row(row), into);
    }

    fn dot(&self, row: usize, vector: &[T::Compute]) -> Option<T::Compute> {
        Some(product(self.row(row), vector))
    }
}

vectorised! {
    fn product<T: Element>(row: &[T], vector: &[T::Compute]) -> T::Compute {
        dot(row, vector)
    }
}
