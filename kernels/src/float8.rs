//! Products of matrices whose elements are rounded to 8 bits.
//!
//! Each matrix is multiplied by a scale that takes its greatest magnitude to that of the format, and rounded; products are summed in
//! `f32` and scaled back. A scale is of the matrix as a whole and of the moment: what torchao's `Float8Linear` does by default
//! (`ScalingGranularity.TENSORWISE`, dynamic), and Transformer Engine's recipe `Float8CurrentScaling`.
//!
//! Numbers of 8 bits are exact in `bf16`, and their products are in `f32`. So they are kept in `bf16` here, and multiplied by its
//! kernels: the result is that of units for 8 bits, but for the order of the sums.

use half::bf16;
use rayon::prelude::*;

use crate::matrix::{Matrix, Workers, multiply};
use crate::vectorised::vectorised;
use crate::{CHUNK, Element, Float, KernelError, check};

const OPERATION: &str = "float8";

/// What greatest magnitudes are at least taken for, so that a matrix of zeros has a scale: `EPS` of torchao's `float8_utils.py`.
pub const LEAST_MAGNITUDE: f64 = 1e-12;

/// A format of 8 bits: a sign, an exponent and a mantissa (Micikevicius et al. 2022, "FP8 Formats for Deep Learning").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Four bits of exponent and three of mantissa, for inputs and weights. There is no infinity: torch's `float8_e4m3fn`.
    E4M3,
    /// Five bits of exponent and two of mantissa, for gradients: torch's `float8_e5m2`.
    E5M2,
}

impl Format {
    /// Bits of the mantissa.
    pub const fn mantissa(self) -> u32 {
        match self {
            Self::E4M3 => 3,
            Self::E5M2 => 2,
        }
    }

    /// What exponents are stored with; the least of a normal number is `1 - bias`.
    pub const fn bias(self) -> u32 {
        match self {
            Self::E4M3 => 7,
            Self::E5M2 => 15,
        }
    }

    /// The greatest number.
    pub const fn greatest(self) -> f32 {
        match self {
            Self::E4M3 => 448.0,
            Self::E5M2 => 57344.0,
        }
    }

    /// What a matrix is multiplied by, by the greatest magnitude in it. Infinity and NaN give a scale that makes everything NaN, as
    /// in torchao: nothing that overflowed becomes a usual number.
    pub fn scale(self, greatest_magnitude: f32) -> f32 {
        let greatest = f64::from(greatest_magnitude);
        let greatest = if greatest < LEAST_MAGNITUDE { LEAST_MAGNITUDE } else { greatest };
        (f64::from(self.greatest()) / greatest) as f32
    }

    /// The nearest number of the format, the even one of two; what is greater than the greatest becomes that, and NaN stays.
    pub fn round(self, value: f32) -> f32 {
        rounded(value, self.grid())
    }

    /// The number of a byte. The greatest exponents of E5M2 are infinity and NaN, of E4M3 only the greatest numbers are NaN.
    pub fn value(self, byte: u8) -> f32 {
        let bits = self.mantissa();
        let (code, sign) = (u32::from(byte & 0x7f), if byte < 0x80 { 1.0 } else { -1.0 });
        let (exponent, mantissa) = (code >> bits, code & ((1 << bits) - 1));
        let whole = if exponent > 0 { mantissa + (1 << bits) } else { mantissa };
        let number = whole as f32 * 2f32.powi(exponent.max(1) as i32 - (self.bias() + bits) as i32);
        match number <= self.greatest() {
            true => sign * number,
            false if self == Self::E5M2 && mantissa == 0 => sign * f32::INFINITY,
            false => f32::NAN,
        }
    }

    fn grid(self) -> Grid {
        let (mantissa, least) = (self.mantissa(), 128 - self.bias());
        Grid {
            lift: (f32::MANTISSA_DIGITS - 1 - mantissa) << 23,
            least: least << 23,
            greatest: self.greatest(),
        }
    }
}

/// The numbers of a format, as bits of exponents of `f32`.
#[derive(Clone, Copy)]
struct Grid {
    /// From the exponent of a number to that of the one whose last bit is as much as the number's in the format.
    lift: u32,
    /// The least exponent of a normal number.
    least: u32,
    greatest: f32,
}

/// Adding a number whose last bit is worth as much as the format's leaves the rest to the addition, which rounds as it should. The
/// number is `1.5 * 2^n`, so that the sum has the same exponent whatever the sign.
#[inline(always)]
fn rounded(value: f32, Grid { lift, least, greatest }: Grid) -> f32 {
    let limited = if value > greatest { greatest } else { value };
    let limited = if limited < -greatest { -greatest } else { limited };
    let exponent = (limited.to_bits() & 0x7f80_0000).max(least);
    let rounder = 1.5 * f32::from_bits(exponent.wrapping_add(lift));
    ((limited + rounder) - rounder).copysign(limited)
}

/// A matrix without gaps, to be rounded.
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a, T> {
    /// Row-major.
    pub elements: &'a [T],
    /// What they are rounded to.
    pub format: Format,
    /// Whether the transpose is meant.
    pub transposed: bool,
}

/// `c = a b`, or `c += a b` if `accumulate`, of operands rounded to 8 bits; `a` is `[m, k]`, `b` `[k, n]` and `c` `[m, n]`. Sums are
/// rounded once. Temporary memory is that of both operands in `bf16` and of the result in `f32`.
///
/// # Errors
/// [`KernelError::Length`] if a slice doesn't fit the sizes.
pub fn product<T: Element>(
    a: Operand<'_, T>,
    b: Operand<'_, T>,
    c: &mut [T],
    (m, k, n): (usize, usize, usize),
    accumulate: bool,
) -> Result<(), KernelError> {
    check::length(OPERATION, "a", a.elements, &[m, k])?;
    check::length(OPERATION, "b", b.elements, &[k, n])?;
    check::length(OPERATION, "c", c, &[m, n])?;
    let (left, right) = (Rounded::new(a), Rounded::new(b));
    let mut sums = vec![0f32; m * n];
    multiply(left.matrix(m, k)?, right.matrix(k, n)?, &mut sums, false, Workers::Pool)?;
    let factor = left.factor * right.factor;
    let tasks = c.par_chunks_mut(CHUNK).zip(sums.par_chunks(CHUNK));
    tasks.for_each(|(c, sums)| scale_back(sums, factor, accumulate, c));
    Ok(())
}

/// The numbers that a matrix was rounded to, and what takes them back.
struct Rounded {
    elements: Vec<bf16>,
    factor: f32,
    transposed: bool,
}

impl Rounded {
    fn new<T: Element>(Operand { elements: x, format, transposed }: Operand<'_, T>) -> Self {
        let greatest = x.par_chunks(CHUNK).map(greatest_magnitude).max().unwrap_or(0);
        let (scale, grid) = (format.scale(f32::from_bits(greatest)), format.grid());
        let mut elements = vec![bf16::ZERO; x.len()];
        let tasks = elements.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK));
        tasks.for_each(|(into, from)| round_into(from, scale, grid, into));
        Self { elements, factor: scale.recip(), transposed }
    }

    fn matrix(&self, rows: usize, columns: usize) -> Result<Matrix<'_, bf16>, KernelError> {
        let (stored_rows, stored_columns) = if self.transposed { (columns, rows) } else { (rows, columns) };
        Ok(Matrix::new(&self.elements, stored_rows, stored_columns)?.transposed_if(self.transposed))
    }
}

/// An element as `f32`.
#[inline(always)]
fn single<T: Element>(x: T) -> f32 {
    x.load().widen() as f32
}

vectorised! {
    /// The bits of the greatest magnitude; those of NaN are greater than all others.
    fn greatest_magnitude<T: Element>(x: &[T]) -> u32 {
        x.iter().fold(0, |greatest, &x| greatest.max(single(x).to_bits() & 0x7fff_ffff))
    }

    fn round_into<T: Element>(from: &[T], scale: f32, grid: Grid, into: &mut [bf16]) {
        for (into, &from) in into.iter_mut().zip(from) {
            *into = bf16::store(rounded(single(from) * scale, grid));
        }
    }

    fn scale_back<T: Element>(sums: &[f32], factor: f32, accumulate: bool, c: &mut [T]) {
        for (c, &sum) in c.iter_mut().zip(sums) {
            let product = T::Compute::of((sum * factor).into());
            *c = T::store(if accumulate { c.load() + product } else { product });
        }
    }
}
