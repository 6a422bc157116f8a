//! `+`, `-`, `*`, `/` between tensors, and between tensors and numbers, in every mixture of values and references.

use std::ops::{Add, Div, Mul, Neg, Sub};
use std::panic::Location;

use crate::Tensor;
use crate::backend::Handle;

macro_rules! between_tensors {
    ($($trait:ident $method:ident),*) => {
        $(between_tensors!(@ $trait $method: Tensor => Tensor, Tensor => &Tensor, &Tensor => Tensor, &Tensor => &Tensor);)*
    };
    (@ $trait:ident $method:ident: $($lhs:ty => $rhs:ty),*) => {$(
        impl $trait<$rhs> for $lhs {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, rhs: $rhs) -> Tensor {
                Tensor::apply(Location::caller(), || Ok(self.handle()?.$method(rhs.handle()?)))
            }
        }
    )*};
}
between_tensors!(Add add, Sub sub, Mul mul, Div div);

/// Rows of `tensor op number` and `number op tensor`, in terms of the contract's operations.
macro_rules! with_numbers {
    ($($trait:ident $method:ident: $left:expr, $right:expr;)*) => {
        $(with_numbers!(@ $trait $method: $left, $right; Tensor, &Tensor);)*
    };
    (@ $trait:ident $method:ident: $left:expr, $right:expr; $($tensor:ty),*) => {$(
        impl $trait<f64> for $tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, number: f64) -> Tensor {
                Tensor::apply(Location::caller(), || Ok($left(self.handle()?, number)))
            }
        }
        // For counts, such as those of the accumulation window.
        impl $trait<u64> for $tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, number: u64) -> Tensor {
                Tensor::apply(Location::caller(), || Ok($left(self.handle()?, number as f64)))
            }
        }
        impl $trait<$tensor> for f64 {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, tensor: $tensor) -> Tensor {
                Tensor::apply(Location::caller(), || Ok($right(tensor.handle()?, self)))
            }
        }
    )*};
}
with_numbers! {
    Add add: |tensor: &Handle, number| tensor.add_scalar(number), |tensor: &Handle, number| tensor.add_scalar(number);
    Sub sub: |tensor: &Handle, number: f64| tensor.add_scalar(-number), |tensor: &Handle, number| tensor.neg()?.add_scalar(number);
    Mul mul: |tensor: &Handle, number| tensor.scale(number), |tensor: &Handle, number| tensor.scale(number);
    Div div: |tensor: &Handle, number: f64| tensor.scale(number.recip()), |tensor: &Handle, number| tensor.pow(-1.0)?.scale(number);
}

impl Neg for Tensor {
    type Output = Self;
    #[track_caller]
    fn neg(self) -> Self {
        -&self
    }
}

impl Neg for &Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        Tensor::apply(Location::caller(), || Ok(self.handle()?.neg()))
    }
}

#[cfg(test)]
mod tests {
    use crate::{Dtype, Tensor};

    fn tensor(values: &[f64]) -> Tensor {
        Tensor::from_list(values, &[values.len() as u64], Dtype::Float64)
    }

    fn assert_is(tensor: Tensor, expected: &[f64]) {
        assert_eq!(tensor.to_list().unwrap(), expected);
    }

    #[test]
    fn tensors_combine_by_value_and_by_reference() {
        let (a, b) = (tensor(&[6.0, 8.0]), tensor(&[3.0, 2.0]));
        assert_is(&a + &b, &[9.0, 10.0]);
        assert_is(a.clone() - &b, &[3.0, 6.0]);
        assert_is(&a * b.clone(), &[18.0, 16.0]);
        assert_is(a.clone() / b, &[2.0, 4.0]);
        assert_is(-&a, &[-6.0, -8.0]);
        assert_is(-a, &[-6.0, -8.0]);
    }

    #[test]
    fn numbers_stand_on_either_side() {
        let a = tensor(&[1.0, 4.0]);
        assert_is(&a + 1.0, &[2.0, 5.0]);
        assert_is(1.0 + &a, &[2.0, 5.0]);
        assert_is(&a - 1.0, &[0.0, 3.0]);
        assert_is(1.0 - &a, &[0.0, -3.0]);
        assert_is(2.0 * &a, &[2.0, 8.0]);
        assert_is(&a / 2.0, &[0.5, 2.0]);
        assert_is(&a / 2u64, &[0.5, 2.0]);
        assert_is(2.0 / a, &[2.0, 0.5]);
    }
}
