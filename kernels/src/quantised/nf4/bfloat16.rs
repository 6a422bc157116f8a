//! Products with few inputs of `bf16`, by AVX512-BF16: the 16 values become `bf16` too, and are looked up 32 at a time. The sum of a
//! unit's products is multiplied with the magnitude of its block.
//!
//! An element of a product is the sum of 16 partial sums, 8 of every other unit; it does not depend on the other inputs.

use std::arch::x86_64::*;
use std::ops::Range;

use half::bf16;

use super::Matrix;
use super::codes::NF4;
use super::decode::UNIT;
use super::lookup::load;
use crate::bfloat16::{as_pairs, is_native};
use crate::line::LANES;

use crate::vectorised::vectorised;

/// Units that are multiplied together: each of them takes half of a vector.
const PAIR: usize = 2;
/// Vectors of two units.
const PARTS: usize = UNIT / LANES;
/// Units whose magnitudes fill a vector.
const MAGNITUDES: usize = LANES;
/// Inputs that are multiplied together, at most: their sums with two rows, and a part of these rows, fill the registers.
const INPUTS: usize = 8;
/// Rows that are multiplied together, with one or two inputs, and with more of them.
const ROWS: usize = 4;
const ROWS_OF_MANY: usize = 2;
/// Bytes between what is multiplied and what is fetched meanwhile, at least.
const AHEAD: usize = 32 << 10;

/// Two units of an input: a part of the first, the same part of the second, the next part of the first.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Pair([[[bf16; LANES]; PAIR]; PARTS]);

/// Inputs in the order in which elements of the weight come out of registers, which exist only on processors that have the
/// instructions.
pub(crate) struct Arranged {
    /// For each group of [`INPUTS`], of which the last may be smaller: the first two units of each of them, then their next ones. A
    /// unit that has no other is beside zeros.
    pairs: Vec<Pair>,
    inputs: usize,
}

impl Matrix {
    /// Inputs as [`Matrix::products_with_arranged`] takes them, if the processor has the instructions, and rows consist of whole units.
    pub(in crate::quantised) fn arranged_inputs(&self, x: &[bf16]) -> Option<Arranged> {
        if !is_native() || !self.has_whole_units() {
            return None;
        }
        let pairs_of_input = (self.columns / UNIT).div_ceil(PAIR);
        let inputs = x.len() / self.columns;
        let mut pairs = vec![Pair([[[bf16::ZERO; LANES]; PAIR]; PARTS]); inputs * pairs_of_input];
        let groups = x.chunks(INPUTS * self.columns).zip(pairs.chunks_mut(INPUTS * pairs_of_input));
        groups.for_each(|(x, pairs)| arrange(x, self.columns, pairs));
        Some(Arranged { pairs, inputs })
    }

    /// The products of some rows with all inputs: an input's with each row, then the next input's. `magnitudes` has room for one of
    /// each unit. What follows in the weight is fetched from memory meanwhile.
    pub(in crate::quantised) fn products_with_arranged(
        &self,
        rows: Range<usize>,
        Arranged { pairs, inputs }: &Arranged,
        magnitudes: &mut Vec<f32>,
        sums: &mut [f32],
    ) {
        let length = self.columns / UNIT;
        magnitudes.resize(rows.len() * length, 0.0);
        self.magnitudes_of_units(rows.start * length, magnitudes);
        let units = self.packed.as_chunks().0.get(rows.start * length..rows.end * length);
        let rows = Rows { units: units.unwrap_or_default(), magnitudes, length };
        let pairs_of_input = length.div_ceil(PAIR);
        let groups =
            pairs.chunks(INPUTS * pairs_of_input).zip(sums.chunks_mut(INPUTS * (sums.len() / inputs)));
        for (pairs, sums) in groups {
            #[expect(unsafe_code, reason = "instructions that not every processor has")]
            // SAFETY: arranged inputs exist only where the processor has them.
            unsafe {
                match pairs.len() / pairs_of_input {
                    1 => group::<ROWS, 1>(rows, pairs, sums),
                    2 => group::<ROWS, 2>(rows, pairs, sums),
                    3 => group::<ROWS_OF_MANY, 3>(rows, pairs, sums),
                    4 => group::<ROWS_OF_MANY, 4>(rows, pairs, sums),
                    5 => group::<ROWS_OF_MANY, 5>(rows, pairs, sums),
                    6 => group::<ROWS_OF_MANY, 6>(rows, pairs, sums),
                    7 => group::<ROWS_OF_MANY, 7>(rows, pairs, sums),
                    _ => group::<ROWS_OF_MANY, 8>(rows, pairs, sums),
                }
            }
        }
    }
}

/// Rows of a weight, with so many units each.
#[derive(Clone, Copy)]
struct Rows<'a> {
    units: &'a [[u8; UNIT / 2]],
    magnitudes: &'a [f32],
    length: usize,
}

/// The products of rows with `N` inputs, `R` rows at a time.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn group<const R: usize, const N: usize>(rows: Rows<'_>, pairs: &[Pair], sums: &mut [f32]) {
    let Rows { units, magnitudes, length } = rows;
    let height = sums.len() / N;
    let mut first = 0;
    while first < height {
        let from = first * length;
        let (Some(units), Some(magnitudes)) = (units.get(from..), magnitudes.get(from..)) else { return };
        let rows = Rows { units, magnitudes, length };
        if height - first >= R {
            store(&tile::<R, N>(rows, pairs), first, sums);
            first += R;
        } else {
            store(&tile::<1, N>(rows, pairs), first, sums);
            first += 1;
        }
    }
}

/// Writes products of some rows, from the first on, to where those with each input are.
fn store<const N: usize>(products: &[[f32; N]], first: usize, sums: &mut [f32]) {
    let height = sums.len() / N;
    for (row, products) in products.iter().enumerate() {
        let sums = sums.iter_mut().skip(first + row).step_by(height);
        sums.zip(products).for_each(|(sum, product)| *sum = *product);
    }
}

/// The products of the first `R` rows with `N` inputs.
#[expect(clippy::indexing_slicing, reason = "arrays with constant bounds")]
#[expect(clippy::needless_range_loop, reason = "loops with constant bounds are kept in registers")]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn tile<const R: usize, const N: usize>(rows: Rows<'_>, pairs: &[Pair]) -> [[f32; N]; R] {
    let Rows { units, magnitudes, length } = rows;
    assert!(units.len() >= R * length && magnitudes.len() >= R * length);
    assert!(pairs.len() == N * length.div_ceil(PAIR));
    // Bytes to the first rows that begin far enough from here.
    let ahead = (R * size_of_val(units.get(..length).unwrap_or_default())).max(1);
    let ahead = AHEAD.next_multiple_of(ahead);
    // A lane of the first half belongs to the first of two units, and one of the other half to the second.
    let halves = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
    let values = values();
    let mut totals = [[_mm512_setzero_ps(); N]; R];
    let mut x = pairs.as_ptr();
    for first in (0..length).step_by(MAGNITUDES) {
        let count = MAGNITUDES.min(length - first);
        let mut of_rows = [_mm512_setzero_ps(); R];
        for row in 0..R {
            #[expect(unsafe_code, reason = "vectors are loaded by pointers")]
            // SAFETY: it has been checked that rows have as many magnitudes as they have units, of which only these are loaded.
            unsafe {
                let from = magnitudes.as_ptr().add(row * length + first);
                of_rows[row] = _mm512_maskz_loadu_ps((!0u32 >> (32 - count)) as u16, from);
            }
        }
        let mut which = halves;
        for unit in (first..first + count).step_by(PAIR) {
            // Zeros are multiplied with what stands for a second unit if there is none.
            let second = (unit + 1).min(length - 1);
            for row in 0..R {
                #[expect(unsafe_code, reason = "bounds are checked once")]
                // SAFETY: it has been checked that rows have as many units, and each input a pair for two of them. Memory is fetched,
                // not read, wherever it is.
                unsafe {
                    let units = units.as_ptr().add(row * length);
                    _mm_prefetch::<_MM_HINT_T1>(units.cast::<i8>().wrapping_add(unit * (UNIT / 2) + ahead));
                    let elements = look_up(values, &*units.add(unit), &*units.add(second));
                    let magnitudes = _mm512_permutexvar_ps(which, of_rows[row]);
                    for input in 0..N {
                        let x: *const __m512i = x.add(input).cast();
                        let mut sums = _mm512_setzero_ps();
                        for part in 0..PARTS {
                            let x = as_pairs(_mm512_load_si512(x.add(part)));
                            sums = _mm512_dpbf16_ps(sums, as_pairs(elements[part]), x);
                        }
                        totals[row][input] = _mm512_fmadd_ps(sums, magnitudes, totals[row][input]);
                    }
                }
            }
            which = _mm512_add_epi32(which, _mm512_set1_epi32(PAIR as i32));
            #[expect(unsafe_code, reason = "bounds are checked once")]
            // SAFETY: as above; after the last pair the pointer is at the end.
            unsafe {
                x = x.add(N);
            }
        }
    }
    let mut products = [[0.0; N]; R];
    for row in 0..R {
        for input in 0..N {
            products[row][input] = _mm512_reduce_add_ps(totals[row][input]);
        }
    }
    products
}

/// The values, twice, so that a fifth bit of a number makes no difference.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn values() -> __m512i {
    #[expect(
        unsafe_code,
        reason = "a vector is loaded by a pointer, and there is no cast between these types of vectors"
    )]
    // SAFETY: 16 values have the size of a vector; of 256 bits every pattern is a value.
    let values: __m256i = unsafe { std::mem::transmute(_mm512_cvtneps_pbh(_mm512_loadu_ps(NF4.as_ptr()))) };
    _mm512_broadcast_i64x4(values)
}

/// The elements of two units in the order of [`arrange`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn look_up(values: __m512i, first: &[u8; UNIT / 2], second: &[u8; UNIT / 2]) -> [__m512i; PARTS] {
    let bytes = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(load(first)), load(second));
    // Of a lane the low 5 bits are looked at.
    [
        _mm512_permutexvar_epi16(bytes, values),
        _mm512_permutexvar_epi16(_mm512_srli_epi16::<4>(bytes), values),
        _mm512_permutexvar_epi16(_mm512_srli_epi16::<8>(bytes), values),
        _mm512_permutexvar_epi16(_mm512_srli_epi16::<12>(bytes), values),
    ]
}

vectorised! {
    /// Brings inputs of so many columns into the order in which two bytes of the weight, as a number of 16 bits, are looked up: the
    /// low half of the first of them, then its high half, which comes before in a row, and so on.
    fn arrange<>(x: &[bf16], columns: usize, pairs: &mut [Pair]) {
        let inputs = x.len() / columns;
        for (input, x) in x.chunks_exact(columns).enumerate() {
            for (unit, x) in x.as_chunks::<UNIT>().0.iter().enumerate() {
                let Some(Pair(parts)) = pairs.get_mut(unit / PAIR * inputs + input) else { return };
                let [a, b, c, d] = parts;
                let half = unit % PAIR;
                let (Some(a), Some(b)) = (a.get_mut(half), b.get_mut(half)) else { return };
                let (Some(c), Some(d)) = (c.get_mut(half), d.get_mut(half)) else { return };
                let parts = a.iter_mut().zip(b).zip(c.iter_mut().zip(d));
                for (&[first, second, third, fourth], ((a, b), (c, d))) in x.as_chunks().0.iter().zip(parts) {
                    (*a, *b, *c, *d) = (second, first, fourth, third);
                }
            }
        }
    }
}
