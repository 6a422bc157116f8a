//! Lion (Chen et al. 2023, "Symbolic discovery of optimization algorithms", program 1).

use swift_plugin::prelude::*;

parameters! {
    /// Lion: steps of equal size in the direction of a momentum's signs (Chen et al. 2023).
    pub struct Lion {
        /// Weight of the momentum in a step's direction.
        pub beta1: f64 = 0.9,
        /// Memory of the momentum.
        pub beta2: f64 = 0.99,
    }
}

impl Optimizer for Lion {
    fn slots(&self, parameter: &OptimizedParameter) -> Vec<Slot> {
        vec![Slot::like(parameter, "exp_avg")]
    }

    /// `p - rate * (sign(beta1 m + (1 - beta1) g) + decay * p)`, then `m = beta2 m + (1 - beta2) g`.
    fn update(
        &self,
        parameter: &OptimizedParameter,
        value: &Tensor,
        gradient: &Tensor,
        slots: &[Tensor],
        step: &Step,
    ) -> Result<Update> {
        let [momentum] = slots else { bail!("there is one slot, not {}", slots.len()) };
        let direction = sign(&(momentum * self.beta1 + gradient * (1.0 - self.beta1)));
        let change = direction + value * parameter.weight_decay;
        let momentum = momentum * self.beta2 + gradient * (1.0 - self.beta2);
        Ok(Update { value: value - change * step.learning_rate, slots: vec![momentum] })
    }
}

/// -1, 0 or 1.
fn sign(x: &Tensor) -> Tensor {
    x.gt(0.0).cast(Dtype::Float32) - x.lt(0.0).cast(Dtype::Float32)
}

export!(Lion: Optimizer);

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(values: &[f64]) -> Tensor {
        Tensor::from_list(values, &[values.len() as u64], Dtype::Float32)
    }

    #[test]
    fn it_moves_by_signs_and_remembers_the_gradient() {
        let lion = Lion { beta1: 0.5, beta2: 0.75 };
        let parameter = OptimizedParameter { name: "w".into(), shape: vec![3], weight_decay: 0.5 };
        let slots = lion.slots(&parameter);
        assert_eq!(
            (slots.len(), slots[0].name.as_str(), slots[0].shape.as_slice()),
            (1, "exp_avg", &[3][..])
        );
        let (value, momentum) = (vector(&[1.0, 2.0, -4.0]), vector(&[1.0, -1.0, 0.0]));
        let gradient = vector(&[-3.0, 0.5, 0.0]);
        let step = Step { number: 1, learning_rate: 0.25 };
        let update = lion.update(&parameter, &value, &gradient, &[momentum], &step).unwrap();
        let expected = [1.0 - 0.25 * (-1.0 + 0.5), 2.0 - 0.25 * (-1.0 + 1.0), -4.0 - 0.25 * -2.0];
        assert_eq!(update.value.to_list().unwrap(), expected);
        assert_eq!(update.slots[0].to_list().unwrap(), [0.0, -0.625, 0.0]);
    }
}
