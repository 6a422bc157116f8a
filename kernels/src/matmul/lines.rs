//! Memory that the AVX-512 kernels work in: whole vectors, kept from one product to the next.

use std::cell::Cell;

pub(super) use crate::line::{LANES, Line};

/// Memory of one thread. What is in it is left over from earlier products.
#[derive(Default)]
pub(super) struct Scratch {
    /// Packed rows of the left matrix.
    pub(super) left: Vec<Line<u32>>,
    /// Packed columns of the right matrix.
    pub(super) right: Vec<Line<u32>>,
    /// Sums of a block of the product.
    pub(super) sums: Vec<Line<f32>>,
}

thread_local! {
    static SCRATCH: Cell<Scratch> = Cell::default();
    static SHARED: Cell<Vec<Line<u32>>> = Cell::default();
}

/// Runs `work` with the thread's scratch. A product inside of another one, which a thread takes up while it waits, gets
/// memory of its own.
pub(super) fn with_scratch<R>(work: impl FnOnce(&mut Scratch) -> R) -> R {
    let mut scratch = SCRATCH.take();
    let result = work(&mut scratch);
    SCRATCH.set(scratch);
    result
}

/// As [`with_scratch`], with the memory that the thread packs a matrix in for all others.
pub(super) fn with_shared<R>(work: impl FnOnce(&mut Vec<Line<u32>>) -> R) -> R {
    let mut shared = SHARED.take();
    let result = work(&mut shared);
    SHARED.set(shared);
    result
}

/// The first `count` lines, which are made if there are fewer.
pub(super) fn at_least<U: Copy + Default>(lines: &mut Vec<Line<U>>, count: usize) -> &mut [Line<U>] {
    if lines.len() < count {
        lines.resize(count, Line([U::default(); LANES]));
    }
    lines.get_mut(..count).unwrap_or_default()
}
