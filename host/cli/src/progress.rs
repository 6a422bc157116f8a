//! A run as it is shown to who waits for it.

use std::path::Path;

use serde_json::{Map, Value};
use swift_train::{Observer, RunStarted};

use crate::console::Console;

/// The file in the run directory that says the run again.
const RECIPE_FILE: &str = "recipe.toml";

/// Keys of a log line that a reader of the terminal does not need.
const NOT_SHOWN: [&str; 4] = ["global_step/max_steps", "elapsed_time", "remaining_time", "epoch"];

/// Shows a run on the console, and leaves its recipe in the run directory.
pub(crate) struct Progress {
    console: Console,
    recipe: String,
    step: u64,
    max_steps: u64,
}

impl Progress {
    pub(crate) fn new(console: Console, recipe: String) -> Self {
        Self { console, recipe, step: 0, max_steps: 0 }
    }
}

impl Observer for Progress {
    fn started(&mut self, run: &RunStarted<'_>) {
        (self.step, self.max_steps) = (run.step, run.max_steps);
        let path = run.folder.join(RECIPE_FILE);
        if let Err(error) = std::fs::write(&path, &self.recipe) {
            self.message(&format!("Failed to write `{}`: {error}", path.display()));
        }
        self.console.line(run.model_parameter_info);
        let (steps, epochs, examples) = (run.max_steps, run.epochs, run.examples);
        self.console.line(&format!("{steps} steps in {epochs} epochs of {examples} examples"));
        self.console.begin(run.max_steps, run.step);
    }

    fn step_done(&mut self, step: u64, max_steps: u64) {
        (self.step, self.max_steps) = (step, max_steps);
        self.console.advance(step);
    }

    fn logged(&mut self, line: &Map<String, Value>) {
        let numbers = numbers(line);
        if line.contains_key("loss") {
            self.console.show(self.step, self.max_steps, &numbers);
        } else {
            self.console.line(&format!("{}/{} {numbers}", self.step, self.max_steps));
        }
    }

    fn evaluating(&mut self, done: usize, total: usize) {
        self.console.whisper(&format!("evaluating {done}/{total}"));
    }

    fn saved(&mut self, checkpoint: &Path) {
        self.console.line(&format!("saved `{}`", checkpoint.display()));
    }

    fn message(&mut self, text: &str) {
        self.console.note(text);
    }
}

/// A log line for reading: numbers with five significant digits.
fn numbers(line: &Map<String, Value>) -> String {
    let shown = line.iter().filter(|(key, _)| !NOT_SHOWN.contains(&key.as_str()));
    let words = shown.filter_map(|(key, value)| Some(format!("{key} {}", number(value.as_f64()?))));
    words.collect::<Vec<_>>().join("  ")
}

fn number(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 || !value.is_finite() {
        format!("{value}")
    } else if (1e-3..1e5).contains(&magnitude) {
        let digits = 4 - magnitude.log10().floor() as i32;
        format!("{value:.*}", digits.max(0) as usize)
    } else {
        format!("{value:.4e}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_have_five_significant_digits() {
        let shown = [0.654321, 12.5, 4321.987, 9.33e-5, 0.0, -0.00123456, 1e7].map(number);
        assert_eq!(shown, ["0.65432", "12.500", "4322.0", "9.3300e-5", "0", "-0.0012346", "1.0000e7"]);
    }

    #[test]
    fn a_line_shows_numbers_and_no_bookkeeping() {
        let line = json!({ "loss": 2.0, "grad_norm": 0.5, "epoch": 1.0, "global_step/max_steps": "1/6" });
        assert_eq!(numbers(line.as_object().unwrap()), "loss 2.0000  grad_norm 0.50000");
    }
}
