//! A loss that misbehaves in the way it is told, for the tests of what the host makes of it.

use swift_plugin::prelude::*;

parameters! {
    /// A loss that misbehaves in the way it is told.
    pub struct Hostile {
        /// `panic`, `loop`, `memory`, `tensors`, `shape`, `nan` or `error`.
        pub behaviour: String = "panic".to_owned(),
    }
}

#[expect(clippy::panic, reason = "what the host makes of a panic is tested")]
impl Loss for Hostile {
    fn compute(&self, _batch: &Batch, policy: &Outputs, _reference: Option<&Outputs>) -> Result<Report> {
        let logps = policy.token_logps()?;
        match self.behaviour.as_str() {
            "loop" => loop {
                std::hint::black_box(());
            },
            "memory" => {
                let mut hoard = Vec::new();
                loop {
                    hoard.push(vec![1u8; 1 << 20]);
                    std::hint::black_box(&hoard);
                }
            }
            "tensors" => Ok(Report::new(Tensor::full(1.0, &[1 << 40], Dtype::Float32).sum_all())),
            "shape" => Ok(Report::new(logps)),
            "nan" => Ok(Report::new((logps.sum_all() - 1e30).log())),
            "error" => bail!("there is nothing to learn here"),
            _ => panic!("I was told to panic"),
        }
    }
}

export!(Hostile: Loss);
