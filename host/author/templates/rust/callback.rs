//! Describe what your callback watches, and what it does.

use serde::{Deserialize, Serialize};
use swift_plugin::prelude::*;

parameters! {
    /// Ends a run when its loss has fallen below a limit.
    pub struct PluginName {
        /// The loss at which the run ends.
        pub limit: f64 = 0.01,
    }
}

/// What goes through checkpoints.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Seen {
    lines: u64,
}

impl Callback for PluginName {
    type State = Seen;

    fn on_event(&self, seen: &mut Seen, event: Event, run: &Run) -> Result<Vec<Action>> {
        if event != Event::Log {
            return Ok(Vec::new());
        }
        seen.lines += 1;
        Ok(match run.metric("loss") {
            Some(loss) if loss < self.limit => {
                vec![Action::Stop(format!(
                    "the loss {loss} is below {} after {} lines",
                    self.limit, seen.lines
                ))]
            }
            _ => Vec::new(),
        })
    }
}

export!(PluginName: Callback);

#[cfg(test)]
mod tests {
    use super::*;
    use swift_plugin::testing::{Parameters, tell};

    #[test]
    fn it_ends_the_run_below_the_limit() {
        let mut seen = Seen::default();
        let mut logged = |loss: f64| {
            let metrics = vec![("loss".to_owned(), loss)];
            let state = RunState { step: 1, max_steps: 9, epoch: 0.1, learning_rate: 1e-4, metrics };
            tell(&PluginName { limit: 0.5 }, &mut seen, Event::Log, state, &Parameters::default()).unwrap()
        };
        assert_eq!(logged(0.6), []);
        assert_eq!(logged(0.4), [Action::Stop("the loss 0.4 is below 0.5 after 2 lines".to_owned())]);
    }
}
