//! The product with the transpose of a matrix whose rows lie side by side.

use std::ops::Range;

use crate::Element;
use crate::by_rows::{self, Rows};
use crate::element::{Known, load_into};
use crate::matrix::{Matrix, Workers};
use crate::sums::dot;
use crate::vectorised::vectorised;

/// `result = left right`, or `result += left right`, if this is such a product and a kernel for it pays; says whether it is.
pub(super) fn multiply<T: Element, O: Element<Compute = T::Compute>>(
    left: Matrix<'_, T>,
    right: Matrix<'_, T>,
    result: &mut [O],
    accumulate: bool,
    workers: Workers,
) -> bool {
    let k = left.columns;
    let most = by_rows::most::<T::Compute>();
    // Numbers that need not be converted are multiplied as fast by the `gemm` crate, except where it packs for a few rows.
    let rows = match (T::as_compute(&[]).is_none(), by_rows::has_tiles::<T::Compute>()) {
        (true, true) => 1..=usize::MAX,
        (true, false) => 1..=most,
        (false, true) => 2..=most,
        (false, false) => return false,
    };
    let fits = rows.contains(&left.rows)
        && k > 0
        && (left.column_stride, left.row_stride) == (1, k)
        && (right.row_stride, right.column_stride) == (1, k);
    if fits {
        by_rows::multiply(left.elements, &Weight(right.transposed()), result, accumulate, workers);
    }
    fits
}

/// A matrix whose rows lie side by side.
struct Weight<'a, T>(Matrix<'a, T>);

impl<'a, T: Element> Weight<'a, T> {
    fn some(&self, rows: Range<usize>) -> &'a [T] {
        let columns = self.0.columns;
        self.0.elements.get(rows.start * columns..rows.end * columns).unwrap_or_default()
    }
}

impl<T: Element> Rows<T::Compute> for Weight<'_, T> {
    fn rows(&self) -> usize {
        self.0.rows
    }

    fn columns(&self) -> usize {
        self.0.columns
    }

    fn stored(&self, rows: Range<usize>) -> Option<Known<'_>> {
        Some(T::known(self.some(rows)))
    }

    fn numbers(&self, rows: Range<usize>) -> Option<&[T::Compute]> {
        T::as_compute(self.some(rows))
    }

    fn convert(&self, rows: Range<usize>, into: &mut [T::Compute]) {
        load_into(self.some(rows), into);
    }

    fn dot(&self, row: usize, vector: &[T::Compute]) -> Option<T::Compute> {
        Some(product(self.some(row..row + 1), vector))
    }
}

vectorised! {
    fn product<T: Element>(row: &[T], vector: &[T::Compute]) -> T::Compute {
        dot(row, vector)
    }
}
