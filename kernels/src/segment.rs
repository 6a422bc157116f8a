//! Sums and means of the rows of each segment. Rows of a segment need not be next to each other.

use crate::{Element, Float, KernelError, check};

/// `sums[s] = sum of values[i] with segments[i] = s`, rows of `width`: `values` is `[n, width]`, `segments` `[n]` and
/// `sums` `[count, width]`. Rows are added in their order.
///
/// # Errors
/// [`KernelError::Length`] if a slice doesn't fit, [`KernelError::Index`] if a segment is not below the count,
/// [`KernelError::Rule`] if `width` is zero.
pub fn sum<T: Element>(
    values: &[T],
    segments: &[i64],
    width: usize,
    sums: &mut [T],
) -> Result<(), KernelError> {
    gather("segment_sum", values, segments, width, sums, |_| T::Compute::ONE)
}

/// As [`sum`], divided by the number of rows in each segment; a segment without rows gives zero.
///
/// # Errors
/// As [`sum`].
pub fn mean<T: Element>(
    values: &[T],
    segments: &[i64],
    width: usize,
    means: &mut [T],
) -> Result<(), KernelError> {
    gather("segment_mean", values, segments, width, means, share)
}

/// The gradient of [`sum`]: `dvalues[i] = dsums[segments[i]]`.
///
/// # Errors
/// As [`sum`].
pub fn sum_backward<T: Element>(
    dsums: &[T],
    segments: &[i64],
    width: usize,
    dvalues: &mut [T],
) -> Result<(), KernelError> {
    spread("segment_sum backward", dsums, segments, width, dvalues, |_| T::Compute::ONE)
}

/// The gradient of [`mean`]: `dvalues[i] = dmeans[s] / number of rows in s` with `s = segments[i]`.
///
/// # Errors
/// As [`sum`].
pub fn mean_backward<T: Element>(
    dmeans: &[T],
    segments: &[i64],
    width: usize,
    dvalues: &mut [T],
) -> Result<(), KernelError> {
    spread("segment_mean backward", dmeans, segments, width, dvalues, share)
}

/// The factor of each row in a mean.
fn share<C: Float>(rows: usize) -> C {
    if rows == 0 { C::ZERO } else { C::ONE / C::of(rows as f64) }
}

fn gather<T: Element>(
    operation: &'static str,
    values: &[T],
    segments: &[i64],
    width: usize,
    sums: &mut [T],
    factor: impl Fn(usize) -> T::Compute,
) -> Result<(), KernelError> {
    let sizes = sizes(operation, (values, "values"), (sums, "result"), segments, width)?;
    let mut totals = vec![T::Compute::ZERO; sums.len()];
    for (row, &segment) in values.chunks_exact(width).zip(segments) {
        let first = segment as usize * width;
        for (total, value) in totals.iter_mut().skip(first).zip(row) {
            *total += value.load();
        }
    }
    let rows = sums.chunks_exact_mut(width).zip(totals.chunks_exact(width)).zip(sizes);
    for ((sums, totals), size) in rows {
        let factor = factor(size);
        for (sum, &total) in sums.iter_mut().zip(totals) {
            *sum = T::store(total * factor);
        }
    }
    Ok(())
}

fn spread<T: Element>(
    operation: &'static str,
    dsums: &[T],
    segments: &[i64],
    width: usize,
    dvalues: &mut [T],
    factor: impl Fn(usize) -> T::Compute,
) -> Result<(), KernelError> {
    let sizes = sizes(operation, (dvalues, "dvalues"), (dsums, "gradient"), segments, width)?;
    for (row, &segment) in dvalues.chunks_exact_mut(width).zip(segments) {
        let segment = segment as usize;
        let factor = factor(sizes.get(segment).copied().unwrap_or_default());
        for (value, dsum) in row.iter_mut().zip(dsums.iter().skip(segment * width)) {
            *value = T::store(dsum.load() * factor);
        }
    }
    Ok(())
}

/// Checks the arguments and counts the rows of each segment.
fn sizes<T>(
    operation: &'static str,
    (rows, rows_name): (&[T], &'static str),
    (segment_rows, segment_rows_name): (&[T], &'static str),
    segments: &[i64],
    width: usize,
) -> Result<Vec<usize>, KernelError> {
    check::rule(operation, "a width of at least 1", width > 0)?;
    check::length(operation, rows_name, rows, &[segments.len(), width])?;
    let count = segment_rows.len() / width;
    check::length(operation, segment_rows_name, segment_rows, &[count, width])?;
    check::indices(operation, "segments", segments, count)?;
    let mut sizes = vec![0; count];
    for &segment in segments {
        if let Some(size) = sizes.get_mut(segment as usize) {
            *size += 1;
        }
    }
    Ok(sizes)
}
