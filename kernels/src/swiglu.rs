//! The gate of gated linear units (Shazeer 2020), `y = silu(gate) * up` with `silu(g) = g sigmoid(g)`.

use rayon::prelude::*;

use crate::vectorised::vectorised;
use crate::{CHUNK, Element, Float, KernelError, check};

/// Writes `y` from `gate` and `up`, all of one length.
///
/// # Errors
/// [`KernelError::Length`] if the lengths differ.
pub fn forward<T: Element>(gate: &[T], up: &[T], y: &mut [T]) -> Result<(), KernelError> {
    check::length("swiglu", "up", up, &[gate.len()])?;
    check::length("swiglu", "y", y, &[gate.len()])?;
    let tasks = gate.par_chunks(CHUNK).zip(up.par_chunks(CHUNK)).zip(y.par_chunks_mut(CHUNK));
    tasks.for_each(|((gate, up), y)| activate(gate, up, y));
    Ok(())
}

/// Writes the gradients for `dy`: `dup = dy silu(gate)` and `dgate = dy up silu'(gate)` with
/// `silu'(g) = sigmoid(g) (1 + g (1 - sigmoid(g)))`.
///
/// # Errors
/// [`KernelError::Length`] if the lengths differ.
pub fn backward<T: Element>(
    dy: &[T],
    gate: &[T],
    up: &[T],
    dgate: &mut [T],
    dup: &mut [T],
) -> Result<(), KernelError> {
    const OPERATION: &str = "swiglu backward";
    check::length(OPERATION, "gate", gate, &[dy.len()])?;
    check::length(OPERATION, "up", up, &[dy.len()])?;
    check::length(OPERATION, "dgate", dgate, &[dy.len()])?;
    check::length(OPERATION, "dup", dup, &[dy.len()])?;
    let inputs = dy.par_chunks(CHUNK).zip(gate.par_chunks(CHUNK)).zip(up.par_chunks(CHUNK));
    let tasks = inputs.zip(dgate.par_chunks_mut(CHUNK)).zip(dup.par_chunks_mut(CHUNK));
    tasks.for_each(|((((dy, gate), up), dgate), dup)| slopes(dy, gate, up, dgate, dup));
    Ok(())
}

vectorised! {
    fn activate<T: Element>(gate: &[T], up: &[T], y: &mut [T]) {
        for ((gate, up), y) in gate.iter().zip(up).zip(y) {
            let gate = gate.load();
            *y = T::store(gate * gate.sigmoid() * up.load());
        }
    }

    fn slopes<T: Element>(dy: &[T], gate: &[T], up: &[T], dgate: &mut [T], dup: &mut [T]) {
        for ((((dy, gate), up), dgate), dup) in dy.iter().zip(gate).zip(up).zip(dgate).zip(dup) {
            let (dy, gate, up) = (dy.load(), gate.load(), up.load());
            let (sigmoid, complement) = gate.sigmoids();
            *dup = T::store(dy * gate * sigmoid);
            *dgate = T::store(dy * up * sigmoid * (T::Compute::ONE + gate * complement));
        }
    }
}
