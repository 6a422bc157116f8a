//! From numbers of the 16 values to elements: by lookups in registers where the processor has them.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
use std::ops::Range;

use super::Matrix;
use super::codes::NF4;
#[cfg(target_arch = "x86_64")]
use super::lookup::{Sixteen, SixtyFour};

/// Elements that are looked up together.
#[cfg(target_arch = "x86_64")]
pub(super) const UNIT: usize = 64;

impl Matrix {
    /// Writes the elements from one on, row after row.
    pub(in crate::quantised) fn decode(&self, first: usize, into: &mut [f32]) {
        // An odd element is in the low half of a byte of which the rest is not wanted.
        let (head, into) = into.split_at_mut((first % 2).min(into.len()));
        for element in &mut *head {
            let byte = self.packed.get(first / 2).copied().unwrap_or_default();
            *element = value(byte & 15) * self.scales.magnitudes().of(first / self.block);
        }
        let first = first + head.len();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                #[expect(unsafe_code, reason = "the compiler can't see that the processor has been asked")]
                // SAFETY: the processor has the extension that the function is compiled for.
                return unsafe { self.by_avx512(first, into) };
            }
            if is_x86_feature_detected!("avx2") {
                #[expect(unsafe_code, reason = "the compiler can't see that the processor has been asked")]
                // SAFETY: the processor has the extension that the function is compiled for.
                return unsafe { self.by_avx2(first, into) };
            }
        }
        self.by_pieces(first, into);
    }

    fn by_pieces(&self, first: usize, into: &mut [f32]) {
        for (bytes, magnitude, range) in self.pieces(first, into.len()) {
            one_by_one(bytes, magnitude, into.get_mut(range).unwrap_or_default());
        }
    }

    /// Parts of blocks: their bytes, their magnitude, and which of the elements from the first on they are. The first
    /// element's number must be even.
    #[inline(always)]
    pub(super) fn pieces(
        &self,
        first: usize,
        count: usize,
    ) -> impl Iterator<Item = (&[u8], f32, Range<usize>)> {
        let magnitudes = self.scales.magnitudes();
        let blocks = first / self.block..;
        // The first block may have begun before the first element.
        let before = first % self.block;
        blocks.zip((0..).step_by(self.block)).map_while(move |(block, end): (usize, usize)| {
            let (start, end) = (end.saturating_sub(before), count.min(end + self.block - before));
            let bytes = self.packed.get((first + start) / 2..)?;
            (start < count).then(|| (bytes, magnitudes.of(block), start..end))
        })
    }

    /// How many of `count` elements from one on are before the first unit: all where units may cross the end of a block.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    pub(super) fn before_units(&self, first: usize, count: usize) -> usize {
        let whole = self.block.is_multiple_of(UNIT);
        if whole { count.min(first.next_multiple_of(UNIT) - first) } else { count }
    }

    /// Units from an element on, with which one has to begin: their bytes, and the magnitudes of the blocks that they are in.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(super) fn units(&self, first: usize) -> impl Iterator<Item = (&[u8; UNIT / 2], f32)> {
        let magnitudes = self.scales.magnitudes();
        let per_block = (self.block / UNIT).max(1);
        let (mut block, mut passed) = (first / self.block, first / UNIT % per_block);
        let mut magnitude = magnitudes.of(block);
        let of_units = std::iter::repeat_with(move || {
            if passed == per_block {
                (block, passed) = (block + 1, 0);
                magnitude = magnitudes.of(block);
            }
            passed += 1;
            magnitude
        });
        self.packed.get(first / 2..).unwrap_or_default().as_chunks().0.iter().zip(of_units)
    }

    /// Writes the magnitudes of the blocks that units from one on are in, of rows that consist of whole blocks of whole units. As many that
    /// follow are fetched from memory.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn magnitudes_of_units(&self, first: usize, into: &mut [f32]) {
        let units_of_block = self.block / UNIT;
        let blocks = into.len() / units_of_block;
        let first = first / units_of_block;
        self.scales.write(first, into.get_mut(..blocks).unwrap_or_default());
        self.scales.fetch(first + blocks, blocks);
        if units_of_block > 1 {
            // Each block's goes to its units, the last one's first: it is among those that are overwritten later.
            for unit in (0..into.len()).rev() {
                into.copy_within(unit / units_of_block..=unit / units_of_block, unit);
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f")]
    fn by_avx512(&self, first: usize, into: &mut [f32]) {
        let lookup = Sixteen::new();
        for (bytes, magnitude, range) in self.pieces(first, into.len()) {
            let into = into.get_mut(range).unwrap_or_default();
            let lookup = lookup.times(magnitude);
            let (whole, rest) = into.as_chunks_mut::<16>();
            for (into, bytes) in whole.iter_mut().zip(bytes.as_chunks().0) {
                #[expect(unsafe_code, reason = "a vector is stored by a pointer")]
                // SAFETY: 16 elements have the size of a vector.
                unsafe {
                    _mm512_storeu_ps(into.as_mut_ptr(), lookup.of(*bytes));
                }
            }
            one_by_one(bytes.get(whole.len() * 8..).unwrap_or_default(), magnitude, rest);
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn by_avx2(&self, first: usize, into: &mut [f32]) {
        let lookup = SixtyFour::new();
        let (head, into) = into.split_at_mut(self.before_units(first, into.len()));
        self.by_pieces(first, head);
        let first = first + head.len();
        let (whole, rest) = into.as_chunks_mut::<UNIT>();
        for (into, (bytes, magnitude)) in whole.iter_mut().zip(self.units(first)) {
            let magnitude = _mm256_set1_ps(magnitude);
            let values = lookup.in_order(bytes);
            for (into, values) in into.as_chunks_mut::<8>().0.iter_mut().zip(values.as_flattened()) {
                #[expect(unsafe_code, reason = "a vector is stored by a pointer")]
                // SAFETY: 8 elements have the size of a vector.
                unsafe {
                    _mm256_storeu_ps(into.as_mut_ptr(), _mm256_mul_ps(*values, magnitude));
                }
            }
        }
        self.by_pieces(first + whole.len() * UNIT, rest);
    }
}

#[inline(always)]
fn one_by_one(bytes: &[u8], magnitude: f32, into: &mut [f32]) {
    for (into, &byte) in into.chunks_mut(2).zip(bytes) {
        let pair = [value(byte >> 4), value(byte & 15)];
        into.iter_mut().zip(pair).for_each(|(into, value)| *into = value * magnitude);
    }
}

#[inline(always)]
pub(super) fn value(number: u8) -> f32 {
    NF4.get(usize::from(number)).copied().unwrap_or_default()
}
