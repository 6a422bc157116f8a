//! Functions of two elements, with broadcasting.

use candle_core::{DType, Tensor as Value};

use super::reduce_to;
use crate::storage::{make, on_device, read, with_real, zeros};
use crate::tape::record;
use crate::{Result, Tensor, checks};

/// What becomes of two elements, in the order of the table of the kernel that devices have for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(any(feature = "cuda", feature = "emulation")),
    expect(dead_code, reason = "candle's own bodies")
)]
pub(crate) enum Join {
    First,
    Sum,
    Difference,
    Product,
    Quotient,
}

/// Gradient of an operand in its own shape.
fn reduced(gradient: candle_core::Result<Value>, dims: &[usize]) -> Result<Option<Value>> {
    Ok(Some(reduce_to(&gradient?, dims)?))
}

/// `a + b` of one shape and element type, in parallel and vectorised where kernels know the type.
pub(crate) fn sum(a: &Value, b: &Value) -> Result<Value> {
    if !matches!(a.dtype(), DType::F32 | DType::F64 | DType::BF16 | DType::F16) {
        return Ok((a + b)?);
    }
    on_device!("add", a.device(),
        cpu: with_real!("add", a.dtype(), T => read::<T, _>(a, |a_elements| read::<T, _>(b, |b_elements| {
            let mut sum = zeros::<T>(a_elements.len());
            swift_kernels::elementwise::add(a_elements, b_elements, &mut sum)?;
            make(sum, a.dims())
        }))),
        cuda: crate::cuda::sum("add", a, b),
    )
}

impl Tensor {
    /// `a + b`.
    ///
    /// # Errors
    /// If shapes don't broadcast or element types differ.
    pub fn add(&self, rhs: &Self) -> Result<Self> {
        checks::same_dtype("add", self, rhs)?;
        let y = match self.dims() == rhs.dims() {
            true => sum(self.value(), rhs.value())?,
            false => self.pair("add", Some(Join::Sum), rhs, |a, b| a.broadcast_add(b))?,
        };
        let (a, b) = (self.dims().to_vec(), rhs.dims().to_vec());
        record("add", y, &[self, rhs], move |gradient, wanted| {
            let side = |i: usize, dims: &[usize]| match wanted.get(i) {
                Some(true) => reduce_to(gradient, dims).map(Some),
                _ => Ok(None),
            };
            Ok(vec![side(0, &a)?, side(1, &b)?])
        })
    }

    /// `a - b`.
    ///
    /// # Errors
    /// If shapes don't broadcast or element types differ.
    pub fn sub(&self, rhs: &Self) -> Result<Self> {
        let y = self.pair("sub", Some(Join::Difference), rhs, |a, b| a.broadcast_sub(b))?;
        let (a, b) = (self.dims().to_vec(), rhs.dims().to_vec());
        record("sub", y, &[self, rhs], move |gradient, wanted| {
            Ok(vec![
                if wanted.first() == Some(&true) { Some(reduce_to(gradient, &a)?) } else { None },
                if wanted.get(1) == Some(&true) { reduced(gradient.neg(), &b)? } else { None },
            ])
        })
    }

    /// `a * b`, element by element.
    ///
    /// # Errors
    /// If shapes don't broadcast or element types differ.
    pub fn mul(&self, rhs: &Self) -> Result<Self> {
        let y = self.pair("mul", Some(Join::Product), rhs, |a, b| a.broadcast_mul(b))?;
        let (a, b) = (self.value().clone(), rhs.value().clone());
        record("mul", y, &[self, rhs], move |gradient, wanted| {
            Ok(vec![
                if wanted.first() == Some(&true) {
                    reduced(gradient.broadcast_mul(&b), a.dims())?
                } else {
                    None
                },
                if wanted.get(1) == Some(&true) {
                    reduced(gradient.broadcast_mul(&a), b.dims())?
                } else {
                    None
                },
            ])
        })
    }

    /// `a / b`.
    ///
    /// # Errors
    /// If shapes don't broadcast or element types differ.
    pub fn div(&self, rhs: &Self) -> Result<Self> {
        let y = self.pair("div", Some(Join::Quotient), rhs, |a, b| a.broadcast_div(b))?;
        let (a, b) = (self.value().clone(), rhs.value().clone());
        record("div", y.clone(), &[self, rhs], move |gradient, wanted| {
            let over = gradient.broadcast_div(&b)?;
            Ok(vec![
                if wanted.first() == Some(&true) { Some(reduce_to(&over, a.dims())?) } else { None },
                if wanted.get(1) == Some(&true) { reduced((over * y)?.neg(), b.dims())? } else { None },
            ])
        })
    }

    /// The larger of the two; where they are equal each side gets half of the gradient.
    ///
    /// # Errors
    /// If shapes don't broadcast or element types differ.
    pub fn maximum(&self, rhs: &Self) -> Result<Self> {
        let y = self.pair("maximum", None, rhs, |a, b| a.broadcast_maximum(b))?;
        self.select("maximum", rhs, y)
    }

    /// The smaller of the two; where they are equal each side gets half of the gradient.
    ///
    /// # Errors
    /// If shapes don't broadcast or element types differ.
    pub fn minimum(&self, rhs: &Self) -> Result<Self> {
        let y = self.pair("minimum", None, rhs, |a, b| a.broadcast_minimum(b))?;
        self.select("minimum", rhs, y)
    }

    fn pair(
        &self,
        op: &'static str,
        join: Option<Join>,
        rhs: &Self,
        f: impl FnOnce(&Value, &Value) -> candle_core::Result<Value>,
    ) -> Result<Value> {
        checks::same_dtype(op, self, rhs)?;
        let dims = checks::broadcast(op, self.dims(), rhs.dims())?;
        let (a, b) = (self.value(), rhs.value());
        on_device!(op, a.device(),
            cpu: { let _ = (join, dims); Ok(f(a, b)?) },
            cuda: {
                let joined = join.map(|join| crate::cuda::joined(op, join, a, b, &dims)).transpose()?.flatten();
                joined.map_or_else(|| Ok(f(a, b)?), Ok)
            },
        )
    }

    /// The gradient of `maximum` and `minimum`: to the side whose value was taken, shared where both were.
    fn select(&self, op: &'static str, rhs: &Self, y: Value) -> Result<Self> {
        let (a, b) = (self.value().clone(), rhs.value().clone());
        record(op, y.clone(), &[self, rhs], move |gradient, wanted| {
            let dtype = gradient.dtype();
            let taken_a = a.broadcast_as(y.shape())?.eq(&y)?.to_dtype(dtype)?;
            let taken_b = b.broadcast_as(y.shape())?.eq(&y)?.to_dtype(dtype)?;
            let share = (gradient / (&taken_a + &taken_b)?)?;
            Ok(vec![
                if wanted.first() == Some(&true) { reduced(&share * taken_a, a.dims())? } else { None },
                if wanted.get(1) == Some(&true) { reduced(&share * taken_b, b.dims())? } else { None },
            ])
        })
    }
}
