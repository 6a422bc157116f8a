use std::sync::Arc;

use candle_core::{DType, Tensor as Value};
use swift_kernels::rope as kernel;

use crate::storage::{make, on_device, read, with_real, zeros};
use crate::tape::record;
use crate::{Error, Result, Tensor};

const OP: &str = "rope";

/// Cosines and sines of the rotation of each position: made once for a batch, used by every layer.
#[derive(Clone, Debug)]
pub struct RotaryTable {
    cos: Arc<[f32]>,
    sin: Arc<[f32]>,
    /// Cosines and sines for `float64`, the former first.
    wide: Option<[Arc<[f64]>; 2]>,
    /// Both where tensors are rotated on a device, once they have been.
    #[cfg(any(feature = "cuda", feature = "emulation"))]
    on_device: Arc<std::sync::OnceLock<[Value; 2]>>,
    pairs: usize,
    interleaved: bool,
}

impl RotaryTable {
    /// Angles are `position * inverse_frequencies[i]`; `scale` multiplies cosines and sines. Pairs are `(2i, 2i + 1)` if
    /// `interleaved`, else `(i, i + pairs)`. `dtype` is that of the tensors to rotate.
    pub fn new(
        inverse_frequencies: &[f64],
        positions: &[u32],
        scale: f64,
        interleaved: bool,
        dtype: DType,
    ) -> Self {
        let (cos, sin) = kernel::tables::<f32>(inverse_frequencies, positions, scale);
        let wide = (dtype == DType::F64).then(|| {
            let (cos, sin) = kernel::tables::<f64>(inverse_frequencies, positions, scale);
            [cos.into(), sin.into()]
        });
        Self {
            cos: cos.into(),
            sin: sin.into(),
            wide,
            #[cfg(any(feature = "cuda", feature = "emulation"))]
            on_device: Arc::default(),
            pairs: inverse_frequencies.len(),
            interleaved,
        }
    }

    /// Cosines and sines on the device of `like`, in the type that it is computed in.
    #[cfg(any(feature = "cuda", feature = "emulation"))]
    fn on_device_of(&self, like: &Value) -> Result<&[Value; 2]> {
        if let Some(there) = self.on_device.get() {
            return Ok(there);
        }
        let dims = (self.cos.len() / self.pairs.max(1), self.pairs);
        let made = match (crate::cuda::wide(like.dtype()), &self.wide) {
            (DType::F64, Some([cos, sin])) => {
                [cos, sin].map(|table| Value::from_slice(table, dims, like.device()))
            }
            _ => [&self.cos, &self.sin].map(|table| Value::from_slice(table, dims, like.device())),
        };
        let [cos, sin] = made;
        let made = [cos?, sin?];
        Ok(self.on_device.get_or_init(|| made))
    }
}

/// The table in the precision that an element type computes in.
trait Precision: Sized {
    fn pick(table: &RotaryTable) -> Option<(&[Self], &[Self])>;
}

impl Precision for f32 {
    fn pick(table: &RotaryTable) -> Option<(&[Self], &[Self])> {
        Some((&table.cos, &table.sin))
    }
}

impl Precision for f64 {
    fn pick(table: &RotaryTable) -> Option<(&[Self], &[Self])> {
        table.wide.as_ref().map(|[cos, sin]| (&**cos, &**sin))
    }
}

/// Rotary position embedding of `[tokens, heads, head_dim]` (Su et al. 2021). Components beyond the rotated pairs pass
/// through. The way back is the rotation by the opposite angle.
///
/// # Errors
/// If the shape does not fit the table.
pub fn rope(x: &Tensor, table: &RotaryTable) -> Result<Tensor> {
    let table = table.clone();
    let y = rotate(x.value(), &table, false)?;
    record(OP, y, &[x], move |gradient, _| Ok(vec![Some(rotate(gradient, &table, true)?)]))
}

fn rotate(x: &Value, table: &RotaryTable, inverse: bool) -> Result<Value> {
    let &[tokens, heads, head_dim] = x.dims() else {
        return Err(Error::invalid(OP, format!("shape {:?} is not [tokens, heads, head_dim]", x.dims())));
    };
    if 2 * table.pairs > head_dim || table.cos.len() != tokens * table.pairs {
        return Err(Error::shapes(OP, x.dims(), &[table.cos.len() / table.pairs.max(1), 2 * table.pairs]));
    }
    let shape = kernel::RopeShape { heads, head_dim, pairs: table.pairs };
    on_device!(OP, x.device(),
        cpu: turn(x, table, &shape, inverse),
        cuda: crate::cuda::rotate(x, &shape, table.on_device_of(x)?, table.interleaved, inverse),
    )
}

fn turn(x: &Value, table: &RotaryTable, shape: &kernel::RopeShape, inverse: bool) -> Result<Value> {
    with_real!(OP, x.dtype(), T => {
        let (cos, sin) = <<T as swift_kernels::Element>::Compute as Precision>::pick(table)
            .ok_or_else(|| Error::invalid(OP, "the table was made for another element type"))?;
        read::<T, _>(x, |elements| {
            let mut y = zeros::<T>(elements.len());
            kernel::rotate(elements, &mut y, shape, cos, sin, table.interleaved, inverse)?;
            make(y, x.dims())
        })
    })
}
