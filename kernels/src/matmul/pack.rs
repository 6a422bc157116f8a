//! From matrices to units in the order in which the kernels read them.

use std::arch::x86_64::*;
use std::ops::Range;

use super::lines::{LANES, Line};
use super::packed::Packed;
use crate::matrix::Matrix;

/// Units of the inner dimension that are asked for ahead of their use, where they are in rows far apart.
const AHEAD: usize = 12;

/// Packs rows of a matrix: for each unit of the inner dimension (the columns), `vectors` vectors with a lane for each
/// row. Lanes without a row and the second half of a unit beyond the last column are zero.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn pack<T: Packed>(
    matrix: Matrix<'_, T>,
    rows: Range<usize>,
    columns: Range<usize>,
    vectors: usize,
    into: &mut [Line<u32>],
) {
    if matrix.column_stride == 1 {
        for vector in 0..vectors {
            let first = rows.end.min(rows.start + vector * LANES);
            let rows = first..rows.end.min(first + LANES);
            transpose(matrix, rows, columns.clone(), vectors, vector, into);
        }
    } else {
        interleave(matrix, rows, columns, vectors, into);
    }
}

/// Packs up to 16 rows whose columns are side by side, 16 units at a time.
#[target_feature(enable = "avx512f,avx512bw")]
fn transpose<T: Packed>(
    matrix: Matrix<'_, T>,
    rows: Range<usize>,
    columns: Range<usize>,
    vectors: usize,
    vector: usize,
    into: &mut [Line<u32>],
) {
    let stride = matrix.row_stride;
    let last = (rows.end.max(1) - 1) * stride + columns.end;
    let Some(elements) = matrix.elements.get(rows.start * stride..last.max(rows.start * stride)) else {
        return;
    };
    let full = LANES * T::PER_UNIT;
    for (into, first) in into.chunks_mut(LANES * vectors).zip(columns.clone().step_by(full)) {
        let count = full.min(columns.end - first);
        let elements = elements.as_ptr().wrapping_add(first);
        if rows.len() == LANES && count == full && into.len() == LANES * vectors && vector < vectors {
            #[expect(unsafe_code, reason = "bounds are checked once for all rows")]
            // SAFETY: `elements` reaches from the first row to the last of the columns in the last row, and `first + full`
            // is at most `columns.end`. There are 16 times `vectors` lines.
            unsafe {
                square(elements, stride, into.as_mut_ptr().add(vector), vectors);
            }
            continue;
        }
        let mut units = [_mm512_setzero_si512(); LANES];
        for (row, units) in units.iter_mut().take(rows.len()).enumerate() {
            #[expect(unsafe_code, reason = "bounds are checked once for all rows")]
            // SAFETY: as above, and the mask admits only `count` elements.
            unsafe {
                *units = _mm512_maskz_loadu_epi8(mask::<T>(count), elements.add(row * stride).cast());
            }
        }
        for (line, lanes) in into.iter_mut().skip(vector).step_by(vectors).zip(transposed(units)) {
            store(lanes, Some(line));
        }
    }
}

/// Packs 16 units of 16 rows.
///
/// # Safety
/// There must be 64 bytes at `elements` and `stride` elements further for each row, and 16 lines, `vectors` apart.
#[expect(clippy::indexing_slicing, reason = "arrays with constant bounds")]
#[expect(clippy::needless_range_loop, reason = "loops with constant bounds are kept in registers")]
#[expect(unsafe_code, reason = "bounds are checked once for all rows")]
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn square<T>(elements: *const T, stride: usize, into: *mut Line<u32>, vectors: usize) {
    let mut units = [_mm512_setzero_si512(); LANES];
    for row in 0..LANES {
        // The rows that are packed next: short rows end before the processor sees that it could fetch ahead.
        let next = elements.wrapping_add((row + LANES) * stride);
        _mm_prefetch::<_MM_HINT_T0>(next.cast());
        // SAFETY: the caller vouches for the rows.
        units[row] = unsafe { _mm512_loadu_si512(elements.add(row * stride).cast()) };
    }
    let lanes = transposed(units);
    for unit in 0..LANES {
        // SAFETY: the caller vouches for the lines, which have the size and the alignment of a vector.
        unsafe {
            _mm512_store_si512(into.add(unit * vectors).cast(), lanes[unit]);
        }
    }
}

/// The transpose of a square of lanes.
#[expect(clippy::indexing_slicing, reason = "arrays with constant bounds")]
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn transposed(rows: [__m512i; LANES]) -> [__m512i; LANES] {
    // For each part of 128 bits, `fours[g][c]` holds the lanes `4 part + c` of the rows `4 g ..`.
    let mut fours = [[_mm512_setzero_si512(); 4]; 4];
    for g in 0..4 {
        let [a, b, c, d] = [rows[4 * g], rows[4 * g + 1], rows[4 * g + 2], rows[4 * g + 3]];
        let (low_ab, low_cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
        let (high_ab, high_cd) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
        fours[g] = [
            _mm512_unpacklo_epi64(low_ab, low_cd),
            _mm512_unpackhi_epi64(low_ab, low_cd),
            _mm512_unpacklo_epi64(high_ab, high_cd),
            _mm512_unpackhi_epi64(high_ab, high_cd),
        ];
    }
    let mut columns = [_mm512_setzero_si512(); LANES];
    for c in 0..4 {
        let [a, b, x, y] = [fours[0][c], fours[1][c], fours[2][c], fours[3][c]];
        let even = (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0x88>(x, y));
        let odd = (_mm512_shuffle_i32x4::<0xdd>(a, b), _mm512_shuffle_i32x4::<0xdd>(x, y));
        columns[c] = _mm512_shuffle_i32x4::<0x88>(even.0, even.1);
        columns[4 + c] = _mm512_shuffle_i32x4::<0x88>(odd.0, odd.1);
        columns[8 + c] = _mm512_shuffle_i32x4::<0xdd>(even.0, even.1);
        columns[12 + c] = _mm512_shuffle_i32x4::<0xdd>(odd.0, odd.1);
    }
    columns
}

/// Packs rows that are side by side in each column.
#[target_feature(enable = "avx512f,avx512bw")]
fn interleave<T: Packed>(
    matrix: Matrix<'_, T>,
    rows: Range<usize>,
    columns: Range<usize>,
    vectors: usize,
    into: &mut [Line<u32>],
) {
    // Which of the 64 halves of units of two vectors goes where, if two columns are interleaved.
    const LOW: [i16; 32] = interleaving(0);
    const HIGH: [i16; 32] = interleaving(16);
    #[expect(unsafe_code, reason = "a vector is loaded by a pointer")]
    // SAFETY: arrays of the size of a vector.
    let (low, high) =
        unsafe { (_mm512_loadu_si512(LOW.as_ptr().cast()), _mm512_loadu_si512(HIGH.as_ptr().cast())) };
    let column = |index: usize| {
        let start = index * matrix.column_stride;
        let column = matrix.elements.get(start + rows.start..start + rows.end);
        column.filter(|_| index < columns.end).unwrap_or_default()
    };
    for (into, index) in into.chunks_exact_mut(vectors).zip(columns.clone().step_by(T::PER_UNIT)) {
        let (first, second) = (column(index), column(index + T::PER_UNIT - 1));
        for ahead in 0..T::PER_UNIT {
            let address = (index + AHEAD * T::PER_UNIT + ahead) * matrix.column_stride + rows.start;
            for part in (0..rows.len()).step_by(64 / size_of::<T>()) {
                let address = matrix.elements.as_ptr().wrapping_add(address + part);
                _mm_prefetch::<_MM_HINT_T0>(address.cast());
            }
        }
        if let (true, Ok(lines)) =
            (first.len() == 4 * LANES && second.len() == 4 * LANES, <&mut [_; 4]>::try_from(&mut *into))
        {
            let (a, b) = (load(first, 0), load(second, 0));
            let (c, d) = (load(first, 1), load(second, 1));
            let [w, x, y, z] = lines;
            store(_mm512_permutex2var_epi16(a, low, b), Some(w));
            store(_mm512_permutex2var_epi16(a, high, b), Some(x));
            store(_mm512_permutex2var_epi16(c, low, d), Some(y));
            store(_mm512_permutex2var_epi16(c, high, d), Some(z));
        } else {
            for (part, lines) in into.chunks_mut(2).enumerate() {
                let (a, b) = (load(first, part), load(second, part));
                store(_mm512_permutex2var_epi16(a, low, b), lines.first_mut());
                store(_mm512_permutex2var_epi16(a, high, b), lines.get_mut(1));
            }
        }
    }
}

/// The order that interleaves the halves from `first` on of one vector with those of another.
const fn interleaving(first: i16) -> [i16; 32] {
    let mut order = [0; 32];
    let mut lane = 0;
    while lane < 32 {
        #[expect(clippy::indexing_slicing, reason = "computed by the compiler")]
        {
            order[lane] = first + lane as i16 / 2 + 32 * (lane as i16 % 2);
        }
        lane += 1;
    }
    order
}

/// The elements that fill one vector after this many others, and zeros after the last one.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn load<T: Packed>(elements: &[T], before: usize) -> __m512i {
    let full = 64 / size_of::<T>();
    let elements = elements.get(before * full..).unwrap_or_default();
    #[expect(unsafe_code, reason = "a vector is loaded by a pointer")]
    // SAFETY: there are 64 bytes, or the mask admits those of the slice alone.
    unsafe {
        if elements.len() >= full {
            _mm512_loadu_si512(elements.as_ptr().cast())
        } else {
            _mm512_maskz_loadu_epi8(mask::<T>(elements.len()), elements.as_ptr().cast())
        }
    }
}

/// The mask of the bytes of this many elements, at most 64.
#[inline(always)]
fn mask<T>(count: usize) -> u64 {
    let bytes = (count * size_of::<T>()).min(64) as u32;
    u64::MAX.checked_shr(64 - bytes).unwrap_or(0)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn store(lanes: __m512i, into: Option<&mut Line<u32>>) {
    if let Some(line) = into {
        #[expect(unsafe_code, reason = "a vector is stored by a pointer")]
        // SAFETY: a line has the size and the alignment of a vector.
        unsafe {
            _mm512_store_si512(line.0.as_mut_ptr().cast(), lanes);
        }
    }
}
