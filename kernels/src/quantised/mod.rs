//! Weights of few bits, and products with them: as frozen weights of a model are kept in memory.
//!
//! A quantised weight is never there as a whole in the type that it is computed in. Its rows become whole numbers in registers,
//! and so do inputs of 16 bits (`rounded`); where that can't be, each row is decoded into the first cache and multiplied at once
//! with few inputs, and a part of the weight at a time is decoded and multiplied as any other matrix is with many ([`linear`]).

pub mod int8;
mod linear;
pub mod nf4;
#[cfg(target_arch = "x86_64")]
mod rounded;

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

pub use linear::{forward, input_gradient};
#[cfg(target_arch = "x86_64")]
pub(crate) use rounded::Rounded;

use crate::by_rows::Rows;
use crate::element::{Known, KnownMut};
use crate::{CHUNK, Element, Float, KernelError, check};

/// A weight of few bits.
#[derive(Clone, Debug, PartialEq)]
pub enum Matrix {
    /// 4 bits an element.
    Nf4(nf4::Matrix),
    /// 8 bits an element.
    Int8(int8::Matrix),
}

/// What a matrix consists of: elements, row after row, in blocks that have a scale each.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded<'a> {
    /// Bits of an element: 4 for the numbers of [`nf4::NF4`], two to a byte with the first in the high half, or 8 for whole numbers
    /// with their sign.
    pub bits: u32,
    /// The elements.
    pub codes: Cow<'a, [u8]>,
    /// What the elements of each block are multiplied with.
    pub scales: Vec<f32>,
    /// Elements of a block.
    pub block: usize,
}

const OPERATION: &str = "quantised";

impl Matrix {
    /// Rows, the outputs of a linear layer.
    pub fn rows(&self) -> usize {
        match self {
            Self::Nf4(matrix) => matrix.rows(),
            Self::Int8(matrix) => matrix.rows(),
        }
    }

    /// Columns, the inputs of a linear layer.
    pub fn columns(&self) -> usize {
        match self {
            Self::Nf4(matrix) => matrix.columns(),
            Self::Int8(matrix) => matrix.columns(),
        }
    }

    /// The memory that it takes, in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Nf4(matrix) => matrix.bytes(),
            Self::Int8(matrix) => matrix.bytes(),
        }
    }

    /// What it consists of, for those who decode it elsewhere.
    pub fn encoded(&self) -> Encoded<'_> {
        match self {
            Self::Nf4(matrix) => matrix.encoded(),
            Self::Int8(matrix) => matrix.encoded(),
        }
    }

    /// Writes the matrix `[rows, columns]`, rounded to `T`.
    ///
    /// # Errors
    /// [`KernelError::Length`] if `into` doesn't fit.
    pub fn dequantise<T: Element>(&self, into: &mut [T]) -> Result<(), KernelError> {
        check::length(OPERATION, "into", into, &[self.rows(), self.columns()])?;
        self.decode_in_parallel(0, into);
        Ok(())
    }

    /// Whether products with any number of inputs like these are had without its elements ever being in memory.
    fn has_products<T: Element>(&self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return match self {
            Self::Nf4(matrix) => matrix.has_whole_units() && rounded::has_products::<T>(matrix.columns()),
            Self::Int8(matrix) => rounded::has_products::<T>(matrix.columns()),
        };
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// Writes the elements from one on, row after row, by all threads.
    fn decode_in_parallel<T: Element>(&self, first: usize, into: &mut [T]) {
        let parts = into.par_chunks_mut(CHUNK).enumerate();
        parts.for_each(|(part, into)| self.decode(first + part * CHUNK, into));
    }

    /// Writes the elements from one on, row after row.
    fn decode<T: Element>(&self, first: usize, into: &mut [T]) {
        /// Elements that are rounded at a time.
        const STEP: usize = 256;
        let decode = |first, into: &mut [f32]| match self {
            Self::Nf4(matrix) => matrix.decode(first, into),
            Self::Int8(matrix) => matrix.decode(first, into),
        };
        if let KnownMut::F32(into) = T::known_mut(into) {
            return decode(first, into);
        }
        let mut buffer = [0f32; STEP];
        for (step, into) in into.chunks_mut(STEP).enumerate() {
            let buffer = buffer.get_mut(..into.len()).unwrap_or_default();
            decode(first + step * STEP, buffer);
            for (into, &value) in into.iter_mut().zip(&*buffer) {
                *into = T::store(T::Compute::of(f64::from(value)));
            }
        }
    }
}

impl<C: Float> Rows<C> for Matrix {
    fn rows(&self) -> usize {
        self.rows()
    }

    fn columns(&self) -> usize {
        self.columns()
    }

    fn stored(&self, _: Range<usize>) -> Option<Known<'_>> {
        None
    }

    fn numbers(&self, _: Range<usize>) -> Option<&[C]> {
        None
    }

    fn convert(&self, rows: Range<usize>, into: &mut [C]) {
        self.decode(rows.start * self.columns(), into);
    }

    #[cfg(target_arch = "x86_64")]
    fn arranged<'v>(&self, vector: &'v [C]) -> Cow<'v, [C]> {
        match (self, C::known(vector)) {
            (Self::Nf4(matrix), Known::F32(_)) => matrix.arranged(vector),
            _ => vector.into(),
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn rounded<T: Element<Compute = C>>(&self, x: &[T]) -> Option<Rounded> {
        match self {
            Self::Nf4(matrix) => matrix.rounded(x),
            Self::Int8(matrix) => matrix.rounded(x),
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn products(&self, rows: Range<usize>, inputs: &Rounded, buffer: &mut Vec<C>, sums: &mut [C]) {
        buffer.resize(inputs.units_of(rows.clone()).len(), C::ZERO);
        let (KnownMut::F32(scales), KnownMut::F32(sums)) = (C::known_mut(buffer), C::known_mut(sums)) else {
            return;
        };
        match self {
            Self::Nf4(matrix) => matrix.products(rows, inputs, scales, sums),
            Self::Int8(matrix) => matrix.products(rows, inputs, scales, sums),
        }
    }

    fn dot(&self, row: usize, vector: &[C]) -> Option<C> {
        let Known::F32(vector) = C::known(vector) else { return None };
        let product = match self {
            #[cfg(target_arch = "x86_64")]
            Self::Nf4(matrix) => matrix.dot(row, vector)?,
            #[cfg(not(target_arch = "x86_64"))]
            Self::Nf4(_) => return None,
            Self::Int8(matrix) => matrix.dot(row, vector),
        };
        Some(C::of(product.into()))
    }
}
