//! Ends a run that no longer gets better.

use serde::{Deserialize, Serialize};
use swift_plugin::prelude::*;

parameters! {
    /// Ends a run when a number of the evaluation no longer gets better.
    pub struct EarlyStopping {
        /// Evaluations without improvement after which the run ends.
        pub patience: u64 = 3,
        /// The number to watch, as logged.
        pub metric: String = "eval_loss".to_owned(),
        /// By how much it must change to count as better.
        pub min_delta: f64 = 0.0,
        /// Whether a larger number is better.
        pub greater_is_better: bool = false,
    }
}

/// The best value so far, and evaluations since.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    best: Option<f64>,
    since: u64,
}

impl Callback for EarlyStopping {
    type State = Progress;

    fn on_event(&self, progress: &mut Progress, event: Event, run: &Run) -> Result<Vec<Action>> {
        if event != Event::Evaluate {
            return Ok(Vec::new());
        }
        let Some(value) = run.metric(&self.metric) else {
            let names: Vec<String> = run.metrics.iter().map(|(name, _)| format!("`{name}`")).collect();
            bail!("`{}` is not a number of the evaluation, which has {}", self.metric, names.join(", "));
        };
        let sign = if self.greater_is_better { 1.0 } else { -1.0 };
        // NaN is never better, not even than nothing.
        let better = match progress.best {
            Some(best) => sign * (value - best) > self.min_delta,
            None => !value.is_nan(),
        };
        if better {
            *progress = Progress { best: Some(value), since: 0 };
            return Ok(Vec::new());
        }
        progress.since += 1;
        if progress.since < self.patience {
            return Ok(Vec::new());
        }
        let best = progress.best.map_or_else(String::new, |best| format!(" than {best}"));
        let reason = format!("`{}` was not better{best} in {} evaluations", self.metric, progress.since);
        Ok(vec![Action::Stop(reason)])
    }
}

export!(EarlyStopping: Callback);

#[cfg(test)]
mod tests {
    use super::*;
    use swift_plugin::testing::{self, Parameters};

    fn tell(
        callback: &EarlyStopping,
        progress: &mut Progress,
        event: Event,
        state: RunState,
    ) -> Result<Vec<Action>> {
        testing::tell(callback, progress, event, state, &Parameters::default())
    }

    fn evaluated(metrics: &[(&str, f64)]) -> RunState {
        let metrics = metrics.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        RunState { step: 1, max_steps: 10, epoch: 0.5, learning_rate: 1e-4, metrics }
    }

    /// After how many of the evaluations the run ends.
    fn stops_after(callback: &EarlyStopping, values: &[f64]) -> Option<usize> {
        let mut progress = Progress::default();
        let stopped = values.iter().position(|&value| {
            let run = evaluated(&[("eval_loss", value)]);
            !tell(callback, &mut progress, Event::Evaluate, run).unwrap().is_empty()
        });
        stopped.map(|index| index + 1)
    }

    #[test]
    fn the_run_ends_when_patience_is_used_up() {
        let callback = EarlyStopping { patience: 2, ..Default::default() };
        assert_eq!(stops_after(&callback, &[3.0, 2.0, 2.5, 1.0, 1.5, 1.0, 9.0]), Some(6));
        assert_eq!(stops_after(&callback, &[4.0, 3.0, 2.0, 1.0]), None);
        assert_eq!(stops_after(&callback, &[f64::NAN, 3.0, f64::NAN, f64::NAN]), Some(4));
    }

    #[test]
    fn a_change_counts_from_the_least_difference_on_and_in_the_right_direction() {
        let callback = EarlyStopping { patience: 1, min_delta: 0.5, ..Default::default() };
        assert_eq!(stops_after(&callback, &[3.0, 2.0, 1.75]), Some(3));
        let callback = EarlyStopping { greater_is_better: true, ..callback };
        assert_eq!(stops_after(&callback, &[1.0, 2.0, 3.0, 2.0]), Some(4));
    }

    #[test]
    fn the_reason_names_the_number() {
        let callback = EarlyStopping { patience: 1, ..Default::default() };
        let mut progress = Progress { best: Some(1.5), since: 0 };
        let actions =
            tell(&callback, &mut progress, Event::Evaluate, evaluated(&[("eval_loss", 2.0)])).unwrap();
        assert_eq!(actions, [Action::Stop("`eval_loss` was not better than 1.5 in 1 evaluations".into())]);
    }

    #[test]
    fn other_events_are_left_alone_and_a_missing_number_is_named() {
        let callback = EarlyStopping { metric: "eval_acc".into(), ..Default::default() };
        let run = evaluated(&[("eval_loss", 1.0), ("eval_token_acc", 0.5)]);
        let mut progress = Progress::default();
        assert_eq!(tell(&callback, &mut progress, Event::StepEnd, run.clone()).unwrap(), []);
        let error = tell(&callback, &mut progress, Event::Evaluate, run).unwrap_err();
        let expected =
            "`eval_acc` is not a number of the evaluation, which has `eval_loss`, `eval_token_acc`";
        assert_eq!(error.message(), expected);
    }

    #[test]
    fn what_is_remembered_survives_json() {
        let text = serde_json::to_string(&Progress { best: Some(0.1), since: 2 }).unwrap();
        let progress: Progress = serde_json::from_str(&text).unwrap();
        assert_eq!((progress.best, progress.since), (Some(0.1), 2));
    }
}
