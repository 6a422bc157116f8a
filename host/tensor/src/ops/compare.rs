//! Comparisons; their results are masks and have no gradient.

use candle_core::Tensor as Value;

use crate::tape::record_constant;
use crate::{Result, Tensor, checks};

macro_rules! compare {
    ($($(#[$doc:meta])* $name:ident => $candle:ident;)*) => {
        impl Tensor {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// If shapes don't broadcast or element types differ.
            pub fn $name(&self, rhs: &Self) -> Result<Self> {
                const OP: &str = stringify!($name);
                checks::same_dtype(OP, self, rhs)?;
                checks::broadcast(OP, self.dims(), rhs.dims())?;
                record_constant(OP, Value::$candle(self.value(), rhs.value())?, &[self, rhs])
            }
        )*}
    };
}

compare! {
    /// `a == b` as `uint8`; not differentiable.
    eq => broadcast_eq;
    /// `a > b` as `uint8`; not differentiable.
    gt => broadcast_gt;
    /// `a >= b` as `uint8`; not differentiable.
    ge => broadcast_ge;
    /// `a < b` as `uint8`; not differentiable.
    lt => broadcast_lt;
    /// `a <= b` as `uint8`; not differentiable.
    le => broadcast_le;
}
