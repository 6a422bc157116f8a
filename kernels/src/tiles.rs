//! Products of rows with rows by AVX2 and FMA: both are read as they lie, so that nothing is packed, and rows of 16 bits are
//! converted on their way into the registers.
//!
//! An element of the product is the sum of 8 partial sums, each of every 8th product or, of `bf16`, of every 8th pair of
//! neighbours, for every [`DEPTH`] elements. It does not depend on the rows beside it.

use std::arch::x86_64::*;

use half::{bf16, f16};
use rayon::prelude::*;

use crate::ahead::Ahead;
use crate::element::Known;
use crate::line::{LANES, Line};
use crate::vectorised::vectorised;
use crate::{CHUNK, Element, Float};

/// Rows of the weight and inputs that are multiplied together, at most: their sums, and what is multiplied, fill the registers.
/// Four with three take the fewest loads for each product.
const ROWS: usize = 4;
const INPUTS: usize = 3;
/// As above, where rows are converted on their way, of which the parts of a step take registers too.
const CONVERTED_ROWS: usize = 2;
const CONVERTED_INPUTS: usize = 5;
/// Elements of a row that are multiplied in one go: those of a few inputs stay in the first cache.
const DEPTH: usize = 1024;
/// Elements of a row that a step takes.
const STEP: usize = LANES;

/// A proof that the processor has AVX2, FMA and F16C.
#[derive(Clone, Copy)]
pub(crate) struct Tiles(());

impl Tiles {
    /// If the processor has them and `C` is `f32`.
    pub(crate) fn find<C: Float>() -> Option<Self> {
        let found = matches!(C::known(&[]), Known::F32(_))
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        found.then_some(Self(()))
    }

    /// Inputs, of so many columns, as numbers in the order in which rows like these take them, each with zeros up to a whole
    /// number of lines.
    pub(crate) fn arranged<T: Element>(
        self,
        inputs: &[T],
        columns: usize,
        rows: Known<'_>,
    ) -> Vec<Line<f32>> {
        let in_pairs = matches!(rows, Known::Bf16(_));
        match T::known(inputs) {
            Known::F32(inputs) => arranged(inputs, columns, in_pairs),
            Known::Bf16(inputs) => arranged(inputs, columns, in_pairs),
            Known::F16(inputs) => arranged(inputs, columns, in_pairs),
            // These are not computed with in `f32`.
            Known::F64(_) => Vec::new(),
        }
    }

    /// The products of some rows, which should fit into the second cache, with all inputs, which must have been
    /// [arranged](Self::arranged) for such rows: an input's with each row, then the next input's. What comes `next` is fetched
    /// from memory meanwhile.
    pub(crate) fn products(
        self,
        rows: Known<'_>,
        inputs: &[Line<f32>],
        columns: usize,
        sums: &mut [f32],
        next: Known<'_>,
    ) {
        let next = match next {
            Known::F32(next) => Ahead::new(next),
            Known::F64(next) => Ahead::new(next),
            Known::Bf16(next) => Ahead::new(next),
            Known::F16(next) => Ahead::new(next),
        };
        #[expect(unsafe_code, reason = "instructions that not every processor has")]
        // SAFETY: the proof says that the processor has the extensions.
        unsafe {
            match rows {
                Known::F32(rows) => products::<_, ROWS, INPUTS>(rows, inputs, columns, sums, next),
                Known::Bf16(rows) => {
                    products::<_, CONVERTED_ROWS, CONVERTED_INPUTS>(rows, inputs, columns, sums, next);
                }
                Known::F16(rows) => {
                    products::<_, CONVERTED_ROWS, CONVERTED_INPUTS>(rows, inputs, columns, sums, next);
                }
                Known::F64(_) => {}
            }
        }
    }
}

/// As [`Tiles::arranged`], of a type that is known.
fn arranged<T: Element<Compute = f32>>(inputs: &[T], columns: usize, in_pairs: bool) -> Vec<Line<f32>> {
    let stride = columns.div_ceil(LANES);
    let mut lines = vec![Line([0.0; LANES]); inputs.len() / columns * stride];
    let tasks = inputs.par_chunks_exact(columns).zip(lines.par_chunks_exact_mut(stride));
    tasks.with_min_len((CHUNK / columns).max(1)).for_each(|(input, lines)| {
        if in_pairs { pairs_apart(input, lines) } else { as_they_lie(input, lines) }
    });
    lines
}

vectorised! {
    fn as_they_lie<T: Element>(input: &[T], lines: &mut [Line<T::Compute>]) {
        let (whole, end) = input.as_chunks::<LANES>();
        for (line, elements) in lines.iter_mut().zip(whole) {
            line.0.iter_mut().zip(elements).for_each(|(into, element)| *into = element.load());
        }
        let last = lines.iter_mut().skip(whole.len()).flat_map(|line| &mut line.0);
        last.zip(end).for_each(|(into, element)| *into = element.load());
    }

    /// The first element of each of the pairs of a line, then the second ones.
    fn pairs_apart<T: Element>(input: &[T], lines: &mut [Line<T::Compute>]) {
        let (whole, end) = input.as_chunks::<LANES>();
        for (line, elements) in lines.iter_mut().zip(whole) {
            let (firsts, seconds) = line.0.split_at_mut(LANES / 2);
            for ((pair, first), second) in elements.as_chunks::<2>().0.iter().zip(firsts).zip(seconds) {
                (*first, *second) = (pair[0].load(), pair[1].load());
            }
        }
        if let Some(line) = lines.get_mut(whole.len()) {
            let (firsts, seconds) = line.0.split_at_mut(LANES / 2);
            for ((pair, first), second) in end.chunks(2).zip(firsts).zip(seconds) {
                [first, second].into_iter().zip(pair).for_each(|(into, element)| *into = element.load());
            }
        }
    }
}

/// An element of a weight, of which a step's worth become two vectors.
trait Stored: Copy + Default {
    /// Whether the halves of a step are loaded by themselves, as numbers are; else both come of what was loaded once.
    const IS_NUMBER: bool;

    /// # Safety
    /// There are as many elements, and the processor has AVX2 and F16C.
    #[expect(unsafe_code, reason = "reads memory without asking for its bounds")]
    unsafe fn load(from: *const Self) -> [__m256; 2];
}

#[expect(unsafe_code, reason = "as declared")]
impl Stored for f32 {
    const IS_NUMBER: bool = true;

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn load(from: *const Self) -> [__m256; 2] {
        // SAFETY: there are as many elements.
        unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(STEP / 2))] }
    }
}

#[expect(unsafe_code, reason = "as declared")]
impl Stored for bf16 {
    const IS_NUMBER: bool = false;

    /// The first of each pair of neighbours, and the second: they are the upper halves of `f32`.
    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn load(from: *const Self) -> [__m256; 2] {
        // SAFETY: there are as many elements.
        let pairs = unsafe { _mm256_loadu_si256(from.cast()) };
        let second = _mm256_and_si256(pairs, _mm256_set1_epi32(!0xffff));
        [_mm256_castsi256_ps(_mm256_slli_epi32::<16>(pairs)), _mm256_castsi256_ps(second)]
    }
}

#[expect(unsafe_code, reason = "as declared")]
impl Stored for f16 {
    const IS_NUMBER: bool = false;

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn load(from: *const Self) -> [__m256; 2] {
        // SAFETY: there are as many elements.
        unsafe {
            let halves = [_mm_loadu_si128(from.cast()), _mm_loadu_si128(from.add(STEP / 2).cast())];
            halves.map(|half| _mm256_cvtph_ps(half))
        }
    }
}

/// As [`Tiles::products`], by tiles of `H` rows with `W` inputs.
#[target_feature(enable = "avx2,fma,f16c")]
fn products<T: Stored, const H: usize, const W: usize>(
    rows: &[T],
    inputs: &[Line<f32>],
    columns: usize,
    sums: &mut [f32],
    mut next: Ahead,
) {
    sums.fill(0.0);
    let stride = columns.div_ceil(LANES);
    let (height, count) = (rows.len() / columns, inputs.len() / stride);
    let groups = count.div_ceil(W).max(1);
    let width = count.div_ceil(groups);
    let tiles = columns.div_ceil(DEPTH) * groups * height.div_ceil(H);
    // Each tile has its share.
    let share = next.share(tiles);
    for start in (0..columns).step_by(DEPTH) {
        let part = start..columns.min(start + DEPTH);
        for (group, inputs) in inputs.chunks(width * stride).enumerate() {
            let (before, here) = (group * width, inputs.len() / stride);
            let inputs = inputs.get(start / LANES..).unwrap_or_default();
            let mut first = 0;
            while first < height {
                next.fetch(share);
                let mut tile_rows = [&[][..]; H];
                for (row, part_of_row) in tile_rows.iter_mut().enumerate() {
                    // The last row stands for those that there are not.
                    let row = (first + row).min(height - 1) * columns;
                    *part_of_row = rows.get(row + part.start..row + part.end).unwrap_or_default();
                }
                let mut totals = [[0.0; H]; W];
                match here {
                    1 => tile::<T, H, 1, W>(tile_rows, inputs, stride, &mut totals),
                    2 => tile::<T, H, 2, W>(tile_rows, inputs, stride, &mut totals),
                    3 => tile::<T, H, 3, W>(tile_rows, inputs, stride, &mut totals),
                    4 => tile::<T, H, 4, W>(tile_rows, inputs, stride, &mut totals),
                    _ => tile::<T, H, 5, W>(tile_rows, inputs, stride, &mut totals),
                }
                let there = height.min(first + H) - first;
                for (input, totals) in totals.iter().enumerate().take(here) {
                    let from = (before + input) * height + first;
                    let sums = sums.get_mut(from..from + there).unwrap_or_default();
                    for (sum, total) in sums.iter_mut().zip(totals) {
                        *sum += total;
                    }
                }
                first += H;
            }
        }
    }
}

/// The sums of `H` rows with `W` inputs, one every `stride` lines.
#[expect(clippy::indexing_slicing, reason = "arrays with constant bounds")]
#[target_feature(enable = "avx2,fma,f16c")]
fn tile<T: Stored, const H: usize, const W: usize, const MOST: usize>(
    rows: [&[T]; H],
    inputs: &[Line<f32>],
    stride: usize,
    totals: &mut [[f32; H]; MOST],
) {
    let length = rows[0].len();
    for row in &rows {
        assert!(row.len() == length);
    }
    assert!(inputs.len() >= (W - 1) * stride + length.div_ceil(STEP));
    let inputs = inputs.as_ptr();
    let mut sums = [[_mm256_setzero_ps(); W]; H];
    let whole = length / STEP * STEP;
    for at in (0..whole).step_by(STEP) {
        #[expect(unsafe_code, reason = "bounds are checked once for all steps")]
        // SAFETY: a step from `at` on ends within each row and input.
        unsafe {
            sums = step(rows.map(|row| row.as_ptr().add(at)), inputs.add(at / STEP), stride, sums);
        }
    }
    if whole < length {
        let mut ends = [[T::default(); STEP]; H];
        for (end, row) in ends.iter_mut().zip(rows) {
            end.iter_mut().zip(&row[whole..]).for_each(|(end, &element)| *end = element);
        }
        #[expect(unsafe_code, reason = "bounds are checked once for all steps")]
        // SAFETY: the ends have a step's elements, and so have the inputs from there on.
        unsafe {
            sums = step(ends.each_ref().map(|end| end.as_ptr()), inputs.add(whole / STEP), stride, sums);
        }
    }
    for (input, totals) in totals.iter_mut().enumerate().take(W) {
        for (total, sums) in totals.iter_mut().zip(&sums) {
            *total = sum(sums[input]);
        }
    }
}

/// Adds the products of a step.
///
/// # Safety
/// There are [`STEP`] elements of each row, and a line of each of `W` inputs.
#[expect(unsafe_code, reason = "reads memory without asking for its bounds")]
#[expect(clippy::indexing_slicing, reason = "arrays with constant bounds")]
#[expect(clippy::needless_range_loop, reason = "loops with constant bounds are kept in registers")]
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn step<T: Stored, const H: usize, const W: usize>(
    rows: [*const T; H],
    inputs: *const Line<f32>,
    stride: usize,
    mut sums: [[__m256; W]; H],
) -> [[__m256; W]; H] {
    // SAFETY: there are as many elements.
    unsafe {
        // A half at a time, or there would not be registers for the sums of as many rows.
        if T::IS_NUMBER {
            for half in 0..2 {
                let mut x = [_mm256_setzero_ps(); W];
                for input in 0..W {
                    x[input] = _mm256_load_ps(inputs.add(input * stride).cast::<f32>().add(half * STEP / 2));
                }
                for row in 0..H {
                    let weight = T::load(rows[row])[half];
                    for input in 0..W {
                        sums[row][input] = _mm256_fmadd_ps(weight, x[input], sums[row][input]);
                    }
                }
            }
            return sums;
        }
        let mut weights = [[_mm256_setzero_ps(); 2]; H];
        for row in 0..H {
            weights[row] = T::load(rows[row]);
        }
        for input in 0..W {
            let x: *const f32 = inputs.add(input * stride).cast();
            let x = [_mm256_load_ps(x), _mm256_load_ps(x.add(STEP / 2))];
            for half in 0..2 {
                for row in 0..H {
                    sums[row][input] = _mm256_fmadd_ps(weights[row][half], x[half], sums[row][input]);
                }
            }
        }
    }
    sums
}

#[inline]
#[target_feature(enable = "avx2")]
fn sum(vector: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(vector), _mm256_extractf128_ps::<1>(vector));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}
