//! Describe your update rule, and name the paper that it is from.

use swift_plugin::prelude::*;

parameters! {
    /// Gradient descent with momentum (Polyak 1964).
    pub struct PluginName {
        /// Memory of earlier gradients.
        pub momentum: f64 = 0.9,
    }
}

impl Optimizer for PluginName {
    fn slots(&self, parameter: &OptimizedParameter) -> Vec<Slot> {
        vec![Slot::like(parameter, "momentum")]
    }

    /// `m = momentum * m + g`, then `p - rate * (m + decay * p)`.
    fn update(
        &self,
        parameter: &OptimizedParameter,
        value: &Tensor,
        gradient: &Tensor,
        slots: &[Tensor],
        step: &Step,
    ) -> Result<Update> {
        let [momentum] = slots else { bail!("there is one slot, not {}", slots.len()) };
        let momentum = momentum * self.momentum + gradient;
        let change = &momentum + value * parameter.weight_decay;
        Ok(Update { value: value - change * step.learning_rate, slots: vec![momentum] })
    }
}

export!(PluginName: Optimizer);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_remembers_the_gradient() {
        let vector = |x: f64| Tensor::from_list(&[x], &[1], Dtype::Float32);
        let parameter = OptimizedParameter { name: "w".into(), shape: vec![1], weight_decay: 0.0 };
        let step = Step { number: 2, learning_rate: 0.5 };
        let rule = PluginName { momentum: 0.5 };
        let update = rule.update(&parameter, &vector(1.0), &vector(2.0), &[vector(4.0)], &step).unwrap();
        assert_eq!(update.value.to_list().unwrap(), [1.0 - 0.5 * 4.0]);
        assert_eq!(update.slots[0].to_list().unwrap(), [4.0]);
    }
}
