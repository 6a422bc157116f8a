//! One linear layer with an adapter on it.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use swift_tensor::fused::{
    Addition, Dropout, GroupedLinear, Linear, LowRank, LowRankRows, Way, Weight, dropout, grouped_linear,
    head_linear, linear, row_norms,
};
use swift_tensor::{DType, ParameterId, Tensor, Value};

use super::target::{Member, Module};

/// What PEFT calls `A`.
pub(crate) const A: &str = "lora_A.weight";
/// What PEFT calls `B`.
pub(crate) const B: &str = "lora_B.weight";
/// What PEFT calls the magnitudes.
pub(crate) const MAGNITUDE: &str = "lora_magnitude_vector";

/// The adapter of one linear layer. With `W` the frozen weight `[out, in]` and `s` the scale:
///
/// - LoRA: `y = x W^T + b + s * dropout(x) A^T B^T`;
/// - DoRA: `y = (x W^T + s * x A^T B^T) * m / n + b`, where `n` are the norms of the rows of `W + s B A`, a constant on the
///   way back (section 4.3 of the paper). With dropout, PEFT sends the dropped input through both products but lets the
///   base layer's own output, from the full input, stand: `y = x W^T + b + (m / n - 1) * x' W^T + m / n * s * x' A^T B^T`.
///
/// A stack of layers has the matrices of all of them in one, as PEFT's `ParamWrapper` has: `A` `[layers * rank, in]` layer by
/// layer, and `B` `[out, rank * layers]` whose columns are those of all layers for each of the ranks in turn.
pub(crate) struct Layer {
    module: Module,
    matrices: Matrices,
    scale: f64,
    /// The id of `A`; those of `B` and the magnitudes follow.
    first_id: u32,
    /// The norms of the rows of `W + s B A`, until a parameter changes.
    norms: Mutex<Option<Tensor>>,
}

/// What is trained.
pub(crate) struct Matrices {
    /// `[rank, in]`.
    pub(crate) a: Value,
    /// `[out, rank]`.
    pub(crate) b: Value,
    /// `[out]`; only DoRA has it.
    pub(crate) magnitude: Option<Value>,
}

impl Layer {
    /// The adapter of `module`. Its parameters get the ids from `first_id` on, at most three.
    pub(crate) fn new(module: Module, matrices: Matrices, scale: f64, first_id: u32) -> Self {
        Self { module, matrices, scale, first_id, norms: Mutex::default() }
    }

    /// The layer it is on.
    pub(crate) fn module(&self) -> &Module {
        &self.module
    }

    /// Its parameters with their ids and the ends of their names.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (ParameterId, &'static str, &Value)> {
        let Matrices { a, b, magnitude } = &self.matrices;
        let values = [(A, Some(a)), (B, Some(b)), (MAGNITUDE, magnitude.as_ref())];
        let ids = (self.first_id..).map(ParameterId);
        ids.zip(values).filter_map(|(id, (name, value))| Some((id, name, value?)))
    }

    /// The layer's output for `x` `[.., in]`.
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        weight: Weight,
        bias: Option<Tensor>,
        trainable: bool,
        dropped: Option<Dropout>,
    ) -> swift_tensor::Result<Tensor> {
        let Matrices { a, b, magnitude } = &self.matrices;
        let leaf = |value: &Value, offset| match trainable {
            true => Tensor::parameter(value.clone(), ParameterId(self.first_id + offset)),
            false => Tensor::constant(value.clone()),
        };
        let low_rank = |dropout| LowRank { a: leaf(a, 0), b: leaf(b, 1), scale: self.scale, dropout };
        let Some(magnitude) = magnitude else {
            return linear(x, &Linear { weight, bias, adapter: Some(low_rank(dropped)) });
        };
        let ratio = leaf(magnitude, 2).div(&self.norms(&weight, x.dtype())?)?;
        let plain = Linear { weight: weight.clone(), bias: None, adapter: None };
        let adapted = Linear { weight, bias: None, adapter: Some(low_rank(None)) };
        let mut y = match dropped {
            None => linear(x, &adapted)?.cast(ratio.dtype())?.mul(&ratio)?,
            Some(dropped) => {
                let kept = dropout(x, dropped)?;
                let rest = linear(&x.sub(&kept)?, &plain)?;
                linear(&kept, &adapted)?.cast(ratio.dtype())?.mul(&ratio)?.add(&rest.cast(ratio.dtype())?)?
            }
        };
        if let Some(bias) = bias {
            y = y.add(&bias.cast(ratio.dtype())?)?;
        }
        y.cast(x.dtype())
    }

    /// What a stack adds to `x` `[rows, in]`, where `groups` `[rows]` say through which of its layers each row goes; of its outputs
    /// maybe only some.
    pub(crate) fn stacked_addition(
        &self,
        x: &Tensor,
        groups: &Tensor,
        outputs: Option<&Range<usize>>,
        trainable: bool,
    ) -> swift_tensor::Result<Tensor> {
        let leaf = |value: &Value, offset| match trainable {
            true => Tensor::parameter(value.clone(), ParameterId(self.first_id + offset)),
            false => Tensor::constant(value.clone()),
        };
        let [a, mut b] = self.stacks(&leaf(&self.matrices.a, 0), &leaf(&self.matrices.b, 1))?;
        if let Some(outputs) = outputs {
            b = b.narrow(2, outputs.start as u64, outputs.len() as u64)?;
        }
        let product = |x: &Tensor, stack: Tensor| {
            let layer = GroupedLinear { weights: vec![stack.cast(x.dtype())?.into()], biases: vec![] };
            grouped_linear(x, &layer, groups)
        };
        product(&product(x, a)?, b)?.scale(self.scale)
    }

    /// `A` as `[layers, in, rank]` and `B` as `[layers, rank, out]`.
    fn stacks(&self, a: &Tensor, b: &Tensor) -> swift_tensor::Result<[Tensor; 2]> {
        let Module { inputs, outputs, .. } = self.module;
        let layers = self.module.layers() as i64;
        let a = a.reshape(&[layers, -1, inputs as i64])?.transpose(1, 2)?;
        let b = b.reshape(&[outputs as i64, -1, layers])?.transpose(0, 2)?;
        Ok([a, b])
    }

    /// The matrices of one layer of a stack, `[rank, in]` and `[out, rank]`, as constants.
    fn of_stack(&self, layer: usize) -> swift_tensor::Result<[Tensor; 2]> {
        let constant = |value: &Value| Tensor::constant(value.clone());
        let stacks = self.stacks(&constant(&self.matrices.a), &constant(&self.matrices.b))?;
        let [a, b] = stacks.map(|stack| stack.narrow(0, layer as u64, 1));
        let flat = |stack: Tensor| {
            stack.transpose(1, 2)?.reshape(&[stack.dims().get(2).map_or(0, |&n| n as i64), -1])
        };
        Ok([flat(a?)?, flat(b?)?])
    }

    /// What layer `layer` of a stack adds to some neighbouring rows; of its outputs maybe only some.
    pub(crate) fn stacked_rows(
        &self,
        layer: usize,
        outputs: Option<&Range<usize>>,
        start: usize,
        count: usize,
    ) -> swift_tensor::Result<LowRankRows> {
        let [a, mut b] = self.of_stack(layer)?;
        if let Some(outputs) = outputs {
            b = b.narrow(0, outputs.start as u64, outputs.len() as u64)?;
        }
        Ok(LowRankRows { start, count, a, b, scale: self.scale })
    }

    /// The low-rank product on some neighbouring rows, if that is all that the adapter does.
    pub(crate) fn low_rank_rows(&self, start: usize, count: usize, trainable: bool) -> Option<LowRankRows> {
        let Matrices { a, b, magnitude: None } = &self.matrices else { return None };
        let leaf = |value: &Value, offset| match trainable {
            true => Tensor::parameter(value.clone(), ParameterId(self.first_id + offset)),
            false => Tensor::constant(value.clone()),
        };
        Some(LowRankRows { start, count, a: leaf(a, 0), b: leaf(b, 1), scale: self.scale })
    }

    /// What the adapter adds to a layer's output for `x` `[rows, in]`, `s * x A^T B^T`, if that is all it does.
    pub(crate) fn addition(&self, x: &Tensor) -> swift_tensor::Result<Option<Tensor>> {
        let Matrices { a, b, magnitude: None } = &self.matrices else { return Ok(None) };
        let product = |x: &Tensor, matrix: &Value| {
            let weight = Tensor::constant(matrix.clone()).cast(x.dtype())?.into();
            linear(x, &Linear { weight, bias: None, adapter: None })
        };
        Ok(Some(product(&product(x, a)?, b)?.scale(self.scale)?))
    }

    /// [`head_linear`] with the weight `W + s B A`, or what DoRA makes of it.
    pub(crate) fn head_linear(
        &self,
        x: &Tensor,
        weight: &Tensor,
        rows: Range<usize>,
        way: Way,
    ) -> swift_tensor::Result<Tensor> {
        let Matrices { a, b, magnitude } = &self.matrices;
        let constant = |matrix: &Value| Tensor::constant(matrix.clone()).cast(x.dtype());
        if magnitude.is_some() {
            return head_linear(x, &constant(&self.merged(weight.value(), None)?)?, rows, way);
        }
        let (a, b) = (constant(a)?, constant(b)?);
        let through = |x: &Tensor, weight: Tensor| {
            linear(x, &Linear { weight: weight.into(), bias: None, adapter: None })
        };
        let addition = match way {
            Way::Forth => head_linear(&through(x, a)?, &b, rows.clone(), way)?,
            Way::Back => through(&head_linear(x, &b, rows.clone(), way)?, a.transpose(0, 1)?)?,
        };
        head_linear(x, weight, rows, way)?.add(&addition.scale(self.scale)?)
    }

    /// The weight `[out, in]` that does alone what `weight` and the adapter do together: `W + s B A`, for DoRA with each row
    /// times `m / n`, and for a stack `[layers, in, out]` with the transpose of the product of each layer. Of a stack that the model has
    /// apart, it is that of one of its weights. It is formed in the adapter's element type.
    pub(crate) fn merged(&self, weight: &Value, member: Option<&Member>) -> swift_tensor::Result<Value> {
        let Matrices { a, b, magnitude } = &self.matrices;
        let constant = |value: &Value| Tensor::constant(value.clone());
        let addition = match (member, self.module.stack) {
            (Some(Member { layer, outputs }), _) => {
                let LowRankRows { a, b, .. } = self.stacked_rows(*layer, Some(outputs), 0, 0)?;
                b.matmul(&a)?
            }
            (None, None) => constant(b).matmul(&constant(a))?,
            (None, Some(_)) => {
                let [a, b] = self.stacks(&constant(a), &constant(b))?;
                a.matmul(&b)?
            }
        };
        let addition = addition.scale(self.scale)?;
        let sum = constant(weight).cast(a.dtype())?.add(&addition)?;
        let merged = match magnitude {
            None => sum,
            Some(magnitude) => {
                let addition = Addition { a, b, scale: self.scale };
                let norms = Tensor::constant(row_norms(weight, Some(&addition))?).cast(a.dtype())?;
                sum.mul(&constant(magnitude).div(&norms)?.reshape(&[-1, 1])?)?
            }
        };
        Ok(merged.value().clone())
    }

    /// The norms of the rows of `W + s B A`, `[out]`, with `W` in `dtype` if it is quantised.
    pub(crate) fn norms(&self, weight: &Weight, dtype: DType) -> swift_tensor::Result<Tensor> {
        let mut norms = self.norms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(norms) = &*norms {
            return Ok(norms.clone());
        }
        let Matrices { a, b, .. } = &self.matrices;
        let weight = weight.to_tensor(dtype)?;
        let made = row_norms(weight.value(), Some(&Addition { a, b, scale: self.scale }))?;
        let made = Tensor::constant(made).cast(a.dtype())?;
        Ok(norms.insert(made).clone())
    }

    /// Forgets what was derived from the parameters.
    pub(crate) fn parameters_changed(&self) {
        *self.norms.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The element type of adapters: `float32`, unless the model itself is more precise.
pub(crate) fn adapter_dtype(model: DType) -> DType {
    if model == DType::F64 { DType::F64 } else { DType::F32 }
}
