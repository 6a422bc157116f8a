//! The types that kernels store and the types that they compute with.

use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub};

use half::{bf16, f16};

use crate::half_precision::{from_bfloat16, from_float16, to_bfloat16, to_float16};
use crate::vectorised::vectorised;

/// Keeps the set of types closed: the matrix products know `f32` and `f64` only.
mod closed {
    pub trait Closed {}
    impl Closed for f32 {}
    impl Closed for f64 {}
    impl Closed for half::bf16 {}
    impl Closed for half::f16 {}
}

/// A type that kernels compute with: `f32` or `f64`.
pub trait Float:
    Element<Compute = Self>
    + PartialOrd
    + Neg<Output = Self>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + AddAssign
    + MulAssign
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Below every other number.
    const LOWEST: Self;

    /// The nearest value.
    fn of(value: f64) -> Self;
    /// The same value.
    fn widen(self) -> f64;
    /// The magnitude.
    fn magnitude(self) -> Self;
    /// The square root.
    fn root(self) -> Self;
    /// The hyperbolic tangent.
    fn hyperbolic_tangent(self) -> Self;
    /// `e` to this power, for the powers up to 0 that a softmax or a sigmoid takes. For `f32` within 2 units in the last
    /// place, 0 below -87.33 and infinite above 88.37; written so that loops over it become vector instructions, and
    /// without library calls, so that it gives the same bits everywhere.
    fn exponential(self) -> Self;

    /// `1 / (1 + exp(-self))`, which never overflows.
    #[inline(always)]
    fn sigmoid(self) -> Self {
        self.sigmoids().0
    }

    /// The sigmoid, and that of the opposite number.
    #[inline(always)]
    fn sigmoids(self) -> (Self, Self) {
        let tail = (-self.magnitude()).exponential();
        let sum = Self::ONE + tail;
        let (numerator, opposite) = if self >= Self::ZERO { (Self::ONE, tail) } else { (tail, Self::ONE) };
        (numerator / sum, opposite / sum)
    }
}

/// Elements of a type that is known.
#[derive(Clone, Copy, Debug)]
pub enum Known<'a> {
    /// Of this type.
    F32(&'a [f32]),
    /// Of this type.
    F64(&'a [f64]),
    /// Of this type.
    Bf16(&'a [bf16]),
    /// Of this type.
    F16(&'a [f16]),
}

/// As [`Known`], to be written.
#[derive(Debug)]
pub enum KnownMut<'a> {
    /// Of this type.
    F32(&'a mut [f32]),
    /// Of this type.
    F64(&'a mut [f64]),
    /// Of this type.
    Bf16(&'a mut [bf16]),
    /// Of this type.
    F16(&'a mut [f16]),
}

/// A type of stored elements: `f32`, `f64`, `bf16` or `f16`.
pub trait Element: Copy + Send + Sync + 'static + closed::Closed {
    /// What it is computed in: itself, or `f32` for types of 16 bits.
    type Compute: Float;

    /// The same value to compute with.
    fn load(self) -> Self::Compute;
    /// The nearest value that can be stored, the even one of two.
    fn store(value: Self::Compute) -> Self;
    /// The elements themselves, if they can be computed with as they are.
    fn as_compute(elements: &[Self]) -> Option<&[Self::Compute]>;
    /// As [`Element::as_compute`], to be written.
    fn as_compute_mut(elements: &mut [Self]) -> Option<&mut [Self::Compute]>;
    /// Numbers as stored elements, if they can be stored as they are.
    fn from_compute(numbers: &[Self::Compute]) -> Option<&[Self]>;
    /// The elements themselves, for kernels of single types.
    fn known(elements: &[Self]) -> Known<'_>;
    /// As [`Element::known`], to be written.
    fn known_mut(elements: &mut [Self]) -> KnownMut<'_>;
}

macro_rules! compute_in_itself {
    ($type:ty, $known:ident) => {
        impl Element for $type {
            type Compute = Self;

            #[inline(always)]
            fn load(self) -> Self {
                self
            }
            #[inline(always)]
            fn store(value: Self) -> Self {
                value
            }
            fn as_compute(elements: &[Self]) -> Option<&[Self]> {
                Some(elements)
            }
            fn as_compute_mut(elements: &mut [Self]) -> Option<&mut [Self]> {
                Some(elements)
            }
            fn from_compute(numbers: &[Self]) -> Option<&[Self]> {
                Some(numbers)
            }
            #[inline(always)]
            fn known(elements: &[Self]) -> Known<'_> {
                Known::$known(elements)
            }
            #[inline(always)]
            fn known_mut(elements: &mut [Self]) -> KnownMut<'_> {
                KnownMut::$known(elements)
            }
        }
    };
}
compute_in_itself!(f32, F32);
compute_in_itself!(f64, F64);

macro_rules! compute_in_f32 {
    ($type:ty, $known:ident, $load:ident, $store:ident) => {
        impl Element for $type {
            type Compute = f32;

            #[inline(always)]
            fn load(self) -> f32 {
                $load(self.to_bits())
            }
            #[inline(always)]
            fn store(value: f32) -> Self {
                Self::from_bits($store(value))
            }
            fn as_compute(_: &[Self]) -> Option<&[f32]> {
                None
            }
            fn as_compute_mut(_: &mut [Self]) -> Option<&mut [f32]> {
                None
            }
            fn from_compute(_: &[f32]) -> Option<&[Self]> {
                None
            }
            #[inline(always)]
            fn known(elements: &[Self]) -> Known<'_> {
                Known::$known(elements)
            }
            #[inline(always)]
            fn known_mut(elements: &mut [Self]) -> KnownMut<'_> {
                KnownMut::$known(elements)
            }
        }
    };
}
compute_in_f32!(bf16, Bf16, from_bfloat16, to_bfloat16);
compute_in_f32!(f16, F16, from_float16, to_float16);

impl Float for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const LOWEST: Self = f32::NEG_INFINITY;

    #[inline(always)]
    fn of(value: f64) -> Self {
        value as f32
    }
    #[inline(always)]
    fn widen(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn magnitude(self) -> Self {
        self.abs()
    }
    #[inline(always)]
    fn root(self) -> Self {
        self.sqrt()
    }
    fn hyperbolic_tangent(self) -> Self {
        self.tanh()
    }
    /// Cody and Waite's reduction and the polynomial of Cephes' `expf`.
    #[inline(always)]
    fn exponential(self) -> Self {
        const LEAST: f32 = -87.33;
        const GREATEST: f32 = 88.37;
        /// Adding it leaves the nearest integer in the low bits of the sum.
        const ROUNDER: f32 = 12_582_912.0;
        let x = self.clamp(LEAST, GREATEST);
        let shifted = x * std::f32::consts::LOG2_E + ROUNDER;
        let power = shifted - ROUNDER;
        // ln 2 in two parts; the first has few bits, so that its product is exact.
        let r = (x - power * 0.693_359_4) + power * 2.121_944_4e-4;
        let p = 1.987_569_1e-4;
        let p = p * r + 1.398_2e-3;
        let p = p * r + 8.333_452e-3;
        let p = p * r + 4.166_579_6e-2;
        let p = p * r + 1.666_666_5e-1;
        let p = p * r + 5e-1;
        let y = p * (r * r) + r + 1.0;
        let y = y * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
        if self < LEAST {
            0.0
        } else if self > GREATEST {
            f32::INFINITY
        } else {
            y
        }
    }
}

impl Float for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const LOWEST: Self = f64::NEG_INFINITY;

    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn widen(self) -> f64 {
        self
    }
    #[inline(always)]
    fn magnitude(self) -> Self {
        self.abs()
    }
    #[inline(always)]
    fn root(self) -> Self {
        self.sqrt()
    }
    fn hyperbolic_tangent(self) -> Self {
        self.tanh()
    }
    #[inline(always)]
    fn exponential(self) -> Self {
        self.exp()
    }
}

vectorised! {
    /// Copies `from` into `into` as numbers to compute with.
    pub(crate) fn load_into<T: Element>(from: &[T], into: &mut [T::Compute]) {
        for (into, &from) in into.iter_mut().zip(from) {
            *into = from.load();
        }
    }

    /// Copies `from` into `into`, rounding.
    pub(crate) fn store_into<T: Element>(from: &[T::Compute], into: &mut [T]) {
        for (into, &from) in into.iter_mut().zip(from) {
            *into = T::store(from);
        }
    }
}
