//! Linear layers, one for each group of rows: a product for each group.

use candle_core::Tensor as Value;

use super::buffer::Buffer;
use super::multiply;
use crate::Result;
use crate::fused::Groups;

const OP: &str = "grouped_linear";

/// A group that has rows.
struct Group {
    number: usize,
    first: usize,
    count: usize,
}

impl Groups {
    fn busy(&self) -> impl Iterator<Item = Group> + '_ {
        let groups = self.counts.iter().enumerate().scan(0, |next, (number, &count)| {
            let first = *next;
            *next += count;
            Some(Group { number, first, count })
        });
        groups.filter(|group| group.count > 0)
    }

    /// The matrix of a group.
    fn matrix(&self, weights: &[Value], group: usize) -> Result<Value> {
        let missing = || crate::Error::invalid(OP, "a group without a matrix");
        match self.transposed {
            true => Ok(weights.first().ok_or_else(missing)?.get(group)?),
            false => weights.get(group).cloned().ok_or_else(missing),
        }
    }
}

pub(crate) fn grouped_forward(
    work: &Groups,
    x: &Value,
    weights: &[Value],
    biases: &[Value],
) -> Result<Value> {
    let rows = x.dim(0)?;
    let mut y = Buffer::new(OP, x.device(), x.dtype(), rows * work.outputs)?;
    for Group { number, first, count } in work.busy() {
        let (x, matrix) = (x.narrow(0, first, count)?, work.matrix(weights, number)?);
        multiply(OP, (&x, false), (&matrix, !work.transposed), (&mut y, first * work.outputs), false)?;
    }
    let y = y.into_value(&[rows, work.outputs]);
    let Some(bias) = biases.first() else { return Ok(y) };
    if rows == 0 {
        return Ok(y);
    }
    let biases = if bias.rank() == 2 { bias.clone() } else { Value::stack(biases, 0)? };
    let groups = work.busy().flat_map(|group| std::iter::repeat_n(group.number as i64, group.count));
    let groups = Value::from_vec(groups.collect::<Vec<_>>(), rows, x.device())?;
    Ok((y + biases.index_select(&groups, 0)?)?)
}

pub(crate) fn grouped_input_gradient(work: &Groups, dy: &Value, weights: &[Value]) -> Result<Value> {
    let (rows, dy) = (dy.dim(0)?, dy.contiguous()?);
    let mut dx = Buffer::new(OP, dy.device(), dy.dtype(), rows * work.inputs)?;
    for Group { number, first, count } in work.busy() {
        let (dy, matrix) = (dy.narrow(0, first, count)?, work.matrix(weights, number)?);
        multiply(OP, (&dy, false), (&matrix, work.transposed), (&mut dx, first * work.inputs), false)?;
    }
    Ok(dx.into_value(&[rows, work.inputs]))
}

/// The gradient of each weight, in its layout; zero where a group has no rows.
pub(crate) fn grouped_weight_gradients(
    work: &Groups,
    x: &Value,
    dy: &Value,
    weights: &[Value],
) -> Result<Vec<Value>> {
    let zeros = |weight: &Value| Buffer::zeros(OP, x.device(), x.dtype(), weight.elem_count());
    let mut gradients = weights.iter().map(zeros).collect::<Result<Vec<_>>>()?;
    for Group { number, first, count } in work.busy() {
        let (x, dy) = (x.narrow(0, first, count)?, dy.narrow(0, first, count)?);
        let size = work.inputs * work.outputs;
        let (place, start) = if work.transposed { (0, number * size) } else { (number, 0) };
        let Some(gradient) = gradients.get_mut(place) else { continue };
        let (left, right) = if work.transposed { (&x, &dy) } else { (&dy, &x) };
        multiply(OP, (left, true), (right, false), (gradient, start), false)?;
    }
    Ok(gradients.into_iter().zip(weights).map(|(gradient, like)| gradient.into_value(like.dims())).collect())
}
