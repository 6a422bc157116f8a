//! Functions of one element: a table of formula and derivative, computed in `float32` for types of 16 bits.

use candle_core::Tensor as Value;
use num_traits::{Float, FloatConst, NumCast};
use rayon::prelude::*;

use crate::storage::{make, on_device, read, with_real, zeros};
use crate::tape::record;
use crate::{Result, Tensor, checks};

/// What the formulas are written in.
pub(crate) trait Math: Float + FloatConst + Send + Sync + 'static {
    fn erf(self) -> Self;
    fn constant(value: f64) -> Self {
        <Self as NumCast>::from(value).unwrap_or_else(Self::nan)
    }
    fn sigmoid(self) -> Self {
        // Only ever raises e to a negative power, so that nothing overflows.
        let e = (-self.abs()).exp();
        if self >= Self::zero() { Self::one() / (Self::one() + e) } else { e / (Self::one() + e) }
    }
    fn softplus(self) -> Self {
        self.max(Self::zero()) + (-self.abs()).exp().ln_1p()
    }
}

impl Math for f32 {
    fn erf(self) -> Self {
        libm::erff(self)
    }
}

impl Math for f64 {
    fn erf(self) -> Self {
        libm::erf(self)
    }
}

/// An element type with formulas.
pub(crate) trait Real: crate::storage::Real<Compute: Math> {}

impl<T: crate::storage::Real<Compute: Math>> Real for T {}

/// Elements that one task works on.
const CHUNK: usize = 1 << 14;

/// `f` of each element.
pub(crate) fn map<T: Real>(x: &Value, f: impl Fn(T::Compute) -> T::Compute + Sync) -> Result<Value> {
    read::<T, _>(x, |input| {
        let mut output = zeros::<T>(input.len());
        output.par_chunks_mut(CHUNK).zip(input.par_chunks(CHUNK)).for_each(|(output, input)| {
            for (y, x) in output.iter_mut().zip(input) {
                *y = T::store(f(x.load()));
            }
        });
        make(output, x.dims())
    })
}

/// `f` of each pair of elements of two tensors of one shape.
pub(crate) fn map2<T: Real>(
    a: &Value,
    b: &Value,
    f: impl Fn(T::Compute, T::Compute) -> T::Compute + Sync,
) -> Result<Value> {
    read::<T, _>(a, |lhs| {
        read::<T, _>(b, |rhs| {
            let mut output = zeros::<T>(lhs.len());
            let inputs = lhs.par_chunks(CHUNK).zip(rhs.par_chunks(CHUNK));
            output.par_chunks_mut(CHUNK).zip(inputs).for_each(|(output, (lhs, rhs))| {
                for (y, (a, b)) in output.iter_mut().zip(lhs.iter().zip(rhs)) {
                    *y = T::store(f(a.load(), b.load()));
                }
            });
            make(output, a.dims())
        })
    })
}

/// Defines methods from rows of: documentation, name, `x -> y`, `(x, y) -> dy/dx`.
macro_rules! unary {
    ($($(#[$doc:meta])* $name:ident: |$x:ident| $forward:expr, |$dx:ident, $dy:ident| $derivative:expr;)*) => {
        impl Tensor {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// If the element type is not a floating-point one.
            pub fn $name(&self) -> Result<Self> {
                fn forward<C: Math>($x: C) -> C {
                    $forward
                }
                fn derivative<C: Math>($dx: C, $dy: C) -> C {
                    $derivative
                }
                const OP: &str = stringify!($name);
                let y = on_device!(OP, self.value().device(),
                    cpu: with_real!(OP, self.dtype(), T => map::<T>(self.value(), forward)),
                    cuda: crate::cuda::unary_forward(OP, [0.0; 2], self.value()),
                )?;
                let x = self.value().clone();
                let kept = y.clone();
                record(OP, y, &[self], move |gradient, _| {
                    let dx = on_device!(OP, x.device(),
                        cpu: {
                            let slope = with_real!(OP, x.dtype(), T => map2::<T>(&x, &kept, derivative))?;
                            Ok::<_, crate::Error>((gradient * slope)?)
                        },
                        cuda: crate::cuda::unary_backward(OP, [0.0; 2], [&x, &kept, gradient]),
                    )?;
                    Ok(vec![Some(dx)])
                })
            }
        )*}
    };
}

unary! {
    /// `-x`.
    neg: |x| -x, |_x, _y| -C::one();
    /// `|x|`; gradient zero at zero.
    abs: |x| x.abs(), |x, _y| if x == C::zero() { x } else { x.signum() };
    /// `e^x`.
    exp: |x| x.exp(), |_x, y| y;
    /// Natural logarithm.
    log: |x| x.ln(), |x, _y| x.recip();
    /// Square root.
    sqrt: |x| x.sqrt(), |_x, y| C::constant(0.5) / y;
    /// Sine.
    sin: |x| x.sin(), |x, _y| x.cos();
    /// Cosine.
    cos: |x| x.cos(), |x, _y| -x.sin();
    /// Hyperbolic tangent.
    tanh: |x| x.tanh(), |_x, y| C::one() - y * y;
    /// `1 / (1 + e^-x)`.
    sigmoid: |x| x.sigmoid(), |_x, y| y * (C::one() - y);
    /// `log(sigmoid(x))`, exact for large negative `x`.
    log_sigmoid: |x| -(-x).softplus(), |x, _y| (-x).sigmoid();
    /// `log(1 + e^x)`, exact for large `x`.
    softplus: |x| x.softplus(), |x, _y| x.sigmoid();
    /// `max(x, 0)`; gradient zero at zero.
    relu: |x| if x > C::zero() || x.is_nan() { x } else { C::zero() }, |x, _y| if x > C::zero() { C::one() } else { C::zero() };
    /// Gaussian error linear unit, exact form: `x (1 + erf(x / sqrt 2)) / 2` (Hendrycks and Gimpel 2016).
    gelu: |x| C::constant(0.5) * x * (C::one() + (x * C::FRAC_1_SQRT_2()).erf()),
        |x, _y| C::constant(0.5) * (C::one() + (x * C::FRAC_1_SQRT_2()).erf())
            + x * (-C::constant(0.5) * x * x).exp() * C::FRAC_2_SQRT_PI() * C::FRAC_1_SQRT_2() * C::constant(0.5);
    /// Gaussian error linear unit, tanh approximation (Hendrycks and Gimpel 2016).
    gelu_tanh: |x| C::constant(0.5) * x * (C::one() + gelu_inner(x).tanh()),
        |x, _y| {
            let t = gelu_inner(x).tanh();
            let slope = C::FRAC_2_SQRT_PI() * C::FRAC_1_SQRT_2() * (C::one() + C::constant(3.0 * 0.044_715) * x * x);
            C::constant(0.5) * (C::one() + t + x * (C::one() - t * t) * slope)
        };
    /// `x sigmoid(x)`.
    silu: |x| x * x.sigmoid(), |x, _y| x.sigmoid() * (C::one() + x * (C::one() - x.sigmoid()));
}

/// `sqrt(2 / pi) (x + 0.044715 x^3)`.
fn gelu_inner<C: Math>(x: C) -> C {
    C::FRAC_2_SQRT_PI() * C::FRAC_1_SQRT_2() * (x + C::constant(0.044_715) * x * x * x)
}

impl Tensor {
    /// `x^exponent`.
    ///
    /// # Errors
    /// If the element type is not a floating-point one.
    pub fn pow(&self, exponent: f64) -> Result<Self> {
        self.with_slope(
            "pow",
            [exponent, 0.0],
            move |x| x.powf(exponent),
            move |x| if exponent == 0.0 { 0.0 } else { exponent * x.powf(exponent - 1.0) },
        )
    }

    /// Limits every element to `low ..= high`; the gradient is zero outside.
    ///
    /// # Errors
    /// If `low > high` or either is NaN, or the element type is not a floating-point one.
    pub fn clamp(&self, low: f64, high: f64) -> Result<Self> {
        if low.is_nan() || high.is_nan() || low > high {
            return Err(crate::Error::invalid("clamp", format!("limits {low} and {high} are not in order")));
        }
        self.with_slope(
            "clamp",
            [low, high],
            move |x| x.clamp(low, high),
            move |x| if (low..=high).contains(&x) { 1.0 } else { 0.0 },
        )
    }

    /// A function with parameters, computed in `float64`. `numbers` are the parameters, for a body that does not call `f`.
    fn with_slope(
        &self,
        op: &'static str,
        numbers: [f64; 2],
        f: impl Fn(f64) -> f64 + Sync,
        slope: impl Fn(f64) -> f64 + Sync + Send + 'static,
    ) -> Result<Self> {
        checks::want_float(op, self.value())?;
        let through = move |x: &Value, f: &(dyn Fn(f64) -> f64 + Sync)| -> Result<Value> {
            with_real!(op, x.dtype(), T => map::<T>(x, |x| {
                Math::constant(f(num_traits::ToPrimitive::to_f64(&x).unwrap_or(f64::NAN)))
            }))
        };
        let y = on_device!(op, self.value().device(),
            cpu: { let _ = numbers; through(self.value(), &f) },
            cuda: crate::cuda::unary_forward(op, numbers, self.value()),
        )?;
        let x = self.value().clone();
        record(op, y, &[self], move |gradient, _| {
            let dx = on_device!(op, x.device(),
                cpu: Ok::<_, crate::Error>((gradient * through(&x, &slope)?)?),
                cuda: crate::cuda::unary_backward(op, numbers, [&x, &x, gradient]),
            )?;
            Ok(vec![Some(dx)])
        })
    }
}
