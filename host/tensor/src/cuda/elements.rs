//! Sums and products that broadcast, copies, conversions and rows of a table: with candle's kernels, sizes and steps of what is not
//! contiguous would go to the device by a copy of their own, which waits for the host and can't be part of a graph.

use candle_core::{DType, Device, Tensor as Value};
use half::{bf16, f16};
use swift_kernels_cuda::{CONVERT, Convert, STRIDED, Steps, Strided, TAKE_ROWS, TakeRows};

use super::buffer::{Buffer, Operands};
use super::launch::{Grid, launch};
use super::unary_forward;
use crate::ops::Join;
use crate::{Error, HostNumbers, Result};

/// The elements without gaps, as `Value::contiguous` gives them.
pub(crate) fn contiguous(x: &Value) -> Result<Value> {
    if x.is_contiguous() {
        return Ok(x.clone());
    }
    let Some(plan) = Plan::new([x, x], x.dims()) else { return Ok(x.contiguous()?) };
    let mut y = Buffer::new("copy", x.device(), x.dtype(), x.elem_count())?;
    plan.run("copy", Join::First, [x, x], &mut y, 0)?;
    Ok(y.into_value(x.dims()))
}

/// Two operands of one type, element by element, where they broadcast to `dims`; none if there is no kernel for them.
pub(crate) fn joined(
    op: &'static str,
    join: Join,
    a: &Value,
    b: &Value,
    dims: &[usize],
) -> Result<Option<Value>> {
    let [wide_a, wide_b] = [a.broadcast_as(dims)?, b.broadcast_as(dims)?];
    let Some(plan) = Plan::new([&wide_a, &wide_b], dims) else { return Ok(None) };
    let mut y = Buffer::new(op, a.device(), a.dtype(), dims.iter().product())?;
    plan.run(op, join, [&wide_a, &wide_b], &mut y, 0)?;
    Ok(Some(y.into_value(dims)))
}

/// `a + b`, where `b` broadcasts to the shape of `a`.
pub(crate) fn sum(op: &'static str, a: &Value, b: &Value) -> Result<Value> {
    joined(op, Join::Sum, a, b, a.dims())?.map_or_else(|| Ok(a.broadcast_add(b)?), Ok)
}

/// `scale`, `add_scalar` or `full` of each element, by a number that is rounded to the element type first, as candle does it.
pub(crate) fn with_number(op: &'static str, x: &Value, number: f64) -> Result<Value> {
    let rounded = match x.dtype() {
        DType::BF16 => bf16::from_f64(number).to_f64(),
        DType::F16 => f16::from_f64(number).to_f64(),
        _ => number,
    };
    unary_forward(op, [rounded, 0.0], x)
}

/// Values of one type, one after the other along `dim`, as `Value::cat` joins them.
pub(crate) fn cat(op: &'static str, values: &[Value], dim: usize) -> Result<Value> {
    let plans =
        values.iter().map(|value| Plan::new([value, value], value.dims())).collect::<Option<Vec<_>>>();
    let (Some(plans), Some(first)) = (plans, values.first()) else { return Ok(Value::cat(values, dim)?) };
    let mut dims = first.dims().to_vec();
    let total = values.iter().map(|value| value.dim(dim)).sum::<candle_core::Result<usize>>()?;
    if let Some(size) = dims.get_mut(dim) {
        *size = total;
    }
    let inner: usize = dims.iter().skip(dim + 1).product();
    let mut y = Buffer::new(op, first.device(), first.dtype(), dims.iter().product())?;
    let mut start = 0;
    for (plan, value) in plans.into_iter().zip(values) {
        plan.into(&dims).run(op, Join::First, [value, value], &mut y, start * inner)?;
        start += value.dim(dim)?;
    }
    Ok(y.into_value(&dims))
}

/// `x` in another type, as `Value::to_dtype` gives it.
pub(crate) fn converted(op: &'static str, x: &Value, to: DType) -> Result<Value> {
    let number =
        |dtype| [DType::F32, DType::F64, DType::BF16, DType::F16].iter().position(|&known| known == dtype);
    let narrow = |dtype| matches!(dtype, DType::BF16 | DType::F16);
    // Between the widest and the narrow ones there would be two roundings.
    let twice = [(x.dtype(), to), (to, x.dtype())].iter().any(|&(a, b)| a == DType::F64 && narrow(b));
    let (Some(_), Some(number), false) = (number(x.dtype()), number(to), twice || x.dtype() == to) else {
        return Ok(x.to_dtype(to)?);
    };
    let (device, count, x) = (x.device(), x.elem_count(), contiguous(x)?);
    let mut y = Buffer::new(op, device, to, count)?;
    let at = Operands { op, device, dtype: x.dtype() };
    let arguments = Convert { x: at.stored(&x)?, y: y.address()?, count: count as i64, to: number as i64 };
    launch(op, device, (CONVERT, x.dtype()), Grid::elements(count), &arguments)?;
    Ok(y.into_value(x.dims()))
}

/// Rows of a table `[rows, ..]`, by numbers that were looked at on the host.
pub(crate) fn take_rows(op: &'static str, table: &Value, numbers: &HostNumbers<u32>) -> Result<Value> {
    let (device, table) = (table.device(), contiguous(table)?);
    let mut dims = table.dims().to_vec();
    let width = dims.iter().skip(1).product::<usize>();
    let count = numbers.host().len();
    if let Some(size) = dims.first_mut() {
        *size = count;
    }
    let mut y = Buffer::new(op, device, table.dtype(), count * width)?;
    let arguments = TakeRows {
        table: Operands { op, device, dtype: table.dtype() }.stored(&table)?,
        numbers: Operands { op, device, dtype: DType::U32 }.stored(numbers.on(op, device)?)?,
        y: y.address()?,
        width: width as i64,
    };
    launch(op, device, (TAKE_ROWS, table.dtype()), Grid::blocks(count, 1), &arguments)?;
    Ok(y.into_value(&dims))
}

/// Writes `from` where `to` is, a value of the same size and type without gaps.
pub(crate) fn copy_into(op: &'static str, from: &Value, to: &Value) -> Result<()> {
    let at = Operands { op, device: to.device(), dtype: from.dtype() };
    if from.dims() != to.dims() {
        return Err(Error::shapes(op, from.dims(), to.dims()));
    }
    let Some(plan) = Plan::new([from, from], from.dims()) else {
        return Err(Error::unsupported_dtype(op, from.dtype()));
    };
    let address = at.stored(to)?;
    plan.launch(op, Join::First, [from, from], address)
}

/// The way through two operands of the same shape, and through a result.
struct Plan {
    device: Device,
    dtype: DType,
    count: usize,
    sizes: Vec<usize>,
    /// Of the operands and the result.
    steps: [Vec<usize>; 3],
}

impl Plan {
    /// None for what the kernel does not know: other types than floating-point ones, and what is larger or has more dimensions.
    fn new([a, b]: [&Value; 2], dims: &[usize]) -> Option<Self> {
        let mut dense = vec![1; dims.len()];
        for d in (1..dims.len()).rev() {
            if let (Some(&step), Some(&size)) = (dense.get(d), dims.get(d))
                && let Some(before) = dense.get_mut(d - 1)
            {
                *before = step * size;
            }
        }
        let (dtype, count) = (a.dtype(), dims.iter().product());
        let known = matches!(dtype, DType::F32 | DType::F64 | DType::BF16 | DType::F16) && b.dtype() == dtype;
        let steps = [a.stride().to_vec(), b.stride().to_vec(), dense];
        let fits = dims.len() <= Steps::default().len() && count <= i32::MAX as usize;
        (known && fits).then(|| Self {
            device: a.device().clone(),
            dtype,
            count,
            sizes: dims.to_vec(),
            steps,
        })
    }

    /// The same into a result that is larger along one dimension.
    fn into(mut self, dims: &[usize]) -> Self {
        let mut step = 1;
        for (place, size) in self.steps[2].iter_mut().zip(dims).rev() {
            *place = step;
            step *= size;
        }
        self
    }

    /// Joins neighbouring dimensions that each operand goes through as if they were one.
    fn joined(&self) -> (Vec<usize>, [Vec<usize>; 3]) {
        let mut sizes: Vec<usize> = Vec::new();
        let mut steps: [Vec<usize>; 3] = Default::default();
        for (d, &size) in self.sizes.iter().enumerate().filter(|(_, size)| **size != 1) {
            let mine = self.steps.each_ref().map(|steps| steps.get(d).copied().unwrap_or_default());
            let before = steps.each_ref().map(|steps| steps.last().copied());
            let follows = before.iter().zip(mine).all(|(before, step)| *before == Some(step * size));
            match sizes.last_mut().filter(|_| follows) {
                Some(last) => *last *= size,
                None => sizes.push(size),
            }
            for (all, step) in steps.iter_mut().zip(mine) {
                if follows {
                    all.pop();
                }
                all.push(step);
            }
        }
        (sizes, steps)
    }

    /// Writes to the elements of `y` from `first` on.
    fn run(
        self,
        op: &'static str,
        join: Join,
        operands: [&Value; 2],
        y: &mut Buffer,
        first: usize,
    ) -> Result<()> {
        let address = y.address_of(first)?;
        self.launch(op, join, operands, address)
    }

    fn launch(self, op: &'static str, join: Join, [a, b]: [&Value; 2], result: u64) -> Result<()> {
        let (sizes, [a_steps, b_steps, result_steps]) = self.joined();
        let all = |numbers: &[usize]| {
            let mut all = Steps::default();
            all.iter_mut().zip(numbers).for_each(|(all, &number)| *all = number as i64);
            all
        };
        let at = Operands { op, device: &self.device, dtype: self.dtype };
        let arguments = Strided {
            a: at.first(a)?,
            b: at.first(b)?,
            result,
            count: self.count as i64,
            operation: join as i64,
            rank: sizes.len() as i64,
            sizes: all(&sizes),
            a_steps: all(&a_steps),
            b_steps: all(&b_steps),
            result_steps: all(&result_steps),
        };
        launch(op, &self.device, (STRIDED, self.dtype), Grid::elements(self.count), &arguments)
    }
}
