//! The matrix product.
//!
//! On processors with AVX512-BF16, `bf16` is multiplied by kernels of this crate. Where there is none it is converted to
//! `f32`, as `f16` always is, which, as `f64`, the `gemm` crate multiplies.
//!
//! A product of a few rows with a weight reads the weight once, as it lies in memory: up to 48 rows of `bf16` by
//! AVX512-BF16, and 256 of `f32` by AVX-512; without these up to 128 rows of `f32` by AVX2, and up to eight of `bf16` by
//! others. By AVX2 any number of rows of `bf16` are multiplied so, for it costs less than to convert the weight. `f16` is always
//! read as `bf16` is where there is no AVX512-BF16.
//!
//! Each element of a product is summed up in a fixed order of the inner dimension by one thread, whatever the other sizes
//! are: by the kernels for AVX512-BF16, a row of a product does not depend on the rows beside it, but for whether these are
//! up to 48 or more.
//!
//! AVX512-BF16 knows no subnormal numbers: elements and sums below 2^-126 in magnitude count as zero.

#[cfg(target_arch = "x86_64")]
mod along_rows;
mod as_rows;
#[cfg(target_arch = "x86_64")]
mod blocked;
#[cfg(target_arch = "x86_64")]
mod lines;
#[cfg(target_arch = "x86_64")]
mod pack;
#[cfg(target_arch = "x86_64")]
mod packed;
mod portable;
#[cfg(target_arch = "x86_64")]
mod tile;
#[cfg(target_arch = "x86_64")]
mod unpack;

use crate::matrix::{Matrix, Workers};
use crate::{Element, KernelError, check};

/// `c = op(a) op(b)`, or `c += op(a) op(b)` if `accumulate`. `op(a)` is `[m, k]` and `op(b)` is `[k, n]`; `a` is stored
/// as `[k, m]` if `transpose_a`, `b` as `[n, k]` if `transpose_b`. `c` is `[m, n]`.
///
/// Sums are taken in `T::Compute`; those of `bf16` and `f16` are rounded once, when they are complete. Temporary memory is at most
/// 8 MiB and 2 MiB for each thread (up to an inner dimension of 65536). Where elements have to be converted it is 48 MiB.
///
/// # Errors
/// [`KernelError::Length`] if a slice doesn't fit the sizes.
#[expect(clippy::too_many_arguments, reason = "the arguments of BLAS, in the order that everybody knows")]
pub fn product<T: Element>(
    a: &[T],
    b: &[T],
    c: &mut [T],
    m: usize,
    k: usize,
    n: usize,
    transpose_a: bool,
    transpose_b: bool,
    accumulate: bool,
) -> Result<(), KernelError> {
    let (a, b) = operands(a, b, c, (m, k, n), transpose_a, transpose_b)?;
    compute(a, b, c, accumulate, Workers::Pool);
    Ok(())
}

/// As [`product`], without this crate's kernels for single processors, to compare them with.
///
/// # Errors
/// As [`product`].
#[expect(clippy::too_many_arguments, reason = "as above")]
pub fn product_portable<T: Element>(
    a: &[T],
    b: &[T],
    c: &mut [T],
    m: usize,
    k: usize,
    n: usize,
    transpose_a: bool,
    transpose_b: bool,
    accumulate: bool,
) -> Result<(), KernelError> {
    let (a, b) = operands(a, b, c, (m, k, n), transpose_a, transpose_b)?;
    portable::multiply(a, b, c, accumulate, Workers::Pool);
    Ok(())
}

/// The checked matrices of a product.
fn operands<'a, T: Element>(
    a: &'a [T],
    b: &'a [T],
    c: &[T],
    (m, k, n): (usize, usize, usize),
    transpose_a: bool,
    transpose_b: bool,
) -> Result<(Matrix<'a, T>, Matrix<'a, T>), KernelError> {
    const OPERATION: &str = "matmul";
    check::length(OPERATION, "a", a, &[m, k])?;
    check::length(OPERATION, "b", b, &[k, n])?;
    check::length(OPERATION, "c", c, &[m, n])?;
    let (a_rows, a_columns) = if transpose_a { (k, m) } else { (m, k) };
    let (b_rows, b_columns) = if transpose_b { (n, k) } else { (k, n) };
    let a = Matrix::new(a, a_rows, a_columns)?.transposed_if(transpose_a);
    Ok((a, Matrix::new(b, b_rows, b_columns)?.transposed_if(transpose_b)))
}

/// `result = left right`, or `result += left right`, by the best kernel that there is. The sizes must have been checked.
pub(crate) fn compute<T: Element, O: Element<Compute = T::Compute>>(
    left: Matrix<'_, T>,
    right: Matrix<'_, T>,
    result: &mut [O],
    accumulate: bool,
    workers: Workers,
) {
    #[cfg(target_arch = "x86_64")]
    if by_avx512(left, right, result, accumulate, workers) {
        return;
    }
    portable::multiply(left, right, result, accumulate, workers);
}

/// Whether elements are multiplied as they are stored; else they are converted, the weight again for each product.
pub(crate) fn is_native<T: Element>() -> bool {
    #[cfg(target_arch = "x86_64")]
    if let crate::Known::Bf16(_) = T::known(&[]) {
        return packed::Proof::<half::bf16>::find().is_some();
    }
    T::as_compute(&[]).is_some()
}

/// As [`compute`], if there are kernels for AVX-512 for the types and the processor; says whether there are.
#[cfg(target_arch = "x86_64")]
fn by_avx512<T: Element, O: Element<Compute = T::Compute>>(
    left: Matrix<'_, T>,
    right: Matrix<'_, T>,
    result: &mut [O],
    accumulate: bool,
    workers: Workers,
) -> bool {
    use half::bf16;

    use crate::element::{Known, KnownMut};

    // These are not generic, so that their loops are compiled with this crate, as it is meant to be, and not with those that call it.
    fn bfloat16_to_bfloat16(
        left: Matrix<'_, bf16>,
        right: Matrix<'_, bf16>,
        result: &mut [bf16],
        accumulate: bool,
        workers: Workers,
    ) -> bool {
        bfloat16(left, right, result, accumulate, workers)
    }
    fn bfloat16_to_float32(
        left: Matrix<'_, bf16>,
        right: Matrix<'_, bf16>,
        result: &mut [f32],
        accumulate: bool,
        workers: Workers,
    ) -> bool {
        bfloat16(left, right, result, accumulate, workers)
    }
    fn float32(
        left: Matrix<'_, f32>,
        right: Matrix<'_, f32>,
        result: &mut [f32],
        accumulate: bool,
        workers: Workers,
    ) -> bool {
        along_rows::multiply(left, right, result, accumulate, workers)
    }
    let right = right.transposed();
    match (T::known(left.elements), T::known(right.elements), O::known_mut(result)) {
        (Known::Bf16(a), Known::Bf16(b), KnownMut::F32(c)) => {
            bfloat16_to_float32(left.with(a), right.with(b), c, accumulate, workers)
        }
        (Known::Bf16(a), Known::Bf16(b), KnownMut::Bf16(c)) => {
            bfloat16_to_bfloat16(left.with(a), right.with(b), c, accumulate, workers)
        }
        (Known::F32(a), Known::F32(b), KnownMut::F32(c)) => {
            float32(left.with(a), right.with(b), c, accumulate, workers)
        }
        _ => false,
    }
}

/// `result = left right^T`, or `result += left right^T`, if there are kernels for AVX512-BF16; says whether there are.
#[cfg(target_arch = "x86_64")]
fn bfloat16<O: Element<Compute = f32>>(
    left: Matrix<'_, half::bf16>,
    right: Matrix<'_, half::bf16>,
    result: &mut [O],
    accumulate: bool,
    workers: Workers,
) -> bool {
    let Some(proof) = packed::Proof::find() else { return false };
    if !along_rows::multiply(left, right, result, accumulate, workers) {
        blocked::multiply(proof, left, right, result, accumulate, workers);
    }
    true
}
