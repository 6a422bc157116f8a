use std::borrow::Cow;
use std::path::Path;

use candle_core::Tensor as Value;
use swift_model::TrainableParameter;
use swift_tensor::{AdamW, AdamWState, Numbers, adamw_step};

use super::{MASTER, Optimizer};
use crate::tensor_file::{TensorFile, write_vectors};
use crate::{Result, TrainerOptions};

/// AdamW over all trainable parameters.
pub(crate) struct AdamWOptimizer {
    constants: AdamW,
    slots: Vec<Slot>,
    steps: u64,
}

struct Slot {
    name: String,
    value: Value,
    state: AdamWState,
    weight_decay: f64,
    rate_factor: f64,
}

impl AdamWOptimizer {
    /// The optimiser before the first step.
    ///
    /// # Errors
    /// If a parameter can't be read.
    pub(crate) fn new(parameters: &[TrainableParameter], options: &TrainerOptions) -> Result<Self> {
        let slot = |parameter: &TrainableParameter| {
            Ok(Slot {
                name: parameter.name.clone(),
                value: parameter.value.clone(),
                state: AdamWState::new(&parameter.value)?,
                weight_decay: if parameter.weight_decay { options.weight_decay } else { 0.0 },
                rate_factor: options.lorap_lr_ratio.filter(|_| parameter.adapter_b).unwrap_or(1.0),
            })
        };
        let slots = parameters.iter().map(slot).collect::<Result<_>>()?;
        Ok(Self { constants: options.adam, slots, steps: 0 })
    }
}

impl Optimizer for AdamWOptimizer {
    fn step(&mut self, gradients: &[Option<&Value>], learning_rate: f64, scale: f64) -> Result<()> {
        self.steps += 1;
        for (slot, gradient) in self.slots.iter_mut().zip(gradients) {
            let Some(gradient) = gradient else { continue };
            let rate = learning_rate * slot.rate_factor;
            let (value, state) = (&slot.value, &mut slot.state);
            adamw_step(value, gradient, state, rate, slot.weight_decay, self.steps, scale, &self.constants)?;
        }
        Ok(())
    }

    fn save(&mut self, path: &Path) -> Result<()> {
        let mut vectors: Vec<(String, Cow<'_, [f32]>)> = Vec::new();
        for Slot { name, state, .. } in &self.slots {
            let AdamWState { first_moment, second_moment, master } = state;
            let kept =
                [(FIRST, Some(first_moment)), (SECOND, Some(second_moment)), (MASTER, master.as_ref())];
            for (end, numbers) in kept {
                if let Some(numbers) = numbers {
                    vectors.push((format!("{name}.{end}"), numbers.to_host()?));
                }
            }
        }
        write_vectors(path, &vectors.iter().map(|(name, x)| (name.clone(), &**x)).collect::<Vec<_>>())
    }

    fn restore(&mut self, path: &Path, steps: u64) -> Result<()> {
        let mut file = TensorFile::open(path)?;
        for slot in &mut self.slots {
            let mut read = |end: &str, now: &Numbers| -> Result<Numbers> {
                let elements = file.vector(&format!("{}.{end}", slot.name), now.len())?;
                Ok(Numbers::new(&slot.value, elements)?)
            };
            slot.state = AdamWState {
                first_moment: read(FIRST, &slot.state.first_moment)?,
                second_moment: read(SECOND, &slot.state.second_moment)?,
                master: slot.state.master.as_ref().map(|now| read(MASTER, now)).transpose()?,
            };
        }
        self.steps = steps;
        Ok(())
    }
}

const FIRST: &str = "exp_avg";
const SECOND: &str = "exp_avg_sq";

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use swift_model::TrainableParameter;

    use super::*;
    use crate::sink::tests::parameter;

    /// The published update rule, in `f64`.
    struct Reference {
        p: f64,
        m: f64,
        v: f64,
    }

    impl Reference {
        fn step(&mut self, g: f64, rate: f64, decay: f64, t: i32, constants: &AdamW) {
            let AdamW { beta1, beta2, epsilon } = *constants;
            self.p -= rate * decay * self.p;
            self.m = beta1 * self.m + (1.0 - beta1) * g;
            self.v = beta2 * self.v + (1.0 - beta2) * g * g;
            let (m, v) = (self.m / (1.0 - beta1.powi(t)), self.v / (1.0 - beta2.powi(t)));
            self.p -= rate * m / (v.sqrt() + epsilon);
        }
    }

    fn gradient(step: u64, place: usize) -> f32 {
        ((step * 7 + place as u64 * 3) % 11) as f32 / 5.0 - 1.0
    }

    fn take_steps(optimizer: &mut AdamWOptimizer, counts: &[usize], steps: std::ops::Range<u64>) {
        for step in steps {
            let gradients: Vec<Value> = counts
                .iter()
                .map(|&count| {
                    let elements: Vec<f32> = (0..count).map(|place| gradient(step, place)).collect();
                    Value::from_vec(elements, count, &Device::Cpu).unwrap()
                })
                .collect();
            optimizer
                .step(&gradients.iter().map(Some).collect::<Vec<_>>(), 1e-2 / (step + 1) as f64, 0.5)
                .unwrap();
        }
    }

    #[test]
    fn groups_differ_in_weight_decay_and_learning_rate() {
        let start = [0.5f32, -2.0, 3.0];
        let plain = parameter(0, "a", &start);
        let norm = TrainableParameter { weight_decay: false, ..parameter(1, "norm", &start) };
        let b = TrainableParameter { adapter_b: true, ..parameter(2, "b", &start) };
        let options = TrainerOptions { lorap_lr_ratio: Some(16.0), ..TrainerOptions::default() };
        let parameters = [plain, norm, b];
        let mut optimizer = AdamWOptimizer::new(&parameters, &options).unwrap();
        take_steps(&mut optimizer, &[3, 3, 3], 0..5);
        for (parameter, (decay, factor)) in parameters.iter().zip([(0.1, 1.0), (0.0, 1.0), (0.1, 16.0)]) {
            let got = parameter.value.to_vec1::<f32>().unwrap();
            for (place, got) in got.into_iter().enumerate() {
                let mut expected = Reference { p: f64::from(start[place]), m: 0.0, v: 0.0 };
                for step in 0..5 {
                    let g = 0.5 * f64::from(gradient(step, place));
                    let rate = factor * 1e-2 / (step + 1) as f64;
                    expected.step(g, rate, decay, step as i32 + 1, &options.adam);
                }
                let difference = (f64::from(got) - expected.p).abs();
                assert!(difference < 2e-6, "{} {place}: {got} instead of {}", parameter.name, expected.p);
            }
        }
    }

    #[test]
    fn a_restored_optimiser_goes_on_bit_by_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("optimizer.safetensors");
        let brain = |id, name: &str, start: &[f32]| {
            let mut parameter = parameter(id, name, start);
            parameter.value = parameter.value.to_dtype(DType::BF16).unwrap();
            parameter
        };
        let (start, options) = ([1.0f32, 2.0, -3.0, 0.1], TrainerOptions::default());
        let whole = [parameter(0, "a", &start), brain(1, "b", &start)];
        let mut optimizer = AdamWOptimizer::new(&whole, &options).unwrap();
        take_steps(&mut optimizer, &[4, 4], 0..3);
        optimizer.save(&path).unwrap();
        let at_save: Vec<Value> = whole.iter().map(|parameter| parameter.value.copy().unwrap()).collect();
        take_steps(&mut optimizer, &[4, 4], 3..6);

        let resumed: Vec<TrainableParameter> = whole
            .iter()
            .zip(at_save)
            .map(|(parameter, value)| TrainableParameter { value, ..parameter.clone() })
            .collect();
        let mut optimizer = AdamWOptimizer::new(&resumed, &options).unwrap();
        optimizer.restore(&path, 3).unwrap();
        take_steps(&mut optimizer, &[4, 4], 3..6);
        for (whole, resumed) in whole.iter().zip(&resumed) {
            let bits = |parameter: &TrainableParameter| {
                let value = parameter.value.to_dtype(DType::F32).unwrap();
                value.to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect::<Vec<_>>()
            };
            assert_eq!(bits(whole), bits(resumed));
        }
    }

    #[test]
    fn the_state_of_other_parameters_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("optimizer.safetensors");
        let options = TrainerOptions::default();
        AdamWOptimizer::new(&[parameter(0, "a", &[1.0])], &options).unwrap().save(&path).unwrap();
        let mut other = AdamWOptimizer::new(&[parameter(0, "b", &[1.0])], &options).unwrap();
        assert!(other.restore(&path, 1).unwrap_err().to_string().contains("`b.exp_avg`"));
    }
}
