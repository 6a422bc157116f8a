//! The product on processors with AVX2 where the right matrix can't be multiplied as it lies: elements of `bf16` have to be
//! converted, and those of `f32`, where they lie as the weight of a linear layer, to be transposed. Both is done for 16 columns
//! at a time, a panel, which stays in the first cache while rows are multiplied with it.
//!
//! The `gemm` crate brings all of the matrix into its form before, which for few rows takes as long as the product.

use std::arch::x86_64::*;
use std::ops::Range;

use half::bf16;
use rayon::prelude::*;

use super::portable::{add, by_columns};
use crate::Element;
use crate::element::{Known, KnownMut};
use crate::few_rows;
use crate::matrix::{Matrix, Workers};

/// Rows of the left matrix, at most: their part of a depth stays in the second cache. With more of them the `gemm` crate is
/// as fast.
const MOST: usize = 128;
/// Numbers of a vector.
const LANES: usize = 8;
/// Columns of a panel: two vectors.
const WIDTH: usize = 2 * LANES;
/// Rows of a tile, at most: with two vectors each they take 12 of the 16 registers.
const HEIGHT: usize = 6;
/// Steps of the inner dimension that are packed at a time: half of the first cache.
const DEPTH: usize = 256;
/// Elements of the right matrix that one task multiplies, about.
const TASK: usize = 1 << 17;
/// Products of fewer multiplications are computed by the thread that asks.
const SMALL: usize = 1 << 16;

/// A step of the inner dimension in a panel, or what a row has summed up in it.
type Line = [f32; WIDTH];

/// `result = left right`, or `result += left right`, if the types, the sizes and the processor are those that this is for; says
/// whether they are.
pub(super) fn multiply<T: Element, O: Element<Compute = T::Compute>>(
    left: Matrix<'_, T>,
    right: Matrix<'_, T>,
    result: &mut [O],
    accumulate: bool,
    workers: Workers,
) -> bool {
    let (rows, right) = (left.rows, right.transposed());
    let sizes = (rows, left.columns, right.rows);
    let supported = rows <= MOST
        && left.columns > 0
        && left.column_stride == 1
        && is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        // Wider vectors are worth what the other way takes besides.
        && !is_x86_feature_detected!("avx512f");
    if !supported {
        return false;
    }
    let (left, right) = match (T::known(left.elements), T::known(right.elements)) {
        (Known::F32(a), Known::F32(b)) if rows > 1 && right.column_stride == 1 => {
            (Operand::F32(left.with(a)), Operand::F32(right.with(b)))
        }
        (Known::Bf16(a), Known::Bf16(b)) if rows > few_rows::ROWS => {
            (Operand::Bf16(left.with(a)), Operand::Bf16(right.with(b)))
        }
        _ => return false,
    };
    match O::known_mut(result) {
        KnownMut::F32(result) => run(left, right, sizes, result, accumulate, workers),
        KnownMut::Bf16(result) => run(left, right, sizes, result, accumulate, workers),
        KnownMut::F64(_) => return false,
    }
    true
}

/// A matrix of either type. What is computed with it isn't generic, and so is compiled as this crate is and not as the one that
/// asks for it.
#[derive(Clone, Copy)]
enum Operand<'a> {
    F32(Matrix<'a, f32>),
    Bf16(Matrix<'a, bf16>),
}

/// The product with the transpose of `right`.
fn run<O: Element<Compute = f32>>(
    left: Operand<'_>,
    right: Operand<'_>,
    (m, k, n): (usize, usize, usize),
    result: &mut [O],
    accumulate: bool,
    workers: Workers,
) {
    let rows = packed_rows(left);
    let width = (TASK / k).max(1).next_multiple_of(WIDTH);
    let work = |(part, mut into): (usize, Vec<&mut [O]>)| {
        let mut sums = vec![[0.0; WIDTH]; m];
        let all = part * width..n.min((part + 1) * width);
        for start in all.clone().step_by(WIDTH) {
            let columns = start..all.end.min(start + WIDTH);
            #[expect(unsafe_code, reason = "the compiler can't see that the processor has been asked")]
            // SAFETY: `multiply` has found both extensions that the function is compiled for.
            unsafe {
                panel(&rows, right, k, columns.clone(), &mut sums);
            }
            for (into, sums) in into.iter_mut().zip(&sums) {
                let into = into.get_mut(start - all.start..columns.end - all.start).unwrap_or_default();
                add(sums.get(..into.len()).unwrap_or_default(), into, accumulate);
            }
        }
    };
    let parts = by_columns(result, n.max(1), width);
    match workers {
        Workers::Pool if m * n * k >= SMALL => {
            parts.into_par_iter().enumerate().with_max_len(1).for_each(work);
        }
        _ => parts.into_iter().enumerate().for_each(work),
    }
}

/// The rows of the tiles, which are about equally high.
fn tiles(rows: usize) -> impl Iterator<Item = Range<usize>> {
    let count = rows.div_ceil(HEIGHT);
    (0..count).map(move |tile| tile * rows / count..(tile + 1) * rows / count)
}

/// Tile by tile, for each step of the inner dimension the elements of the tile's rows.
fn packed_rows(left: Operand<'_>) -> Vec<f32> {
    match left {
        Operand::F32(left) => pack_rows(left),
        Operand::Bf16(left) => pack_rows(left),
    }
}

fn pack_rows<T: Element<Compute = f32>>(left: Matrix<'_, T>) -> Vec<f32> {
    let k = left.columns;
    let mut packed = vec![0.0; left.rows * k];
    for rows in tiles(left.rows) {
        let tile = packed.get_mut(rows.start * k..rows.end * k).unwrap_or_default();
        let elements = left.elements.get(rows.start * k..rows.end * k).unwrap_or_default();
        for (row, elements) in elements.chunks_exact(k).enumerate() {
            let into = tile.iter_mut().skip(row).step_by(rows.len());
            into.zip(elements).for_each(|(into, element)| *into = element.load());
        }
    }
    packed
}

/// The sums of all rows in a panel.
#[target_feature(enable = "avx2,fma")]
fn panel(packed_rows: &[f32], right: Operand<'_>, k: usize, columns: Range<usize>, sums: &mut [Line]) {
    let m = sums.len();
    let mut packed = [[0.0; WIDTH]; DEPTH];
    sums.fill([0.0; WIDTH]);
    for first in (0..k).step_by(DEPTH) {
        let steps = first..k.min(first + DEPTH);
        let packed = packed.get_mut(..steps.len()).unwrap_or_default();
        match right {
            Operand::F32(right) => pack(right, columns.clone(), steps.clone(), packed),
            Operand::Bf16(right) => pack(right, columns.clone(), steps.clone(), packed),
        }
        for rows in tiles(m) {
            let height = rows.len();
            let left = rows.start * k + steps.start * height..rows.start * k + steps.end * height;
            let left = packed_rows.get(left).unwrap_or_default();
            let sums = sums.get_mut(rows).unwrap_or_default();
            match height {
                6 => tile::<6>(left, packed, sums),
                5 => tile::<5>(left, packed, sums),
                4 => tile::<4>(left, packed, sums),
                3 => tile::<3>(left, packed, sums),
                2 => tile::<2>(left, packed, sums),
                _ => tile::<1>(left, packed, sums),
            }
        }
    }
}

/// Adds the products of some rows with a packed panel to their sums.
#[expect(clippy::indexing_slicing, reason = "arrays with constant bounds")]
#[target_feature(enable = "avx2,fma")]
fn tile<const HEIGHT: usize>(left: &[f32], packed: &[Line], sums: &mut [Line]) {
    let Some(into) = sums.first_chunk_mut::<HEIGHT>() else { return };
    let mut sums = [[_mm256_setzero_ps(); 2]; HEIGHT];
    for row in 0..HEIGHT {
        sums[row] = halves(&into[row]);
    }
    for (left, columns) in left.as_chunks::<HEIGHT>().0.iter().zip(packed) {
        let columns = halves(columns);
        for row in 0..HEIGHT {
            let element = _mm256_set1_ps(left[row]);
            for half in 0..2 {
                sums[row][half] = _mm256_fmadd_ps(element, columns[half], sums[row][half]);
            }
        }
    }
    for row in 0..HEIGHT {
        for (into, half) in into[row].as_chunks_mut::<LANES>().0.iter_mut().zip(sums[row]) {
            store(half, into);
        }
    }
}

/// Writes a part of a panel. What is beside the last column is of no use.
#[target_feature(enable = "avx2,fma")]
fn pack<T: Element<Compute = f32>>(
    right: Matrix<'_, T>,
    columns: Range<usize>,
    steps: Range<usize>,
    into: &mut [Line],
) {
    if right.column_stride != 1 {
        for (into, step) in into.iter_mut().zip(steps) {
            let elements = step * right.rows + columns.start..step * right.rows + columns.end;
            let elements = right.elements.get(elements).unwrap_or_default();
            match (elements.as_chunks().0, into.as_chunks_mut().0) {
                ([low, high], [into_low, into_high]) => {
                    store(load(low), into_low);
                    store(load(high), into_high);
                }
                _ => into.iter_mut().zip(elements).for_each(|(into, element)| *into = element.load()),
            }
        }
        return;
    }
    // Eight steps of eight columns at a time.
    for half in 0..2 {
        let columns = columns.start + half * LANES..columns.end;
        let mut elements = [&[][..]; LANES];
        for (elements, column) in elements.iter_mut().zip(columns.clone()) {
            let steps = column * right.columns + steps.start..column * right.columns + steps.end;
            *elements = right.elements.get(steps).unwrap_or_default();
        }
        let whole = if columns.len() >= LANES { steps.len() / LANES } else { 0 };
        for (square, into) in into.as_chunks_mut::<LANES>().0.iter_mut().take(whole).enumerate() {
            let mut vectors = [_mm256_setzero_ps(); LANES];
            for (vector, elements) in vectors.iter_mut().zip(&elements) {
                if let Some(elements) = elements.as_chunks().0.get(square) {
                    *vector = load(elements);
                }
            }
            for (into, step) in into.iter_mut().zip(transposed(vectors)) {
                if let Some(into) = into.as_chunks_mut().0.get_mut(half) {
                    store(step, into);
                }
            }
        }
        for (lane, elements) in elements.into_iter().enumerate() {
            for (into, element) in into.iter_mut().zip(elements).skip(whole * LANES) {
                if let Some(into) = into.get_mut(half * LANES + lane) {
                    *into = element.load();
                }
            }
        }
    }
}

/// The square of 8 rows whose columns these are.
#[inline]
#[target_feature(enable = "avx2")]
fn transposed([a, b, c, d, e, f, g, h]: [__m256; LANES]) -> [__m256; LANES] {
    // Pairs of columns, then fours: `xy[i]` has the elements of `x` and `y` in the rows `2i, 2i + 1` and `2i + 4, 2i + 5`.
    let pairs = |x, y| [_mm256_unpacklo_ps(x, y), _mm256_unpackhi_ps(x, y)];
    let ([ab, ab_2], [cd, cd_2], [ef, ef_2], [gh, gh_2]) =
        (pairs(a, b), pairs(c, d), pairs(e, f), pairs(g, h));
    let fours = |x, y| [_mm256_shuffle_ps::<0b01_00_01_00>(x, y), _mm256_shuffle_ps::<0b11_10_11_10>(x, y)];
    let left = [fours(ab, cd), fours(ab_2, cd_2)];
    let right = [fours(ef, gh), fours(ef_2, gh_2)];
    let [[a, b], [c, d]] = left;
    let [[e, f], [g, h]] = right;
    let upper = |x, y| _mm256_permute2f128_ps::<0x20>(x, y);
    let lower = |x, y| _mm256_permute2f128_ps::<0x31>(x, y);
    [upper(a, e), upper(b, f), upper(c, g), upper(d, h), lower(a, e), lower(b, f), lower(c, g), lower(d, h)]
}

/// Eight elements to compute with.
#[inline]
#[target_feature(enable = "avx2")]
fn load<T: Element<Compute = f32>>(elements: &[T; LANES]) -> __m256 {
    match T::known(elements) {
        #[expect(unsafe_code, reason = "a vector is loaded by a pointer")]
        // SAFETY: 8 elements of 32 bits have the size of a vector.
        Known::F32(elements) => unsafe { _mm256_loadu_ps(elements.as_ptr()) },
        Known::Bf16(elements) => {
            #[expect(unsafe_code, reason = "a vector is loaded by a pointer")]
            // SAFETY: 8 elements of 16 bits have the size of half a vector.
            let halves = unsafe { _mm_loadu_si128(elements.as_ptr().cast()) };
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(halves)))
        }
        // It isn't computed in `f32`.
        Known::F64(_) => _mm256_setzero_ps(),
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(numbers: __m256, into: &mut [f32; LANES]) {
    #[expect(unsafe_code, reason = "a vector is stored by a pointer")]
    // SAFETY: 8 numbers have the size of a vector.
    unsafe {
        _mm256_storeu_ps(into.as_mut_ptr(), numbers);
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn halves(line: &Line) -> [__m256; 2] {
    let (halves, _) = line.as_chunks();
    match halves {
        [low, high] => [load(low), load(high)],
        _ => [_mm256_setzero_ps(); 2],
    }
}
