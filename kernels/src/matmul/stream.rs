//! The product of few rows by AVX512-BF16: the right matrix passes by once, as it lies in memory.
//!
//! With few rows there is little to compute for each element that is read, so nothing is packed: rows of the right matrix
//! are transposed a square of lanes at a time, which stays in the first cache, and multiplied at once. Each element of the product is the
//! same chain of additions as in the kernels for many rows, and so has the same bits.

use std::arch::x86_64::*;

use half::bf16;
use rayon::prelude::*;

use super::lines::{LANES, Line, at_least, with_shared};
use super::pack::{load, transposed};
use super::packed::Proof;
use super::tile::as_pairs;
use crate::Element;
use crate::matrix::{Matrix, Workers};

/// Rows of the left matrix, at most. With more of them packing the right matrix pays.
const ROWS: usize = 4;
/// Vectors of columns of the product that are computed together, so that chains of additions overlap.
const VECTORS: usize = 4;
/// Columns of the product of one panel.
const WIDTH: usize = VECTORS * LANES;
/// Elements of a row that a vector has.
const FULL: usize = 2 * LANES;
/// Products of fewer multiplications are computed by the thread that asks.
const SMALL: usize = 1 << 16;
/// Panels of a task, at least where there are many: one after the other in memory, so that the next is fetched ahead.
const TASK: usize = 4;
/// Bytes of a panel that is fetched ahead as a whole, at most: half of the second cache.
const AHEAD: usize = 512 << 10;

/// The elements of `left` in whole vectors, filled up with zeros: `lines` for each row.
fn padded(left: Matrix<'_, bf16>, lines: usize, into: &mut [Line<u32>]) {
    for (row, lines) in left.elements.chunks_exact(left.columns).zip(into.chunks_exact_mut(lines)) {
        for (elements, line) in row.chunks(FULL).zip(lines) {
            line.0 = [0; LANES];
            for (unit, pair) in line.0.iter_mut().zip(elements.chunks(2)) {
                let bits = |element: Option<&bf16>| element.map_or(0, |x| u32::from(x.to_bits()));
                *unit = bits(pair.first()) | bits(pair.get(1)) << 16;
            }
        }
    }
}

/// Whether [`multiply`] is for this product.
pub(super) fn fits(left: Matrix<'_, bf16>, right: Matrix<'_, bf16>) -> bool {
    let (rows, inner) = (left.rows, left.columns);
    (1..=ROWS).contains(&rows) && inner > 0 && left.column_stride == 1 && right.column_stride == 1
        // Of one row and one column it is not told apart which way round a matrix lies.
        && left.row_stride == inner && right.row_stride == inner
}

/// `result = left right^T`, or `result += left right^T`, where [`fits`] says so.
pub(super) fn multiply<O: Element<Compute = f32>>(
    proof: Proof<bf16>,
    left: Matrix<'_, bf16>,
    right: Matrix<'_, bf16>,
    result: &mut [O],
    accumulate: bool,
    workers: Workers,
) {
    let (m, k, n) = (left.rows, left.columns, right.rows);
    if n == 0 {
        return;
    }
    let panels = n.div_ceil(WIDTH);
    let task = (panels / 16).clamp(1, TASK) * WIDTH;
    let mut parts: Vec<(usize, Vec<&mut [O]>)> =
        (0..n).step_by(task).map(|first| (first, Vec::with_capacity(m))).collect();
    for row in result.chunks_exact_mut(n) {
        parts.iter_mut().zip(row.chunks_mut(task)).for_each(|((_, rows), part)| rows.push(part));
    }
    with_shared(|shared| {
        let lines = k.div_ceil(FULL);
        let packed = at_least(shared, m * lines);
        padded(left, lines, packed);
        let packed = &*packed;
        let work = |(first, into): (usize, Vec<&mut [O]>)| {
            let elements = right.elements.get(first * k..).unwrap_or_default();
            run(proof, packed, elements, k, into, accumulate);
        };
        match workers {
            Workers::Pool if m * n * k >= SMALL => parts.into_par_iter().with_max_len(1).for_each(work),
            _ => parts.into_iter().for_each(work),
        }
    });
}

/// Computes the columns of the product that belong to the first of these rows of the right matrix.
fn run<O: Element<Compute = f32>>(
    _: Proof<bf16>,
    left: &[Line<u32>],
    mut right: &[bf16],
    k: usize,
    mut into: Vec<&mut [O]>,
    accumulate: bool,
) {
    let columns = into.first().map_or(0, |row| row.len());
    for first in (0..columns).step_by(WIDTH) {
        let count = WIDTH.min(columns - first);
        let (panel, after) = right.split_at_checked(count * k).unwrap_or_default();
        right = after;
        let mut sums = [[Line([0f32; LANES]); VECTORS]; ROWS];
        let ahead = if count * k * 2 <= AHEAD { after.as_ptr() } else { panel.as_ptr() };
        #[expect(unsafe_code, reason = "instructions that not every processor has")]
        // SAFETY: the proof says that the processor has AVX-512F, AVX-512BW and AVX512-BF16.
        unsafe {
            match into.len() {
                1 => panel_of::<1>(left, panel, k, ahead, &mut sums),
                2 => panel_of::<2>(left, panel, k, ahead, &mut sums),
                3 => panel_of::<3>(left, panel, k, ahead, &mut sums),
                _ => panel_of::<4>(left, panel, k, ahead, &mut sums),
            }
        }
        for (row, sums) in into.iter_mut().zip(&sums) {
            let row = row.get_mut(first..first + count).unwrap_or_default();
            for (into, &sum) in row.iter_mut().zip(sums.iter().flat_map(|line| &line.0)) {
                *into = O::store(if accumulate { into.load() + sum } else { sum });
            }
        }
    }
}

/// Sums of up to [`WIDTH`] rows of the right matrix, `panel`, with each row of the left one. While the panel is computed,
/// as many bytes from `ahead` on are asked for.
#[expect(clippy::indexing_slicing, reason = "arrays with constant bounds")]
#[expect(clippy::needless_range_loop, reason = "loops with constant bounds are kept in registers")]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn panel_of<const HEIGHT: usize>(
    left: &[Line<u32>],
    panel: &[bf16],
    k: usize,
    ahead: *const bf16,
    sums: &mut [[Line<f32>; VECTORS]; ROWS],
) {
    let (rows, lines) = (panel.len() / k, k.div_ceil(FULL));
    assert!(left.len() >= HEIGHT * lines && rows <= WIDTH);
    let mut ahead = ahead;
    let mut square = [[Line([0u32; LANES]); VECTORS]; LANES];
    for line in 0..lines {
        let (start, whole) = (line * FULL, (line + 1) * FULL <= k);
        for vector in 0..rows.div_ceil(LANES) {
            let first = vector * LANES;
            let mut units = [_mm512_setzero_si512(); LANES];
            if whole && first + LANES <= rows {
                for row in 0..LANES {
                    _mm_prefetch::<_MM_HINT_T1>(ahead.cast());
                    ahead = ahead.wrapping_add(FULL);
                    let place = panel.as_ptr().wrapping_add((first + row) * k + start);
                    #[expect(unsafe_code, reason = "bounds are checked once for all rows")]
                    // SAFETY: the row is below `rows`, and `start + FULL` is at most its length, `k`.
                    let unit = unsafe { _mm512_loadu_si512(place.cast()) };
                    units[row] = unit;
                }
            } else {
                for (row, units) in panel.chunks_exact(k).skip(first).zip(&mut units) {
                    let row = row.get(start..).unwrap_or_default();
                    *units = load(row, 0);
                }
            }
            let columns = transposed(units);
            for unit in 0..LANES {
                #[expect(unsafe_code, reason = "vectors are stored by pointers")]
                // SAFETY: a line has the size and the alignment of a vector.
                unsafe {
                    _mm512_store_si512(square[unit][vector].0.as_mut_ptr().cast(), columns[unit]);
                }
            }
        }
        for row in 0..HEIGHT {
            let units = &left[row * lines + line].0;
            #[expect(unsafe_code, reason = "vectors are loaded and stored by pointers")]
            // SAFETY: a line has the size and the alignment of a vector.
            unsafe {
                let mut row_sums = [_mm512_setzero_ps(); VECTORS];
                for vector in 0..VECTORS {
                    row_sums[vector] = _mm512_load_ps(sums[row][vector].0.as_ptr());
                }
                for unit in 0..LANES {
                    let pair = as_pairs(_mm512_set1_epi32(units[unit] as i32));
                    for vector in 0..VECTORS {
                        let columns = _mm512_load_si512(square[unit][vector].0.as_ptr().cast());
                        row_sums[vector] = _mm512_dpbf16_ps(row_sums[vector], pair, as_pairs(columns));
                    }
                }
                for vector in 0..VECTORS {
                    _mm512_store_ps(sums[row][vector].0.as_mut_ptr(), row_sums[vector]);
                }
            }
        }
    }
}
