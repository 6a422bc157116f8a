use candle_core::{CpuStorage, DType, Device, InplaceOp1, Layout, Tensor as Value};
use swift_kernels::adamw::AdamWStep;
use swift_kernels_cuda::{ADAMW, AdamW, Address, SUM_OF_SQUARES, SumOfSquares};

use super::buffer::{Buffer, Operands, cpu_start};
use super::launch::{Grid, launch};
use crate::{Error, Result};

const OP: &str = "adamw";

/// One step, in place on the parameter, its master copy if it has one, and its moments.
pub(crate) fn adamw(
    parameter: &Value,
    gradient: &Value,
    [first, second]: [&mut Buffer; 2],
    master: Option<&mut Buffer>,
    step: &AdamWStep,
) -> Result<()> {
    let device = parameter.device();
    let gradient = gradient.contiguous()?;
    let factors = step.factors();
    let at = Operands { op: OP, device, dtype: parameter.dtype() };
    let arguments = AdamW {
        parameter: 0,
        master: master.map_or(Ok(0), Buffer::address)?,
        gradient: at.wide(&gradient)?,
        first: first.address()?,
        second: second.address()?,
        count: parameter.elem_count() as i64,
        gradient_scale: factors.gradient_scale,
        keep: factors.keep,
        towards_gradient: factors.towards_gradient,
        beta2: factors.beta2,
        towards_square: factors.towards_square,
        second_root: factors.second_root,
        epsilon: factors.epsilon,
        minus_step_size: factors.minus_step_size,
    };
    Ok(parameter.inplace_op1(&Update { device, arguments })?)
}

struct Update<'a> {
    device: &'a Device,
    arguments: AdamW,
}

impl Update<'_> {
    fn run(&self, start: Result<Address>, dtype: DType, layout: &Layout) -> Result<()> {
        if !matches!(dtype, DType::F32 | DType::BF16 | DType::F16) {
            return Err(Error::unsupported_dtype(OP, dtype));
        }
        let gaps = || Error::invalid(OP, "a parameter with gaps");
        let (first, _) = layout.contiguous_offsets().ok_or_else(gaps)?;
        let parameter = start? + (first * dtype.size_in_bytes()) as Address;
        let grid = Grid::elements(layout.shape().elem_count());
        launch(OP, self.device, (ADAMW, dtype), grid, &AdamW { parameter, ..self.arguments })
    }
}

impl InplaceOp1 for Update<'_> {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        use candle_core::backend::BackendStorage;
        let dtype = storage.dtype();
        self.run(cpu_start(storage), dtype, layout).map_err(candle_core::Error::wrap)
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &mut candle_core::CudaStorage, layout: &Layout) -> candle_core::Result<()> {
        use candle_core::backend::BackendStorage;
        let dtype = storage.dtype();
        self.run(super::buffer::cuda_start(storage), dtype, layout).map_err(candle_core::Error::wrap)
    }
}

/// The sum of squares of each of them, in `float64` and in a fixed order. All are read back at once.
pub(crate) fn sums_of_squares(all: &[&Value]) -> Result<Vec<f64>> {
    const OP: &str = "sum_of_squares";
    /// Elements of a block.
    const CHUNK: usize = 1 << 16;
    let Some(device) = all.first().map(|x| x.device()) else { return Ok(Vec::new()) };
    let chunks = |x: &Value| x.elem_count().div_ceil(CHUNK);
    let total = all.iter().map(|x| chunks(x)).sum();
    let mut sums = Buffer::new(OP, device, DType::F64, total)?;
    let mut first = 0;
    for x in all {
        let x = x.contiguous()?;
        let arguments = SumOfSquares {
            x: Operands { op: OP, device, dtype: x.dtype() }.stored(&x)?,
            sums: sums.address_of(first)?,
            count: x.elem_count() as i64,
            chunk: CHUNK as i64,
        };
        launch(OP, device, (SUM_OF_SQUARES, x.dtype()), Grid::blocks(chunks(&x), 1), &arguments)?;
        first += chunks(&x);
    }
    let sums = match total {
        0 => Vec::new(),
        _ => sums.into_value(&[total]).to_vec1::<f64>()?,
    };
    let mut sums = sums.into_iter();
    Ok(all.iter().map(|x| sums.by_ref().take(chunks(x)).sum()).collect())
}
