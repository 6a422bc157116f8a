/// Lanes of a vector: 32-bit numbers in 512 bits.
pub(crate) const LANES: usize = 16;

/// As many numbers as the widest vector has lanes, aligned so that each vector of them is loaded from one cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line<U>(pub(crate) [U; LANES]);
