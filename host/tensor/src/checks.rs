//! The checks that all operations share, with one wording each.

use std::cell::Cell;

use candle_core::{DType, Tensor as Value};

use crate::{Error, Result, Tensor};

/// The most elements one tensor may have unless [`with_element_limit`] says otherwise: 2^38, a terabyte of `float32`.
/// It is there so that a mistaken shape is an error and not an abort of the process.
pub const DEFAULT_ELEMENT_LIMIT: u64 = 1 << 38;

thread_local! {
    static ELEMENT_LIMIT: Cell<u64> = const { Cell::new(DEFAULT_ELEMENT_LIMIT) };
}

/// Runs `f` on this thread with a limit on the elements of each tensor it makes; larger ones are
/// [`Error::OutOfMemory`]. How the host keeps a plugin from asking for the impossible.
pub fn with_element_limit<T>(limit: u64, f: impl FnOnce() -> T) -> T {
    struct Restore(u64);
    impl Drop for Restore {
        fn drop(&mut self) {
            ELEMENT_LIMIT.set(self.0);
        }
    }
    let _restore = Restore(ELEMENT_LIMIT.replace(limit));
    f()
}

/// Refuses a shape that is too large, before anything is allocated for it.
pub(crate) fn admit(op: &'static str, shape: &[usize]) -> Result<()> {
    let elements = shape.iter().fold(1u128, |product, &size| product.saturating_mul(size as u128));
    if elements > u128::from(ELEMENT_LIMIT.get()) {
        return Err(Error::OutOfMemory { op, elements });
    }
    Ok(())
}

/// Sizes as the contract gives them.
pub(crate) fn shape(op: &'static str, sizes: &[u64]) -> Result<Vec<usize>> {
    let shape = sizes
        .iter()
        .map(|&size| usize::try_from(size).map_err(|_| Error::OutOfMemory { op, elements: size.into() }))
        .collect::<Result<Vec<_>>>()?;
    admit(op, &shape)?;
    Ok(shape)
}

/// A dimension, negative ones counted from the end.
pub(crate) fn dim(op: &'static str, value: &Value, dim: i32) -> Result<usize> {
    let rank = value.rank() as i64;
    let resolved = if dim < 0 { i64::from(dim) + rank } else { dim.into() };
    if (0..rank).contains(&resolved) {
        return Ok(resolved as usize);
    }
    Err(Error::invalid(op, format!("dimension {dim} of a tensor of {rank} dimensions")))
}

/// Several distinct dimensions; all of them when none is named.
pub(crate) fn dims(op: &'static str, value: &Value, dims: &[i32]) -> Result<Vec<usize>> {
    if dims.is_empty() {
        return Ok((0..value.rank()).collect());
    }
    let mut resolved = dims.iter().map(|&d| dim(op, value, d)).collect::<Result<Vec<_>>>()?;
    resolved.sort_unstable();
    resolved.dedup();
    if resolved.len() != dims.len() {
        return Err(Error::invalid(op, format!("a dimension is named twice in {dims:?}")));
    }
    Ok(resolved)
}

pub(crate) fn same_dtype(op: &'static str, lhs: &Tensor, rhs: &Tensor) -> Result<()> {
    if lhs.dtype() != rhs.dtype() {
        return Err(Error::DtypeMismatch { op, lhs: lhs.dtype(), rhs: rhs.dtype() });
    }
    Ok(())
}

pub(crate) fn want_dtype(op: &'static str, value: &Value, dtype: DType) -> Result<()> {
    if value.dtype() != dtype {
        return Err(Error::DtypeMismatch { op, lhs: value.dtype(), rhs: dtype });
    }
    Ok(())
}

pub(crate) fn want_float(op: &'static str, value: &Value) -> Result<()> {
    if !value.dtype().is_float() {
        return Err(Error::unsupported_dtype(op, value.dtype()));
    }
    Ok(())
}

pub(crate) fn same_shape(op: &'static str, lhs: &[usize], rhs: &[usize]) -> Result<()> {
    if lhs != rhs {
        return Err(Error::shapes(op, lhs, rhs));
    }
    Ok(())
}

/// The shape that two operands broadcast to.
pub(crate) fn broadcast(op: &'static str, lhs: &[usize], rhs: &[usize]) -> Result<Vec<usize>> {
    let rank = lhs.len().max(rhs.len());
    let size =
        |shape: &[usize], i: usize| (i + shape.len()).checked_sub(rank).and_then(|i| shape.get(i).copied());
    let joined = (0..rank)
        .map(|i| match (size(lhs, i), size(rhs, i)) {
            (Some(a), Some(b)) if a == b || b == 1 => Ok(a),
            (Some(1), Some(b)) => Ok(b),
            (Some(_), Some(_)) => Err(Error::shapes(op, lhs, rhs)),
            (Some(a), None) | (None, Some(a)) => Ok(a),
            (None, None) => Ok(1),
        })
        .collect::<Result<Vec<_>>>()?;
    admit(op, &joined)?;
    Ok(joined)
}

/// Indices in `0 .. size`, whatever their integer type.
pub(crate) fn indices(op: &'static str, index: &Value, size: usize) -> Result<Vec<i64>> {
    let indices = crate::storage::read_indices(op, index)?;
    match indices.iter().find(|&&i| i < 0 || i as u64 >= size as u64) {
        Some(bad) => Err(Error::invalid(op, format!("index {bad} is outside of 0..{size}"))),
        None => Ok(indices),
    }
}

/// Sizes before, of, and after a dimension: how a loop walks along it.
pub(crate) fn around(value: &Value, dim: usize) -> (usize, usize, usize) {
    let dims = value.dims();
    let outer = dims.iter().take(dim).product();
    let inner = dims.iter().skip(dim + 1).product();
    (outer, dims.get(dim).copied().unwrap_or(1), inner)
}
