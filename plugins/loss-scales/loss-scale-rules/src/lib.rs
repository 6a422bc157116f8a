//! Rules for loss weights, as data: `rules.json`.
//!
//! Which answers are trained on at all is the run's strategy (`default`, `last_round`, `all`) and no matter of this plugin:
//! of `last_round+hermes+ignore_empty_think` the host keeps the first word and gives the rest, `hermes+ignore_empty_think`,
//! as the hyper-parameter `rules`. The factors of several rules multiply; what a run trains on does so with them.

mod cut;
mod table;

use swift_plugin::prelude::*;

parameters! {
    /// Weighs the words of answers by rules: `hermes`, `react`, `ignore_empty_think` and others.
    pub struct LossScaleRules {
        /// The rules, joined by `+`; without any, all words weigh the same.
        pub rules: String = String::new(),
    }
}

impl LossScale for LossScaleRules {
    fn weigh(&self, answer: &str, question: Option<&str>) -> Result<Vec<(String, f64)>> {
        let mut parts = vec![(0..answer.len(), 1.0)];
        for name in self.rules.split('+').filter(|name| !name.is_empty()) {
            parts = cut::combine(parts, table::find(name)?.cut(answer, question));
        }
        let text = |range: std::ops::Range<usize>| answer.get(range).unwrap_or_default().to_owned();
        Ok(parts.into_iter().map(|(range, factor)| (text(range), factor)).collect())
    }
}

export!(LossScaleRules: LossScale);
