//! Tensors: handles to arrays that the host owns.

use std::fmt;
use std::panic::Location;
use std::rc::Rc;

use crate::backend::{self, Handle, RawError};
use crate::{Error, Result};

pub use crate::bindings::host::tensor::Dtype;

/// A handle to an n-dimensional array that the host owns. Cheap to clone; nothing is copied into the plugin's memory.
///
/// Operations are eager and run on the host. Each is differentiable in its floating-point inputs unless it says "not
/// differentiable". Binary operations broadcast as NumPy does and want equal element types. A negative dimension counts
/// from the end. `+`, `-`, `*` and `/` work between tensors and with numbers.
///
/// **Errors travel with the value**, so that a formula reads like one: an operation that fails gives a tensor that holds
/// the error and the line of the plugin that caused it, and whatever is computed from that holds it too. The error comes
/// out wherever values do: of [`to_list`](Tensor::to_list), [`shape`](Tensor::shape), [`dtype`](Tensor::dtype),
/// [`check`](Tensor::check), and of everything that the plugin returns to the host.
#[derive(Clone)]
pub struct Tensor(Result<Rc<Handle>>);

/// Something that an operation takes as an argument, and how it is handed to the backend.
trait Argument {
    type Passed;
    fn pass(self) -> Result<Self::Passed>;
}

impl<'a> Argument for &'a Tensor {
    type Passed = &'a Handle;
    fn pass(self) -> Result<&'a Handle> {
        self.handle()
    }
}

impl Argument for Dtype {
    type Passed = backend::NativeDtype;
    fn pass(self) -> Result<Self::Passed> {
        Ok(backend::native_dtype(self))
    }
}

impl<'a, T> Argument for &'a [T] {
    type Passed = &'a [T];
    fn pass(self) -> Result<&'a [T]> {
        Ok(self)
    }
}

macro_rules! plain_arguments {
    ($($type:ty)*) => {$(
        impl Argument for $type {
            type Passed = $type;
            fn pass(self) -> Result<$type> {
                Ok(self)
            }
        }
    )*};
}
plain_arguments!(f64 i32 u64 bool);

/// What can stand on the other side of an operation: a tensor or a number.
pub trait Operand {
    /// As a tensor; a number becomes a scalar of the element type of `other`.
    fn operand(self, other: &Tensor) -> Tensor;
}

impl Operand for Tensor {
    fn operand(self, _: &Tensor) -> Tensor {
        self
    }
}

impl Operand for &Tensor {
    fn operand(self, _: &Tensor) -> Tensor {
        self.clone()
    }
}

impl Operand for f64 {
    #[track_caller]
    fn operand(self, other: &Tensor) -> Tensor {
        match other.dtype() {
            Ok(dtype) => Tensor::full(self, &[], dtype),
            Err(error) => Tensor::failed(error),
        }
    }
}

/// Defines methods from rows of documentation, name and arguments. The backend has a method of the same name.
macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*);)*) => {
        impl Tensor {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&self $(, $argument: $type)*) -> Self {
                Self::apply(Location::caller(), || Ok(self.handle()?.$name($($argument.pass()?),*)))
            }
        )*}
    };
}

/// As `operations!`, for methods whose only argument is a tensor or a number.
macro_rules! operations_with_operand {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        impl Tensor {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&self, rhs: impl Operand) -> Self {
                let rhs = rhs.operand(self);
                Self::apply(Location::caller(), || Ok(self.handle()?.$name(rhs.handle()?)))
            }
        )*}
    };
}

operations_with_operand! {
    /// The larger of the two; where they are equal each side gets half of the gradient.
    maximum;
    /// The smaller of the two; where they are equal each side gets half of the gradient.
    minimum;
    /// `a == b` as `uint8`, not differentiable.
    eq;
    /// `a > b` as `uint8`, not differentiable.
    gt;
    /// `a >= b` as `uint8`, not differentiable.
    ge;
    /// `a < b` as `uint8`, not differentiable.
    lt;
    /// `a <= b` as `uint8`, not differentiable.
    le;
}

operations! {
    /// `a` to the power `exponent`.
    pow(exponent: f64);
    /// Limits every element to `low ..= high`; the gradient is zero outside.
    clamp(low: f64, high: f64);
    /// `|a|`; gradient zero at zero.
    abs();
    /// `e` to the power `a`.
    exp();
    /// Natural logarithm.
    log();
    /// Square root.
    sqrt();
    /// Sine.
    sin();
    /// Cosine.
    cos();
    /// Hyperbolic tangent.
    tanh();
    /// `1 / (1 + e^-a)`.
    sigmoid();
    /// `log(sigmoid(a))`, exact for large negative `a`.
    log_sigmoid();
    /// `log(1 + e^a)`, exact for large `a`.
    softplus();
    /// `max(a, 0)`; gradient zero at zero.
    relu();
    /// Gaussian error linear unit, exact form: `a * (1 + erf(a / sqrt 2)) / 2`.
    gelu();
    /// Gaussian error linear unit, tanh approximation.
    gelu_tanh();
    /// `a * sigmoid(a)`.
    silu();

    /// Sum over `dims`; over everything when `dims` is empty. `keep` leaves a dimension of size one in their place.
    sum(dims: &[i32], keep: bool);
    /// Mean over `dims`; over everything when `dims` is empty.
    mean(dims: &[i32], keep: bool);
    /// Largest element along `dim`; ties share the gradient equally.
    max(dim: i32, keep: bool);
    /// Smallest element along `dim`; ties share the gradient equally.
    min(dim: i32, keep: bool);
    /// `log(sum(e^a))` along `dim`.
    logsumexp(dim: i32, keep: bool);
    /// `e^a / sum(e^a)` along `dim`.
    softmax(dim: i32);
    /// Logarithm of `softmax` along `dim`.
    log_softmax(dim: i32);
    /// Running sum along `dim`.
    cumsum(dim: i32);
    /// Index of the largest element along `dim`, the first of several; `int64`, not differentiable.
    argmax(dim: i32, keep: bool);
    /// Elements in order along the last dimension; equal elements keep their order.
    sort(descending: bool);
    /// The permutation that `sort` applies; `int64`, not differentiable.
    argsort(descending: bool);

    /// Matrix product `[.., m, k] x [.., k, n]`; leading dimensions broadcast.
    matmul(rhs: &Tensor);
    /// Elements along `dim` at `index`, which has as many dimensions as the tensor.
    gather(dim: i32, index: &Tensor);
    /// Whole slices along `dim` at a one-dimensional `index`.
    index_select(dim: i32, index: &Tensor);
    /// Where the mask (this tensor, `uint8`) is not zero `on_true`, elsewhere `on_false`.
    choose(on_true: &Tensor, on_false: &Tensor);
    /// `length` slices along `dim` from `start` on.
    narrow(dim: i32, start: u64, length: u64);
    /// The same elements in another shape; one size may be -1.
    reshape(shape: &[i64]);
    /// Exchanges two dimensions.
    transpose(first: i32, second: i32);
    /// Repeats dimensions of size one until the shape is `shape`.
    broadcast_to(shape: &[u64]);
    /// Converts to another element type; differentiable between floating-point types.
    cast(to: Dtype);

    /// Sums values `[n, ..]` into `[count, ..]` by `segments` `[n]` (`int64`, each below `count`).
    segment_sum(segments: &Tensor, count: u64);
    /// As `segment_sum`, divided by the size of each segment; an empty segment gives zero.
    segment_mean(segments: &Tensor, count: u64);
}

impl Tensor {
    /// A tensor of `shape` from `values` in row-major order.
    #[track_caller]
    pub fn from_list(values: &[f64], shape: &[u64], dtype: Dtype) -> Self {
        Self::made(Location::caller(), backend::from_list(values, shape, backend::native_dtype(dtype)))
    }

    /// Every element `value`.
    #[track_caller]
    pub fn full(value: f64, shape: &[u64], dtype: Dtype) -> Self {
        Self::made(Location::caller(), backend::full(value, shape, backend::native_dtype(dtype)))
    }

    /// `0, 1, .. count - 1` as `int64`.
    #[track_caller]
    pub fn arange(count: u64) -> Self {
        Self::made(Location::caller(), backend::arange(count))
    }

    /// Uniform in `low .. high`, from the run's seed: the same run draws the same numbers.
    #[track_caller]
    pub fn uniform(low: f64, high: f64, shape: &[u64], dtype: Dtype) -> Self {
        Self::made(Location::caller(), backend::uniform(low, high, shape, backend::native_dtype(dtype)))
    }

    /// Normal, from the run's seed.
    #[track_caller]
    pub fn normal(mean: f64, deviation: f64, shape: &[u64], dtype: Dtype) -> Self {
        Self::made(Location::caller(), backend::normal(mean, deviation, shape, backend::native_dtype(dtype)))
    }

    /// Joins along an existing dimension.
    #[track_caller]
    pub fn cat(tensors: &[&Self], dim: i32) -> Self {
        Self::apply(Location::caller(), || Ok(backend::cat(&handles(tensors)?, dim)))
    }

    /// Joins along a new dimension.
    #[track_caller]
    pub fn stack(tensors: &[&Self], dim: i32) -> Self {
        Self::apply(Location::caller(), || Ok(backend::stack(&handles(tensors)?, dim)))
    }

    /// Sum of all elements, a scalar.
    #[track_caller]
    pub fn sum_all(&self) -> Self {
        self.sum(&[], false)
    }

    /// Mean of all elements, a scalar.
    #[track_caller]
    pub fn mean_all(&self) -> Self {
        self.mean(&[], false)
    }

    /// As `float32`, if the element type is a narrower floating-point one.
    #[track_caller]
    pub fn at_least_float32(&self) -> Self {
        match self.dtype() {
            Ok(Dtype::Bfloat16 | Dtype::Float16) => self.cast(Dtype::Float32),
            _ => self.clone(),
        }
    }

    /// The same values, cut off from what they were computed from.
    #[track_caller]
    pub fn detach(&self) -> Self {
        Self::apply(Location::caller(), || Ok(backend::detach(self.handle()?)))
    }

    /// The size of each dimension; empty for a scalar.
    ///
    /// # Errors
    /// The error that the tensor holds, if an operation before failed.
    pub fn shape(&self) -> Result<Vec<u64>> {
        self.handle().map(backend::shape)
    }

    /// The element type.
    ///
    /// # Errors
    /// The error that the tensor holds, if an operation before failed.
    pub fn dtype(&self) -> Result<Dtype> {
        self.handle().and_then(backend::dtype)
    }

    /// All elements in row-major order. The only way in which data enters the plugin's memory; its length is limited.
    ///
    /// # Errors
    /// The error that the tensor holds, if an operation before failed; or if there are more elements than the limit.
    #[track_caller]
    pub fn to_list(&self) -> Result<Vec<f64>> {
        let location = Location::caller();
        self.handle()?.to_list().map_err(|error| backend::error(error, location))
    }

    /// The tensor itself, unless it holds an error.
    ///
    /// # Errors
    /// The error that the tensor holds, if an operation before failed.
    pub fn check(self) -> Result<Self> {
        self.handle()?;
        Ok(self)
    }

    pub(crate) fn handle(&self) -> Result<&Handle> {
        self.0.as_deref().map_err(Clone::clone)
    }

    pub(crate) fn new(handle: impl Into<Handle>) -> Self {
        Self(Ok(Rc::new(handle.into())))
    }

    pub(crate) fn failed(error: Error) -> Self {
        Self(Err(error))
    }

    /// The result of an operation of the backend that was asked for at `location`.
    pub(crate) fn made<T: Into<Handle>>(
        location: &'static Location<'static>,
        result: Result<T, RawError>,
    ) -> Self {
        result.map_or_else(|error| Self::failed(backend::error(error, location)), Self::new)
    }

    /// The result of an operation that may find an error in its inputs before it starts.
    pub(crate) fn apply<T: Into<Handle>>(
        location: &'static Location<'static>,
        operation: impl FnOnce() -> Result<Result<T, RawError>>,
    ) -> Self {
        operation().map_or_else(Self::failed, |result| Self::made(location, result))
    }

    /// The handle for the host to keep. One that something else still holds is not given away: the host makes another
    /// with the same value and the same gradient.
    #[cfg(target_family = "wasm")]
    #[track_caller]
    pub(crate) fn into_owned(self) -> Result<crate::bindings::host::tensor::Tensor> {
        let location = Location::caller();
        let again = |handle: &Handle| handle.add_scalar(0.0).map_err(|error| backend::error(error, location));
        match Rc::try_unwrap(self.0?) {
            Ok(Handle::Owned(tensor)) => Ok(tensor),
            Ok(lent) => again(&lent),
            Err(shared) => again(&shared),
        }
    }
}

fn handles<'a>(tensors: &[&'a Tensor]) -> Result<Vec<&'a Handle>> {
    tensors.iter().map(|tensor| tensor.handle()).collect()
}

impl From<&Tensor> for Tensor {
    fn from(tensor: &Tensor) -> Self {
        tensor.clone()
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.dtype(), self.shape()) {
            (Ok(dtype), Ok(shape)) => write!(f, "Tensor({dtype:?} {shape:?})"),
            (Err(error), _) | (_, Err(error)) => write!(f, "Tensor({error})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn tensor(values: &[f64]) -> Tensor {
        Tensor::from_list(values, &[values.len() as u64], Dtype::Float64)
    }

    #[test]
    fn an_error_travels_with_the_value_and_names_the_line_that_made_it() {
        let line = line!() + 1;
        let wrong = tensor(&[1.0, 2.0]) + tensor(&[1.0, 2.0, 3.0]);
        let later = (1.0 - wrong.exp()).sum_all().maximum(0.0);
        let error = later.to_list().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ShapeMismatch);
        assert!(error.message().contains("`add`"), "{error}");
        assert!(error.to_string().ends_with(&format!("tensor.rs:{line}")), "{error}");
        assert_eq!(later.shape().unwrap_err(), error);
        assert_eq!(later.clone().check().unwrap_err(), error);
        assert_eq!(Tensor::stack(&[&tensor(&[1.0]), &later], 0).to_list().unwrap_err(), error);
    }

    #[test]
    fn the_first_of_two_errors_is_kept() {
        let first = tensor(&[1.0]).reshape(&[3]);
        let second = tensor(&[1.0]).narrow(0, 5, 1);
        let expected = first.to_list().unwrap_err();
        assert_eq!((&first * &second).to_list().unwrap_err(), expected);
    }

    #[test]
    fn a_number_takes_the_element_type_of_the_tensor() {
        let a = tensor(&[-1.0, 2.0]).cast(Dtype::Float32);
        assert_eq!(a.maximum(0.0).dtype().unwrap(), Dtype::Float32);
        assert_eq!(a.gt(0.0).to_list().unwrap(), [0.0, 1.0]);
        assert_eq!(a.gt(0.0).dtype().unwrap(), Dtype::Uint8);
    }

    #[test]
    fn only_narrow_floating_point_numbers_are_widened() {
        let widened = |dtype| tensor(&[1.0]).cast(dtype).at_least_float32().dtype().unwrap();
        assert_eq!(widened(Dtype::Bfloat16), Dtype::Float32);
        assert_eq!(widened(Dtype::Float64), Dtype::Float64);
        assert_eq!(widened(Dtype::Int64), Dtype::Int64);
    }

    #[test]
    fn random_tensors_differ_from_each_other() {
        let draw = || Tensor::uniform(0.0, 1.0, &[4], Dtype::Float64).to_list().unwrap();
        assert_ne!(draw(), draw());
    }
}
