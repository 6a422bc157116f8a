//! Matrix products of numbers to compute with, by the `gemm` crate.

use gemm::Parallelism;

use crate::{Float, KernelError, check};

/// A matrix on a slice without gaps, or the transpose of one.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a, C> {
    elements: &'a [C],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, C: Float> Matrix<'a, C> {
    /// `rows x columns`, row-major.
    pub(crate) fn new(elements: &'a [C], rows: usize, columns: usize) -> Result<Self, KernelError> {
        check::length("matmul", "matrix", elements, &[rows, columns])?;
        Ok(Self { elements, rows, columns, row_stride: columns, column_stride: 1 })
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
}

/// Who computes a product.
#[derive(Clone, Copy)]
pub(crate) enum Workers {
    /// The thread that asks, which shares the work out otherwise.
    Caller,
    /// All threads of the current pool.
    Pool,
}

/// `result = lhs rhs`, or `result += lhs rhs`.
pub(crate) fn multiply<C: Float>(
    lhs: Matrix<'_, C>,
    rhs: Matrix<'_, C>,
    result: &mut [C],
    accumulate: bool,
    workers: Workers,
) -> Result<(), KernelError> {
    check::rule(
        "matmul",
        "as many columns of the left matrix as rows of the right one",
        lhs.columns == rhs.rows,
    )?;
    check::length("matmul", "product", result, &[lhs.rows, rhs.columns])?;
    let parallelism = match workers {
        Workers::Caller => Parallelism::None,
        Workers::Pool => Parallelism::Rayon(0),
    };
    #[expect(unsafe_code, reason = "the matrix kernels take pointers")]
    // SAFETY: the constructors of `Matrix` and the check above tie sizes and strides to the lengths of the three
    // slices, `result` is borrowed for writing and so overlaps neither of the others, and `Float` is closed over
    // `f32` and `f64`, which `gemm` knows.
    unsafe {
        gemm::gemm(
            lhs.rows,
            rhs.columns,
            lhs.columns,
            result.as_mut_ptr(),
            1,
            rhs.columns as isize,
            accumulate,
            lhs.elements.as_ptr(),
            lhs.column_stride as isize,
            lhs.row_stride as isize,
            rhs.elements.as_ptr(),
            rhs.column_stride as isize,
            rhs.row_stride as isize,
            C::ONE,
            C::ONE,
            false,
            false,
            false,
            parallelism,
        );
    }
    Ok(())
}
