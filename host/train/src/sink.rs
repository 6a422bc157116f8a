use std::collections::BTreeMap;

use candle_core::{DType, Tensor as Value};
use swift_model::TrainableParameter;
use swift_runtime::Role;
use swift_tensor::{GradientSink, ParameterId, sums_of_squares};

use crate::{Error, Result};

/// Sums of gradients over the micro-batches of a window, in `float32`.
///
/// The gradients of one parameter are added in the order in which they come, which `backward` keeps the same, so the sums
/// do not depend on the number of threads.
pub struct Gradients {
    places: BTreeMap<ParameterId, usize>,
    slots: Vec<Slot>,
}

struct Slot {
    name: String,
    shape: Vec<usize>,
    /// Whether a loss may do without it: one that looks at hidden states has no use for the output projection.
    optional: bool,
    sum: Option<Value>,
}

impl Gradients {
    /// No gradients yet for `parameters`.
    pub fn new(parameters: &[TrainableParameter]) -> Self {
        let slot = |parameter: &TrainableParameter| Slot {
            name: parameter.name.clone(),
            shape: parameter.value.dims().to_vec(),
            optional: parameter.role == Role::Head,
            sum: None,
        };
        let places = parameters.iter().enumerate().map(|(place, parameter)| (parameter.id, place)).collect();
        Self { places, slots: parameters.iter().map(slot).collect() }
    }

    /// Forgets all gradients.
    pub fn clear(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.sum = None);
    }

    /// The sums, in the order of the parameters; none for an output projection that takes no part in the loss.
    ///
    /// # Errors
    /// [`Error::NoGradient`] if another parameter got none: it takes no part in the loss, and would silently stay as it is.
    pub fn sums(&self) -> Result<Vec<Option<&Value>>> {
        let missing = self.slots.iter().filter(|slot| slot.sum.is_none() && !slot.optional);
        let missing: Vec<String> = missing.map(|slot| slot.name.clone()).collect();
        match missing.split_first() {
            Some((name, more)) => Err(Error::NoGradient { name: name.clone(), more: more.len() }),
            None => Ok(self.slots.iter().map(|slot| slot.sum.as_ref()).collect()),
        }
    }

    /// The L2 norm of all gradients together, as `torch.nn.utils.clip_grad_norm_` gives it.
    ///
    /// # Errors
    /// As [`Self::sums`].
    pub fn norm(&self) -> Result<f64> {
        let squares = sums_of_squares(&self.sums()?.into_iter().flatten().collect::<Vec<_>>())?;
        Ok(squares.iter().sum::<f64>().sqrt())
    }

    /// The first parameter whose gradient is not finite.
    pub(crate) fn first_not_finite(&self) -> Option<&str> {
        let broken = |slot: &&Slot| {
            let squares = slot.sum.as_ref().and_then(|sum| sums_of_squares(&[sum]).ok());
            squares.is_some_and(|squares| squares.iter().any(|squares| !squares.is_finite()))
        };
        self.slots.iter().find(broken).map(|slot| slot.name.as_str())
    }
}

impl GradientSink for Gradients {
    fn accumulate(&mut self, id: ParameterId, gradient: &Value) -> swift_tensor::Result<()> {
        let slot = self.places.get(&id).and_then(|place| self.slots.get_mut(*place));
        let Some(slot) = slot else {
            return Err(swift_tensor::Error::invalid(
                "backward",
                format!("parameter {} is not trained", id.0),
            ));
        };
        if gradient.dims() != slot.shape {
            let (got, expected) = (gradient.dims().to_vec(), slot.shape.clone());
            return Err(swift_tensor::Error::GradientShape { id, got, expected });
        }
        let gradient = gradient.to_dtype(DType::F32)?;
        slot.sum = Some(match slot.sum.take() {
            None => gradient,
            Some(sum) => (sum + gradient)?,
        });
        Ok(())
    }
}

/// The factor on gradients of the norm `norm` that limits it to `max_norm`: `min(1, max_norm / (norm + 1e-6))`, as
/// PyTorch has it. 1 if `max_norm` is 0.
pub fn clip_factor(norm: f64, max_norm: f64) -> f64 {
    if max_norm > 0.0 { (max_norm / (norm + 1e-6)).min(1.0) } else { 1.0 }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use candle_core::Device;

    /// A trainable vector.
    pub(crate) fn parameter(id: u32, name: &str, elements: &[f32]) -> TrainableParameter {
        TrainableParameter {
            id: ParameterId(id),
            name: name.into(),
            value: Value::from_slice(elements, elements.len(), &Device::Cpu).unwrap(),
            role: Role::Column,
            weight_decay: true,
            adapter_b: false,
        }
    }

    fn vector(elements: &[f32]) -> Value {
        Value::from_slice(elements, elements.len(), &Device::Cpu).unwrap()
    }

    #[test]
    fn gradients_of_several_micro_batches_are_summed_without_touching_what_was_handed_in() {
        let mut gradients = Gradients::new(&[parameter(3, "a", &[0.0, 0.0]), parameter(1, "b", &[0.0])]);
        let shared = vector(&[3.0, 0.0]);
        gradients.accumulate(ParameterId(3), &shared).unwrap();
        gradients.accumulate(ParameterId(3), &vector(&[0.0, 4.0])).unwrap();
        gradients.accumulate(ParameterId(1), &vector(&[12.0])).unwrap();
        assert_eq!(gradients.sums().unwrap()[0].unwrap().to_vec1::<f32>().unwrap(), [3.0, 4.0]);
        assert_eq!(shared.to_vec1::<f32>().unwrap(), [3.0, 0.0]);
        assert_eq!(gradients.norm().unwrap(), 13.0);
    }

    #[test]
    fn the_norm_of_many_elements_does_not_lose_the_small_ones() {
        let mut elements = vec![1e-4f32; 1 << 20];
        elements[0] = 1e3;
        let mut gradients = Gradients::new(&[parameter(0, "a", &elements)]);
        gradients.accumulate(ParameterId(0), &vector(&elements)).unwrap();
        let expected = (1e6 + (elements.len() - 1) as f64 * f64::from(1e-4f32).powi(2)).sqrt();
        assert!((gradients.norm().unwrap() - expected).abs() < 1e-9);
    }

    #[test]
    fn a_parameter_without_a_gradient_is_named() {
        let mut gradients = Gradients::new(&[
            parameter(0, "a", &[0.0]),
            parameter(1, "b", &[0.0]),
            parameter(2, "c", &[0.0]),
        ]);
        gradients.accumulate(ParameterId(0), &vector(&[1.0])).unwrap();
        let error = gradients.norm().unwrap_err().to_string();
        assert_eq!(error, "The trainable parameter `b` (and 1 more) got no gradient");
        gradients.clear();
        assert!(gradients.norm().unwrap_err().to_string().contains("`a` (and 2 more)"));
    }

    #[test]
    fn a_gradient_of_another_shape_or_for_a_frozen_parameter_is_refused() {
        let mut gradients = Gradients::new(&[parameter(0, "a", &[0.0])]);
        assert!(gradients.accumulate(ParameterId(0), &vector(&[1.0, 2.0])).is_err());
        assert!(gradients.accumulate(ParameterId(9), &vector(&[1.0])).is_err());
    }

    #[test]
    fn clipping_scales_down_to_the_norm_and_never_up() {
        assert_eq!(clip_factor(0.5, 1.0), 1.0);
        assert_eq!(clip_factor(4.0, 1.0), 1.0 / 4.000001);
        assert_eq!(clip_factor(4.0, 0.0), 1.0);
    }
}
