//! The checks that all kernels share.

use crate::KernelError;

/// Refuses `slice` unless it has the size of the product of `sizes`.
pub(crate) fn length<T>(
    operation: &'static str,
    name: &'static str,
    slice: &[T],
    sizes: &[usize],
) -> Result<(), KernelError> {
    // A product that saturates equals no length of a slice of anything that has a size.
    let expected = sizes.iter().fold(1usize, |product, &size| product.saturating_mul(size));
    if slice.len() == expected {
        Ok(())
    } else {
        Err(KernelError::Length { operation, name, expected, got: slice.len() })
    }
}

/// Refuses the operation unless `holds`.
pub(crate) fn rule(operation: &'static str, rule: &'static str, holds: bool) -> Result<(), KernelError> {
    if holds { Ok(()) } else { Err(KernelError::Rule { operation, rule }) }
}

/// Refuses `values` unless all are in `0..bound`.
pub(crate) fn indices(
    operation: &'static str,
    name: &'static str,
    values: &[i64],
    bound: usize,
) -> Result<(), KernelError> {
    match values.iter().find(|&&value| !usize::try_from(value).is_ok_and(|value| value < bound)) {
        Some(&value) => Err(KernelError::Index { operation, name, value, bound }),
        None => Ok(()),
    }
}
