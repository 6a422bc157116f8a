//! Describe how your learning rate changes.

use swift_plugin::prelude::*;

parameters! {
    /// A learning rate that falls along a power of what is left of the run.
    pub struct PluginName {
        /// The power: 1 falls in a straight line.
        pub power: f64 = 2.0,
    }
}

impl Schedule for PluginName {
    /// `(1 - step / max_steps)^power`. The warm-up is the trainer's.
    fn factor(&self, step: u64, max_steps: u64) -> Result<f64> {
        Ok((1.0 - step as f64 / max_steps as f64).powf(self.power))
    }
}

export!(PluginName: Schedule);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_falls_from_one_to_zero() {
        let factor = |step| PluginName::default().factor(step, 4).unwrap();
        assert_eq!([0, 2, 4].map(factor), [1.0, 0.25, 0.0]);
    }
}
