use std::path::Path;

use candle_core::{DType, Tensor as Value};
use swift_model::TrainableParameter;
use swift_runtime::OptimizedParameter;
use swift_tensor::Tensor;

use super::{MASTER, Optimizer};
use crate::tensor_file::{TensorFile, write_vectors};
use crate::{Error, Result, TrainerOptions, UpdateRule};

/// An update rule over all trainable parameters, one after the other.
pub(crate) struct RuleOptimizer {
    rule: Box<dyn UpdateRule>,
    parameters: Vec<Parameter>,
    steps: u64,
}

struct Parameter {
    about: OptimizedParameter,
    value: Value,
    /// A copy in `float32` of a value in lower precision.
    master: Option<Value>,
    slots: Vec<Slot>,
    rate_factor: f64,
}

struct Slot {
    name: String,
    value: Value,
}

impl RuleOptimizer {
    /// The optimiser before the first step.
    ///
    /// # Errors
    /// If the rule fails, or a parameter can't be read.
    pub(crate) fn new(
        mut rule: Box<dyn UpdateRule>,
        parameters: &[TrainableParameter],
        options: &TrainerOptions,
    ) -> Result<Self> {
        let parameter = |parameter: &TrainableParameter| {
            let value = parameter.value.clone();
            let about = OptimizedParameter {
                name: parameter.name.clone(),
                shape: value.dims().iter().map(|&size| size as u64).collect(),
                weight_decay: if parameter.weight_decay { options.weight_decay } else { 0.0 },
            };
            let slot = |slot: swift_runtime::OptimizerSlot| {
                let shape: Vec<usize> = slot.shape.iter().map(|&size| size as usize).collect();
                if slot.name == MASTER {
                    let message = "keeps a slot `master`, which is the name of something else";
                    return Err(Error::setting("plugin", message));
                }
                let elements = checked_count(&slot.shape)?;
                let value = Value::from_vec(vec![0f32; elements], shape, value.device())?;
                Ok(Slot { name: slot.name, value })
            };
            let slots = rule.slots(&about)?.into_iter().map(slot).collect::<Result<_>>()?;
            let master = (value.dtype() != DType::F32).then(|| value.to_dtype(DType::F32)).transpose()?;
            let rate_factor = options.lorap_lr_ratio.filter(|_| parameter.adapter_b).unwrap_or(1.0);
            Ok(Parameter { about, value, master, slots, rate_factor })
        };
        let parameters = parameters.iter().map(parameter).collect::<Result<_>>()?;
        Ok(Self { rule, parameters, steps: 0 })
    }
}

/// Elements of a slot, if it is not larger than any tensor may be.
fn checked_count(shape: &[u64]) -> Result<usize> {
    Ok(swift_tensor::full(0.0, shape, DType::F32)?.elem_count())
}

impl Parameter {
    fn step(
        &mut self,
        rule: &mut dyn UpdateRule,
        gradient: &Value,
        (number, learning_rate, scale): (u64, f64, f64),
    ) -> Result<()> {
        // A copy, since the rule may keep it in a slot, and the value is about to be overwritten.
        let value = Tensor::constant(self.master.as_ref().unwrap_or(&self.value).copy()?);
        let gradient = Tensor::constant(if scale == 1.0 { gradient.clone() } else { (gradient * scale)? });
        let slots: Vec<Tensor> = self.slots.iter().map(|slot| Tensor::constant(slot.value.clone())).collect();
        let rate = learning_rate * self.rate_factor;
        let (value, slots) = rule.update(&self.about, &value, &gradient, &slots, number, rate)?;
        for (slot, new) in self.slots.iter_mut().zip(slots) {
            slot.value = new.value().contiguous()?;
        }
        let new = value.value().contiguous()?;
        self.value.slice_set(&new.to_dtype(self.value.dtype())?, 0, 0)?;
        if let Some(master) = &mut self.master {
            *master = new;
        }
        Ok(())
    }

    /// What is kept between steps, by the ends of their names.
    fn kept(&mut self) -> impl Iterator<Item = (String, &mut Value)> {
        let master = self.master.iter_mut().map(|value| (MASTER.to_owned(), value));
        let slots = self.slots.iter_mut().map(|slot| (slot.name.clone(), &mut slot.value));
        let name = &self.about.name;
        slots.chain(master).map(move |(end, value)| (format!("{name}.{end}"), value))
    }
}

impl Optimizer for RuleOptimizer {
    fn step(&mut self, gradients: &[Option<&Value>], learning_rate: f64, scale: f64) -> Result<()> {
        self.steps += 1;
        for (parameter, gradient) in self.parameters.iter_mut().zip(gradients) {
            if let Some(gradient) = gradient {
                parameter.step(&mut *self.rule, gradient, (self.steps, learning_rate, scale))?;
            }
        }
        Ok(())
    }

    fn save(&mut self, path: &Path) -> Result<()> {
        let kept = self.parameters.iter_mut().flat_map(Parameter::kept);
        let elements = |(name, value): (String, &mut Value)| Ok((name, value.flatten_all()?.to_vec1()?));
        let kept: Vec<(String, Vec<f32>)> = kept.map(elements).collect::<Result<_>>()?;
        write_vectors(path, &kept.iter().map(|(name, x)| (name.clone(), x.as_slice())).collect::<Vec<_>>())
    }

    fn restore(&mut self, path: &Path, steps: u64) -> Result<()> {
        let mut file = TensorFile::open(path)?;
        for (name, value) in self.parameters.iter_mut().flat_map(Parameter::kept) {
            let elements = file.vector(&name, value.elem_count())?;
            *value = Value::from_vec(elements, value.shape(), value.device())?;
        }
        self.steps = steps;
        Ok(())
    }
}
