//! Products of some rows with inputs of 16 bits, by elements or whole numbers in registers, or by elements in the second cache.

use std::ops::Range;

use half::bf16;

use super::Matrix;
use super::nf4::Arranged;
use super::rounded::{self, Rounded};
use crate::Element;
use crate::element::Known;
use crate::matmul::is_native;
use crate::matrix::{self, Workers};

/// Inputs, at most, that rows are multiplied with in registers, where the processor multiplies elements of `bf16`: by their elements
/// ([`Inputs::Arranged`]), or by whole numbers. With more of them it pays to make elements of a row in the second cache.
const FEW: usize = 12;
const FEW_ROUNDED: usize = 8;

/// Inputs as [`Matrix::products`] takes them.
pub(crate) enum Inputs<'x> {
    /// For rows that become whole numbers too.
    Rounded(Rounded),
    /// For rows that become elements in registers, and a processor that multiplies these.
    Arranged(Arranged),
    /// For rows that become elements in the second cache.
    Elements(&'x [bf16]),
}

/// Memory of a thread, kept from one block of rows to the next.
#[derive(Default)]
pub(crate) struct Buffers {
    scales: Vec<f32>,
    elements: Vec<bf16>,
}

impl Matrix {
    /// Whether there are products with any number of inputs of a type.
    pub(super) fn has_products<T: Element>(&self) -> bool {
        has_elements::<T>() || self.has_whole_units() && rounded::has_products::<T>(self.columns())
    }

    /// Inputs for [`Matrix::products`], if there are any with them.
    pub(crate) fn inputs<'x, T: Element>(&self, x: &'x [T]) -> Option<Inputs<'x>> {
        if let (Known::Bf16(elements), true) = (T::known(x), has_elements::<T>()) {
            let count = x.len() / self.columns();
            let arranged = match self {
                Self::Nf4(matrix) if count <= FEW => matrix.arranged_inputs(elements),
                _ => None,
            };
            if let Some(inputs) = arranged {
                return Some(Inputs::Arranged(inputs));
            }
            if count > FEW_ROUNDED {
                return Some(Inputs::Elements(elements));
            }
        }
        self.rounded(x).map(Inputs::Rounded)
    }

    /// The products of some rows with all inputs: an input's with each row, then the next input's.
    pub(crate) fn products(
        &self,
        rows: Range<usize>,
        inputs: &Inputs<'_>,
        buffers: &mut Buffers,
        sums: &mut [f32],
    ) {
        match inputs {
            Inputs::Rounded(inputs) => {
                buffers.scales.resize(inputs.units_of(rows.clone()).len(), 0.0);
                match self {
                    Self::Nf4(matrix) => matrix.products(rows, inputs, &mut buffers.scales, sums),
                    Self::Int8(matrix) => matrix.products(rows, inputs, &mut buffers.scales, sums),
                }
            }
            Inputs::Arranged(inputs) => {
                if let Self::Nf4(matrix) = self {
                    matrix.products_with_arranged(rows, inputs, &mut buffers.scales, sums);
                }
            }
            Inputs::Elements(x) => {
                let (height, columns) = (rows.len(), self.columns());
                buffers.elements.resize(height * columns, bf16::ZERO);
                self.decode(rows.start * columns, &mut buffers.elements);
                let x = matrix::Matrix::new(x, x.len() / columns, columns);
                let weight = matrix::Matrix::new(&buffers.elements, height, columns);
                if let (Ok(x), Ok(weight)) = (x, weight) {
                    crate::matmul::compute(x, weight.transposed(), sums, false, Workers::Caller);
                }
            }
        }
    }

    fn has_whole_units(&self) -> bool {
        match self {
            Self::Nf4(matrix) => matrix.has_whole_units(),
            Self::Int8(_) => true,
        }
    }

    fn rounded<T: Element>(&self, x: &[T]) -> Option<Rounded> {
        match self {
            Self::Nf4(matrix) => matrix.rounded(x),
            Self::Int8(matrix) => matrix.rounded(x),
        }
    }
}

/// Whether the processor multiplies elements of this type, of 16 bits, as they are.
fn has_elements<T: Element>() -> bool {
    matches!(T::known(&[]), Known::Bf16(_)) && is_native::<T>()
}
