//! From sums to the elements of a product.

use std::arch::x86_64::*;
use std::ops::Range;

use half::bf16;

use super::lines::{LANES, Line};
use crate::Element;
use crate::element::KnownMut;

/// Sums of a part of a product, and where they go.
pub(crate) struct Sums<'s, 'c, O> {
    /// Rows of `width` lines.
    pub(super) lines: &'s [Line<f32>],
    pub(super) width: usize,
    /// Rows of the result or, if `transposed`, its columns of which each has a lane.
    pub(super) into: &'s mut [&'c mut [O]],
    /// The elements of each row of the result that the sums are for.
    pub(super) columns: Range<usize>,
    pub(super) transposed: bool,
    /// Whether the sums are added to what is there.
    pub(super) add: bool,
}

/// Stores sums, or adds them to what is there.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn unpack<O: Element<Compute = f32>>(sums: Sums<'_, '_, O>) {
    let Sums { lines, width, into, columns, transposed, add } = sums;
    if transposed {
        let rows = into.get_mut(columns).unwrap_or_default();
        for (column, row) in rows.iter_mut().enumerate() {
            let sums = lines.iter().skip(column / LANES).step_by(width);
            let sums = sums.map(|line| line.0.get(column % LANES).copied().unwrap_or_default());
            row.iter_mut().zip(sums).for_each(|(into, sum)| store(sum, into, add));
        }
        return;
    }
    for (into, sums) in into.iter_mut().zip(lines.chunks_exact(width)) {
        let into = into.get_mut(columns.clone()).unwrap_or_default();
        row(sums, into, add);
    }
}

/// As [`unpack`], by the instruction that rounds to `bf16`.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn unpack_rounded<O: Element<Compute = f32>>(sums: Sums<'_, '_, O>) {
    if sums.transposed || sums.add {
        return unpack(sums);
    }
    let Sums { lines, width, into, columns, .. } = sums;
    for (into, sums) in into.iter_mut().zip(lines.chunks_exact(width)) {
        let into = into.get_mut(columns.clone()).unwrap_or_default();
        match O::known_mut(into) {
            KnownMut::Bf16(into) => rounded(sums, into),
            _ => row(sums, into, false),
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn rounded(sums: &[Line<f32>], into: &mut [bf16]) {
    let (pairs, rest) = into.as_chunks_mut::<{ 2 * LANES }>();
    for (into, sums) in pairs.iter_mut().zip(sums.as_chunks::<2>().0) {
        #[expect(unsafe_code, reason = "vectors are loaded and stored by pointers")]
        // SAFETY: lines have the size and the alignment of a vector, 32 elements its size.
        unsafe {
            let [low, high] = sums.each_ref().map(|line| _mm512_load_ps(line.0.as_ptr()));
            let rounded = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
            _mm512_storeu_si512(into.as_mut_ptr().cast(), rounded);
        }
    }
    if !rest.is_empty() {
        row(sums.get(2 * pairs.len()..).unwrap_or_default(), rest, false);
    }
}

#[inline(always)]
fn row<O: Element<Compute = f32>>(sums: &[Line<f32>], into: &mut [O], add: bool) {
    let (whole, rest) = into.as_chunks_mut::<LANES>();
    for (into, sums) in whole.iter_mut().zip(sums) {
        if add {
            into.iter_mut().zip(&sums.0).for_each(|(into, &sum)| store(sum, into, true));
        } else {
            *into = sums.0.map(O::store);
        }
    }
    if let (false, Some(sums)) = (rest.is_empty(), sums.get(whole.len())) {
        rest.iter_mut().zip(&sums.0).for_each(|(into, &sum)| store(sum, into, add));
    }
}

#[inline(always)]
fn store<O: Element<Compute = f32>>(sum: f32, into: &mut O, add: bool) {
    *into = O::store(if add { into.load() + sum } else { sum });
}
