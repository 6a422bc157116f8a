//! The inner loops: a tile of the product is kept in registers while one unit after the other of the inner dimension is
//! multiplied and added.
//!
//! Each element of the product is one chain of additions in the order of the inner dimension, whatever the tile it is in.

use std::arch::x86_64::*;

use super::lines::Line;
use super::packed::Packed;
use crate::ahead::Ahead;
use crate::bfloat16::as_pairs;

/// Rows of the left matrix, whose units are read one by one.
#[derive(Clone, Copy)]
pub(crate) enum Left<'a, T> {
    /// For each unit, this many vectors with a lane for each row.
    Packed(&'a [Line<u32>], usize),
    /// The matrix's elements from the first row on, with as many elements from one row to the next. Each row must have
    /// whole units.
    Direct(&'a [T], usize),
}

impl<T: Packed> Left<'_, T> {
    /// The first unit, and the bytes from a row to the next and from a unit to the next, if there are so many.
    fn units(self, rows: usize, units: usize) -> Option<(*const u8, usize, usize)> {
        let (start, bytes, row, unit) = match self {
            Self::Packed(lines, width) => (lines.as_ptr().cast(), size_of_val(lines), 4, 64 * width),
            Self::Direct(elements, stride) => {
                (elements.as_ptr().cast(), size_of_val(elements), stride * size_of::<T>(), 4)
            }
        };
        let last = rows.checked_sub(1)? * row + units.checked_sub(1)? * unit;
        (last + 4 <= bytes).then_some((start, row, unit))
    }
}

/// Rows of the left matrix times a panel of columns of the right one.
#[derive(Clone, Copy)]
pub(crate) struct Panel<'a, T> {
    pub(super) left: Left<'a, T>,
    /// Rows that there are.
    pub(super) rows: usize,
    /// Packed columns: for each unit, `vectors` vectors with a lane for each column.
    pub(super) right: &'a [Line<u32>],
    /// Vectors of a unit of `right`: 1, 2 or 4.
    pub(super) vectors: usize,
    /// Vectors of a row of the block.
    pub(super) block_width: usize,
    /// The panel's first vector in each row of the block.
    pub(super) column: usize,
    /// Whether the products are added to what is in the block.
    pub(super) add: bool,
    /// What is packed next.
    pub(super) ahead: Ahead,
}

/// Rows of a tile, at most: with four vectors of columns and one of a row, 29 of the 32 registers are in use.
const ROWS: usize = 6;

/// Writes the panel's part of the block.
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) fn panel<T: Packed>(panel: Panel<'_, T>, block: &mut [Line<f32>]) {
    let panel = &panel;
    match (panel.vectors, panel.ahead.is_empty()) {
        (4, true) => tiles::<T, 4, false>(panel, block),
        (4, false) => tiles::<T, 4, true>(panel, block),
        (2, _) => tiles::<T, 2, false>(panel, block),
        _ => tiles::<T, 1, false>(panel, block),
    }
}

/// Cuts the rows into tiles of about the same height, and fetches what is ahead if it is asked for: that costs registers.
#[target_feature(enable = "avx512f,avx512bf16")]
fn tiles<T: Packed, const VECTORS: usize, const FETCHES: bool>(
    panel: &Panel<'_, T>,
    block: &mut [Line<f32>],
) {
    let Some(left) = panel.left.units(panel.rows, panel.right.len() / VECTORS) else { return };
    let count = panel.rows.div_ceil(ROWS).max(1);
    let height = panel.rows.div_ceil(count);
    let share = panel.ahead.share(count * panel.right.len() / VECTORS);
    let ahead = &mut (panel.ahead, share);
    let mut row = 0;
    while row < panel.rows {
        #[expect(unsafe_code, reason = "bounds are checked once for all units")]
        // SAFETY: `units` has checked the last unit of the last row of the panel, and no tile is higher
        // than the rows that are left.
        unsafe {
            row += match height.min(panel.rows - row) {
                6.. => tile::<T, 6, VECTORS, FETCHES>(left, panel, row, block, ahead),
                5 => tile::<T, 5, VECTORS, FETCHES>(left, panel, row, block, ahead),
                4 => tile::<T, 4, VECTORS, FETCHES>(left, panel, row, block, ahead),
                3 => tile::<T, 3, VECTORS, FETCHES>(left, panel, row, block, ahead),
                2 => tile::<T, 2, VECTORS, FETCHES>(left, panel, row, block, ahead),
                _ => tile::<T, 1, VECTORS, FETCHES>(left, panel, row, block, ahead),
            };
        }
    }
}

/// One tile; gives its height. So many lines of what is ahead are fetched at each unit.
///
/// # Safety
/// For each row of the tile and each unit of the panel, `left` must point to a unit.
#[expect(clippy::needless_range_loop, reason = "loops with constant bounds are kept in registers")]
#[expect(clippy::indexing_slicing, reason = "arrays with constant bounds")]
#[expect(unsafe_code, reason = "bounds are checked once for all units")]
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn tile<T, const HEIGHT: usize, const VECTORS: usize, const FETCHES: bool>(
    (left, row_stride, unit_stride): (*const u8, usize, usize),
    panel: &Panel<'_, T>,
    row: usize,
    block: &mut [Line<f32>],
    (ahead, share): &mut (Ahead, usize),
) -> usize {
    let Panel { right, block_width, column, add, .. } = *panel;
    assert!(column + VECTORS <= block_width && block.len() >= (row + HEIGHT) * block_width);
    // SAFETY: the assertion puts the last row of the tile into `block`; `right` is cut into units of
    // `VECTORS` vectors; lines are aligned to their size; the caller vouches for `left`.
    unsafe {
        let block = block.as_mut_ptr().add(row * block_width + column);
        let mut sums = [[_mm512_setzero_ps(); VECTORS]; HEIGHT];
        if add {
            for row in 0..HEIGHT {
                for vector in 0..VECTORS {
                    sums[row][vector] = _mm512_load_ps(block.add(row * block_width + vector).cast());
                }
            }
        }
        let mut left = left.add(row * row_stride);
        let (mut next, share) = (*ahead, *share);
        for lines in right.as_chunks::<VECTORS>().0 {
            let mut columns = [as_pairs(_mm512_setzero_si512()); VECTORS];
            for vector in 0..VECTORS {
                columns[vector] = as_pairs(_mm512_load_si512(lines[vector].0.as_ptr().cast()));
            }
            for row in 0..HEIGHT {
                let unit = left.add(row * row_stride).cast::<i32>().read_unaligned();
                let unit = as_pairs(_mm512_set1_epi32(unit));
                for vector in 0..VECTORS {
                    sums[row][vector] = _mm512_dpbf16_ps(sums[row][vector], unit, columns[vector]);
                }
            }
            left = left.wrapping_add(unit_stride);
            if FETCHES {
                next.fetch(share);
            }
        }
        *ahead = next;
        for row in 0..HEIGHT {
            for vector in 0..VECTORS {
                _mm512_store_ps(block.add(row * block_width + vector).cast(), sums[row][vector]);
            }
        }
    }
    HEIGHT
}
