use std::sync::Arc;

use candle_core::{DType, Tensor as Value};
use swift_kernels::rope as kernel;

use crate::storage::{make, read, with_real, zeros};
use crate::tape::record;
use crate::{Error, Result, Tensor};

/// Cosines and sines of the rotation of each position: made once for a batch, used by every layer.
#[derive(Clone, Debug)]
pub struct RotaryTable {
    cos: Arc<[f32]>,
    sin: Arc<[f32]>,
    /// Cosines and sines for `float64`, the former first.
    wide: Option<[Arc<[f64]>; 2]>,
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
        Self { cos: cos.into(), sin: sin.into(), wide, pairs: inverse_frequencies.len(), interleaved }
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
    record("rope", y, &[x], move |gradient, _| Ok(vec![Some(rotate(gradient, &table, true)?)]))
}

fn rotate(x: &Value, table: &RotaryTable, inverse: bool) -> Result<Value> {
    const OP: &str = "rope";
    let &[tokens, heads, head_dim] = x.dims() else {
        return Err(Error::invalid(OP, format!("shape {:?} is not [tokens, heads, head_dim]", x.dims())));
    };
    if 2 * table.pairs > head_dim || table.cos.len() != tokens * table.pairs {
        return Err(Error::shapes(OP, x.dims(), &[table.cos.len() / table.pairs.max(1), 2 * table.pairs]));
    }
    let shape = kernel::RopeShape { heads, head_dim, pairs: table.pairs };
    with_real!(OP, x.dtype(), T => {
        let (cos, sin) = <<T as swift_kernels::Element>::Compute as Precision>::pick(table)
            .ok_or_else(|| Error::invalid(OP, "the table was made for another element type"))?;
        read::<T, _>(x, |elements| {
            let mut y = zeros::<T>(elements.len());
            kernel::rotate(elements, &mut y, &shape, cos, sin, table.interleaved, inverse)?;
            make(y, x.dims())
        })
    })
}
