//! Weights of few bits, and products with them: as frozen weights of a model are kept in memory.
//!
//! A quantised weight is never there as a whole in the type that it is computed in. Its rows become elements in registers
//! (`nf4/bfloat16`), or whole numbers, as inputs of 16 bits do (`rounded`), or some rows become elements in the second cache
//! (`products`). Where none of these can be, each row is decoded into the first cache and multiplied at once with few inputs, and a part
//! of the weight at a time is decoded and multiplied as any other matrix is with many ([`linear`]).

pub mod int8;
mod linear;
pub mod nf4;
#[cfg(target_arch = "x86_64")]
mod products;
#[cfg(target_arch = "x86_64")]
mod rounded;

use std::borrow::Cow;
use std::ops::Range;

use half::bf16;
use rayon::prelude::*;

pub use linear::{forward, input_gradient};
#[cfg(target_arch = "x86_64")]
pub(crate) use products::{Buffers, Inputs};

#[cfg(target_arch = "x86_64")]
use crate::bfloat16;
use crate::by_rows::Rows;
use crate::element::{Known, KnownMut, store_into};
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

    /// Writes the elements from one on, row after row, by all threads.
    fn decode_in_parallel<T: Element>(&self, first: usize, into: &mut [T]) {
        let parts = into.par_chunks_mut(CHUNK).enumerate();
        parts.for_each(|(part, into)| self.decode(first + part * CHUNK, into));
    }

    /// Writes the elements from one on, row after row.
    fn decode<T: Element>(&self, first: usize, into: &mut [T]) {
        match T::known_mut(into) {
            KnownMut::F32(into) => self.decode_numbers(first, into),
            KnownMut::F64(into) => self.decode_by_steps(first, into, |numbers, into| {
                into.iter_mut().zip(numbers).for_each(|(into, &number)| *into = number.into());
            }),
            KnownMut::Bf16(into) => self.decode_bfloat16(first, into),
            KnownMut::F16(into) => self.decode_by_steps(first, into, store_into),
        }
    }

    fn decode_bfloat16(&self, first: usize, into: &mut [bf16]) {
        #[cfg(target_arch = "x86_64")]
        {
            if let Self::Nf4(matrix) = self
                && matrix.elements(first, into)
            {
                return;
            }
            if bfloat16::is_native() {
                return self.decode_by_steps(first, into, bfloat16::store);
            }
        }
        self.decode_by_steps(first, into, store_into);
    }

    /// As [`Matrix::decode`], by way of numbers that stay in the first cache.
    fn decode_by_steps<T>(&self, first: usize, into: &mut [T], store: impl Fn(&[f32], &mut [T])) {
        const STEP: usize = 1024;
        let mut numbers = [0f32; STEP];
        for (step, into) in into.chunks_mut(STEP).enumerate() {
            let numbers = numbers.get_mut(..into.len()).unwrap_or_default();
            self.decode_numbers(first + step * STEP, numbers);
            store(numbers, into);
        }
    }

    fn decode_numbers(&self, first: usize, into: &mut [f32]) {
        match self {
            Self::Nf4(matrix) => matrix.decode(first, into),
            Self::Int8(matrix) => matrix.decode(first, into),
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
    fn inputs<'x, T: Element<Compute = C>>(&self, x: &'x [T]) -> Option<Inputs<'x>> {
        self.inputs(x)
    }

    #[cfg(target_arch = "x86_64")]
    fn products(&self, rows: Range<usize>, inputs: &Inputs<'_>, buffers: &mut Buffers, sums: &mut [C]) {
        if let KnownMut::F32(sums) = C::known_mut(sums) {
            self.products(rows, inputs, buffers, sums);
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
