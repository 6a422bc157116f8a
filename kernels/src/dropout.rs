//! Random zeroing of elements (Srivastava et al. 2014): an element is dropped with a probability of `rate`, and grows by
//! `1 / (1 - rate)` otherwise. That is its own transpose, as a multiplication by a diagonal matrix is.
//!
//! Whether an element is dropped follows from the seed and its place alone. Places within 2^32 have a pair of keys of 32 bits in
//! common, which SplitMix64 (Steele, Lea and Flood 2014) makes of the seed and of the higher bits of the place. The lower bits are
//! mixed with them by two multiplications, whose constants are those that Wellons and others searched for the least bias
//! ("hash-prospector", 2018): that is what a processor does for many places side by side.

use std::ops::Range;

use rayon::prelude::*;

use crate::random::mix;
use crate::vectorised::vectorised;
use crate::{CHUNK, Element, Float, KernelError, check};

/// Random zeroing of elements, which follow from the seed alone: what is computed again drops the same ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Share of the elements that become zero, in `0 .. 1`; the others grow by `1 / (1 - rate)`.
    pub rate: f64,
    /// Seed of this application.
    pub seed: u64,
}

/// `y = dropout(x)`.
///
/// # Errors
/// [`KernelError::Length`] if the slices differ in length.
pub fn forward<T: Element>(x: &[T], dropout: Dropout, y: &mut [T]) -> Result<(), KernelError> {
    check::length("dropout", "y", y, &[x.len()])?;
    y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).enumerate().for_each(|(chunk, (y, x))| {
        dropout.each_part(chunk * CHUNK, x.len(), |part, keys, first| {
            let (x, y) = (x.get(part.clone()).unwrap_or_default(), y.get_mut(part).unwrap_or_default());
            store(x, keys, first, dropout.least(), dropout.growth::<T>(), y);
        });
    });
    Ok(())
}

impl Dropout {
    /// Elements from a place on as numbers to compute with.
    pub(crate) fn load<T: Element>(self, x: &[T], place: usize, into: &mut [T::Compute]) {
        self.each_part(place, x.len(), |part, keys, first| {
            let (x, into) = (x.get(part.clone()).unwrap_or_default(), into.get_mut(part).unwrap_or_default());
            load(x, keys, first, self.least(), self.growth::<T>(), into);
        });
    }

    /// `y += dropout(x)` for elements from a place on.
    pub(crate) fn add<T: Element>(self, x: &[T::Compute], place: usize, y: &mut [T]) {
        self.each_part(place, x.len(), |part, keys, first| {
            let (x, y) = (x.get(part.clone()).unwrap_or_default(), y.get_mut(part).unwrap_or_default());
            add(x, keys, first, self.least(), self.growth::<T>(), y);
        });
    }

    /// Parts whose places have their keys in common, with these and the lower bits of the first place.
    fn each_part(self, place: usize, count: usize, mut work: impl FnMut(Range<usize>, [u32; 2], u32)) {
        let mut start = 0;
        while start < count {
            let first = (place + start) as u64;
            let left = (1 << u32::BITS) - (first & u64::from(u32::MAX));
            let end = count.min(start + usize::try_from(left).unwrap_or(usize::MAX));
            let keys = split_mix(split_mix(self.seed).wrapping_add(first >> u32::BITS));
            work(start..end, [keys as u32, (keys >> u32::BITS) as u32], first as u32);
            start = end;
        }
    }

    /// The least of the random numbers with which an element is kept.
    fn least(self) -> u32 {
        (self.rate * (1u64 << u32::BITS) as f64) as u32
    }

    fn growth<T: Element>(self) -> T::Compute {
        T::Compute::of(1.0 / (1.0 - self.rate))
    }
}

/// The first number of a stream of SplitMix64.
fn split_mix(seed: u64) -> u64 {
    mix(seed.wrapping_add(0x9E37_79B9_7F4A_7C15))
}

/// An element at a place, or zero.
#[inline(always)]
fn dropped<C: Float>(x: C, place: u32, [first, second]: [u32; 2], least: u32, growth: C) -> C {
    let mut z = place ^ first;
    z = (z ^ (z >> 16)).wrapping_mul(0x21F0_AAAD).wrapping_add(second);
    z = (z ^ (z >> 15)).wrapping_mul(0xD35A_2D97);
    z ^= z >> 15;
    if z >= least { x * growth } else { C::ZERO }
}

/// Elements that are computed side by side.
const LANES: usize = 32;

/// Places of these, from the first one.
const PLACES: [u32; LANES] = {
    let (mut places, mut lane) = ([0; LANES], 0);
    while lane < LANES {
        #[expect(clippy::indexing_slicing, reason = "computed by the compiler")]
        {
            places[lane] = lane as u32;
        }
        lane += 1;
    }
    places
};

/// Calls `work` with each pair of elements and its place.
#[inline(always)]
fn each<A, B>(into: &mut [A], from: &[B], first: u32, work: impl Fn(&mut A, &B, u32)) {
    let ((whole, end), (whole_from, end_from)) = (into.as_chunks_mut::<LANES>(), from.as_chunks::<LANES>());
    let mut first = first;
    for (into, from) in whole.iter_mut().zip(whole_from) {
        for ((into, from), place) in into.iter_mut().zip(from).zip(PLACES) {
            work(into, from, first.wrapping_add(place));
        }
        first = first.wrapping_add(LANES as u32);
    }
    for ((into, from), place) in end.iter_mut().zip(end_from).zip(PLACES) {
        work(into, from, first.wrapping_add(place));
    }
}

vectorised! {
    fn store<T: Element>(x: &[T], keys: [u32; 2], first: u32, least: u32, growth: T::Compute, y: &mut [T]) {
        each(y, x, first, |y, x, place| *y = T::store(dropped(x.load(), place, keys, least, growth)));
    }

    fn load<T: Element>(
        x: &[T],
        keys: [u32; 2],
        first: u32,
        least: u32,
        growth: T::Compute,
        into: &mut [T::Compute],
    ) {
        each(into, x, first, |into, x, place| *into = dropped(x.load(), place, keys, least, growth));
    }

    fn add<T: Element>(
        x: &[T::Compute],
        keys: [u32; 2],
        first: u32,
        least: u32,
        growth: T::Compute,
        y: &mut [T],
    ) {
        each(y, x, first, |y, &x, place| *y = T::store(y.load() + dropped(x, place, keys, least, growth)));
    }
}
