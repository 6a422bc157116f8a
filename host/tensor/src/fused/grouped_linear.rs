use candle_core::{CpuStorage, Storage, Tensor as Value};
use swift_kernels::grouped::{self, GroupedShape};

use super::{Linear, Weight, linear};
use crate::storage::{Real, make, not_on_cpu, on_device, read, with_real, zeros};
use crate::tape::record;
use crate::{Error, Result, Tensor, checks};

/// Linear layers, one for each group of rows.
#[derive(Clone, Debug)]
pub struct GroupedLinear {
    /// A matrix `[out, in]` for each group, or a single `[groups, in, out]`.
    pub weights: Vec<Weight>,
    /// None, `[out]` for each group, or a single `[groups, out]`.
    pub biases: Vec<Tensor>,
}

const OP: &str = "grouped_linear";

impl GroupedLinear {
    /// Groups, inputs, outputs, and whether matrices are `[in, out]`.
    fn sizes(&self, x: &Tensor, weights: &[&Tensor]) -> Result<(usize, usize, usize, bool)> {
        let Some(first) = weights.first() else {
            return Err(Error::invalid(OP, "there are no weights, so no row belongs anywhere"));
        };
        let (groups, inputs, outputs, stacked) = match (first.dims(), weights.len()) {
            (&[groups, inputs, outputs], 1) => (groups, inputs, outputs, true),
            (&[outputs, inputs], groups) => (groups, inputs, outputs, false),
            (dims, _) => return Err(Error::shapes(OP, x.dims(), dims)),
        };
        if let Some(other) = weights.iter().find(|weight| weight.dims() != first.dims()) {
            return Err(Error::shapes(OP, first.dims(), other.dims()));
        }
        if x.dims().len() != 2 || x.dims().last() != Some(&inputs) || groups.min(inputs).min(outputs) == 0 {
            return Err(Error::shapes(OP, x.dims(), first.dims()));
        }
        let one_each = self.biases.len() == groups && self.biases.iter().all(|bias| bias.dims() == [outputs]);
        let stacked_bias =
            self.biases.len() == 1 && self.biases.iter().all(|b| b.dims() == [groups, outputs]);
        if let Some(bias) = self.biases.first().filter(|_| !one_each && !stacked_bias) {
            return Err(Error::shapes(OP, first.dims(), bias.dims()));
        }
        for tensor in weights.iter().copied().chain(&self.biases) {
            checks::same_dtype(OP, x, tensor)?;
        }
        Ok((groups, inputs, outputs, stacked))
    }
}

/// The rows of each of `groups` groups, from the group of each row in ascending order.
///
/// # Errors
/// If a group is not below `groups`, or they are in another order.
pub fn group_counts(groups_of_rows: &Tensor, groups: usize) -> Result<Vec<usize>> {
    let indices = checks::indices(OP, groups_of_rows.value(), groups)?;
    if !indices.is_sorted() {
        return Err(Error::invalid(OP, "rows are not in the order of their groups"));
    }
    let mut counts = vec![0; groups];
    for index in indices {
        if let Some(count) = counts.get_mut(index as usize) {
            *count += 1;
        }
    }
    Ok(counts)
}

/// `x W[g]^T + b[g]` for each row of `x` `[rows, in]`, with the layer of the row's group `g`: `[rows, out]`. `groups` `[rows]`
/// are integers in ascending order. Each matrix is read once and none is copied.
///
/// # Errors
/// If shapes don't fit, there are no weights, or groups are out of order.
pub fn grouped_linear(x: &Tensor, layer: &GroupedLinear, groups: &Tensor) -> Result<Tensor> {
    let Some(dense) = layer.weights.iter().map(Weight::as_tensor).collect::<Option<Vec<_>>>() else {
        return group_by_group(x, layer, groups);
    };
    let (count, inputs, outputs, transposed) = layer.sizes(x, &dense)?;
    let rows = x.dims().first().copied().unwrap_or_default();
    checks::same_shape(OP, groups.dims(), &[rows])?;
    checks::admit(OP, &[rows, outputs])?;
    let counts = group_counts(groups, count)?;
    let x_value = x.value().contiguous()?;
    let values = |tensors: &[&Tensor]| -> Result<Vec<Value>> {
        tensors.iter().map(|tensor| Ok(tensor.value().contiguous()?)).collect()
    };
    let (weights, biases) = (values(&dense)?, values(&layer.biases.iter().collect::<Vec<_>>())?);
    let index = groups.value().clone();
    let stacked_bias = biases.len() == 1 && count != 1 || biases.iter().any(|bias| bias.rank() == 2);
    let operands: Vec<&Tensor> = [x].into_iter().chain(dense.iter().copied()).chain(&layer.biases).collect();
    let kept = dense.iter().any(|weight| weight.requires_grad()).then(|| x_value.clone());
    let work = Groups { counts, inputs, outputs, transposed };
    let y = on_device!(OP, x_value.device(),
        cpu: work.forward(&x_value, &weights, &biases),
        cuda: crate::cuda::grouped_forward(&work, &x_value, &weights, &biases),
    )?;
    record(OP, y, &operands, move |gradient, wanted| {
        let mut wanted = wanted.iter().copied();
        let mut results = Vec::with_capacity(1 + weights.len() + biases.len());
        results.push(match wanted.next() {
            Some(true) => Some(on_device!(OP, gradient.device(),
                cpu: work.input_gradient(gradient, &weights),
                cuda: crate::cuda::grouped_input_gradient(&work, gradient, &weights),
            )?),
            _ => None,
        });
        let wanted_weights: Vec<bool> = wanted.by_ref().take(weights.len()).collect();
        match kept.filter(|_| wanted_weights.contains(&true)) {
            Some(x) => {
                let gradients = on_device!(OP, gradient.device(),
                    cpu: work.weight_gradients(&x, gradient, &weights),
                    cuda: crate::cuda::grouped_weight_gradients(&work, &x, gradient, &weights),
                )?;
                results.extend(gradients.into_iter().map(Some));
            }
            None => results.extend(vec![None; weights.len()]),
        }
        if wanted.any(|wanted| wanted) {
            let sums = Tensor::constant(gradient.clone())
                .segment_sum(&Tensor::constant(index.to_dtype(candle_core::DType::I64)?), count as u64)?;
            if stacked_bias {
                results.push(Some(sums.value().clone()));
            } else {
                for group in 0..biases.len() {
                    results.push(Some(sums.value().get(group)?));
                }
            }
        }
        Ok(results)
    })
}

/// The rows of each group and the sizes of the layers; what they are applied to has been checked, and has no gaps.
pub(crate) struct Groups {
    pub(crate) counts: Vec<usize>,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    /// Whether matrices are `[in, out]`, all in one value.
    pub(crate) transposed: bool,
}

impl Groups {
    fn shape(&self) -> GroupedShape<'_> {
        let &Self { ref counts, inputs, outputs, transposed } = self;
        GroupedShape { counts, inputs, outputs, transposed }
    }

    fn forward(&self, x: &Value, weights: &[Value], biases: &[Value]) -> Result<Value> {
        let (rows, size) = (x.dim(0)?, self.inputs * self.outputs);
        with_real!(OP, x.dtype(), T => {
            let mut y = zeros::<T>(rows * self.outputs);
            add_biases::<T>(&mut y, biases, &self.counts, self.outputs)?;
            read::<T, _>(x, |x| lend::<T, _>(weights, size, |matrices| {
                Ok(grouped::forward(x, matrices, &self.shape(), &mut y, !biases.is_empty())?)
            }))?;
            make(y, &[rows, self.outputs])
        })
    }

    fn input_gradient(&self, dy: &Value, weights: &[Value]) -> Result<Value> {
        let (rows, size) = (dy.dim(0)?, self.inputs * self.outputs);
        with_real!(OP, dy.dtype(), T => {
            let mut dx = zeros::<T>(rows * self.inputs);
            read::<T, _>(dy, |dy| lend::<T, _>(weights, size, |matrices| {
                Ok(grouped::input_gradient(dy, matrices, &self.shape(), &mut dx)?)
            }))?;
            make(dx, &[rows, self.inputs])
        })
    }

    fn weight_gradients(&self, x: &Value, dy: &Value, weights: &[Value]) -> Result<Vec<Value>> {
        with_real!(OP, x.dtype(), T => weight_gradients::<T>(x, dy, &self.shape(), weights))
    }
}

/// The same by one linear layer after the other, for weights that are not all tensors.
fn group_by_group(x: &Tensor, layer: &GroupedLinear, groups: &Tensor) -> Result<Tensor> {
    let rows = x.dims().first().copied().unwrap_or_default();
    checks::same_shape(OP, groups.dims(), &[rows])?;
    let counts = group_counts(groups, layer.weights.len())?;
    let (mut start, mut pieces) = (0, Vec::with_capacity(counts.len()));
    for (group, (weight, count)) in layer.weights.iter().zip(counts).enumerate() {
        let layer = Linear { weight: weight.clone(), bias: layer.biases.get(group).cloned(), adapter: None };
        pieces.push(linear(&x.narrow(0, start, count as u64)?, &layer)?);
        start += count as u64;
    }
    crate::cat(&pieces.iter().collect::<Vec<_>>(), 0)
}

fn weight_gradients<T: Real>(
    x: &Value,
    dy: &Value,
    shape: &GroupedShape<'_>,
    weights: &[Value],
) -> Result<Vec<Value>> {
    let mut gradients: Vec<Vec<T>> =
        weights.iter().map(|weight| zeros::<T>(weight.elem_count())).collect();
    let size = shape.inputs * shape.outputs;
    let mut matrices: Vec<&mut [T]> =
        gradients.iter_mut().flat_map(|gradient| gradient.chunks_exact_mut(size)).collect();
    read::<T, _>(x, |x| read::<T, _>(dy, |dy| Ok(grouped::weight_gradients(x, dy, shape, &mut matrices)?)))?;
    gradients.into_iter().zip(weights).map(|(gradient, like)| make(gradient, like.dims())).collect()
}

/// Writes each row's bias to `y`.
fn add_biases<T: Real>(y: &mut [T], biases: &[Value], counts: &[usize], outputs: usize) -> Result<()> {
    if biases.is_empty() {
        return Ok(());
    }
    lend::<T, _>(biases, outputs, |biases| {
        let mut rows = y.chunks_exact_mut(outputs);
        for (&count, bias) in counts.iter().zip(biases) {
            rows.by_ref().take(count).for_each(|row| row.copy_from_slice(bias));
        }
        Ok(())
    })
}

/// Lends the elements of values without gaps, cut into parts of `size`.
fn lend<T: Real, R>(values: &[Value], size: usize, f: impl FnOnce(&[&[T]]) -> Result<R>) -> Result<R> {
    let guards: Vec<_> = values.iter().map(Value::storage_and_layout).collect();
    let mut parts = Vec::with_capacity(values.len());
    for (storage, layout) in &guards {
        let Storage::Cpu(storage) = &**storage else { return Err(not_on_cpu()) };
        let range = layout.contiguous_offsets().map(|(start, end)| start..end);
        let elements = range.and_then(|range| slice::<T>(storage)?.get(range));
        let elements = elements.ok_or_else(|| Error::invalid(OP, "the layout exceeds the storage"))?;
        parts.extend(elements.chunks_exact(size.max(1)));
    }
    f(&parts)
}

fn slice<T: Real>(storage: &CpuStorage) -> Option<&[T]> {
    storage.as_slice::<T>().ok()
}
