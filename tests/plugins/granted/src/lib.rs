//! A loss that needs a file and an environment variable, for the test of grants.

mod wasi;

use swift_plugin::prelude::*;

parameters! {
    /// A loss that scales by the number in `scale.txt` of the first directory and by the one in the variable `SCALE`.
    pub struct Granted {}
}

impl Loss for Granted {
    fn compute(&self, _batch: &Batch, policy: &Outputs, _reference: Option<&Outputs>) -> Result<Report> {
        let Some(file) = wasi::read("scale.txt") else { bail!("there is no `scale.txt`") };
        let Some(variable) = wasi::variable("SCALE") else { bail!("there is no variable `SCALE`") };
        let [Ok(file), Ok(variable)] = [file, variable].map(|text| text.trim().parse::<f64>()) else {
            bail!("a scale is a number")
        };
        Ok(Report::new(policy.token_logps()?.sum_all() * (-file * variable)))
    }
}

export!(Granted: Loss);
