//! Runs whose gradients are computed in `float16`.

use std::fs;
use std::sync::Arc;

use swift_runtime::{BatchView, LossReport, OutputsView, Requirements};
use swift_tensor::DType;
use swift_train::{Loss, Result, When};

use crate::losses::NegativeLogLikelihood;
use crate::support::{Setup, steps};

/// The usual loss, times a number.
struct Times(f64);

impl Loss for Times {
    fn requirements(&self) -> Requirements {
        NegativeLogLikelihood.requirements()
    }

    fn compute(
        &mut self,
        batch: Arc<dyn BatchView>,
        policy: Arc<dyn OutputsView>,
        reference: Option<Arc<dyn OutputsView>>,
    ) -> Result<LossReport> {
        let report = NegativeLogLikelihood.compute(batch, policy, reference)?;
        Ok(LossReport { loss: report.loss.scale(self.0)?, ..report })
    }
}

/// A run whose log has a line for each step.
fn setup(dtype: DType) -> Setup {
    let mut setup = Setup::new();
    setup.dtype = dtype;
    setup.options.max_steps = Some(steps(8));
    setup.options.save = When::Steps(steps(4));
    setup
}

fn column(setup: &Setup, name: &str) -> Vec<f64> {
    setup.log().iter().filter_map(|line| line.get(name)?.as_f64()).collect()
}

#[test]
fn gradients_that_float16_could_not_hold_are_those_of_float32() {
    // Whether all weights are trained or an adapter of them.
    for adapter_dropout in [None, Some(0.0)] {
        let [wide, narrow] = [DType::F32, DType::F16].map(|dtype| {
            let mut setup = setup(dtype);
            setup.adapter_dropout = adapter_dropout;
            let heard = setup.run_with(Times(1e-7), Vec::new(), None);
            heard.0.unwrap();
            assert!(heard.1.iter().all(|heard| !heard.contains("overflowed")), "{:?}", heard.1);
            [column(&setup, "grad_norm"), column(&setup, "loss")]
        });
        for (wide, narrow) in wide.iter().flatten().zip(narrow.iter().flatten()) {
            assert!((narrow / wide - 1.0).abs() < 2e-2, "{narrow:e} is not {wide:e}");
        }
    }
}

#[test]
fn a_step_whose_gradients_overflow_is_left_out_and_told_of() {
    let setup = setup(DType::F16);
    let (summary, heard) = setup.run_with(Times(10.0), Vec::new(), None);
    summary.unwrap();
    let overflows = |heard: &[String]| -> Vec<String> {
        heard.iter().filter(|heard| heard.contains("overflowed `float16`")).cloned().collect()
    };
    let told = overflows(&heard);
    assert!((1..4).contains(&told.len()), "{heard:?}");
    assert!(
        heard[0].starts_with("A gradient of step 1 overflowed `float16`: nothing was learned"),
        "{heard:?}"
    );
    let losses = column(&setup, "loss");
    assert!(losses.len() == 8 && losses[6] < losses[0], "{losses:?}");

    // What was left out before a checkpoint is known after it.
    let files = ["model.safetensors", "optimizer.safetensors"];
    let content = || files.map(|file| fs::read(setup.run.join("checkpoint-8").join(file)).unwrap());
    let whole = content();
    let checkpoint = setup.run.join("checkpoint-4");
    let (summary, heard) = setup.run_with(Times(10.0), Vec::new(), Some(&checkpoint));
    summary.unwrap();
    assert!(
        content() == whole && told.ends_with(&overflows(&heard)) && told != overflows(&heard),
        "{heard:?}"
    );
}
