use crate::Result;
use crate::bindings::reward::exports::swift::plugin::reward as contract;
use crate::guest::Guest;
use crate::instance::Rejection;
use crate::store::Views;

/// An answer to be judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Completion {
    /// The conversation that it answers, as JSON: a list of `{"role": …, "content": …}`.
    pub messages_json: String,
    /// The answer.
    pub text: String,
    /// Its token ids.
    pub token_ids: Vec<u32>,
    /// Whether it ended by itself and was not cut off.
    pub finished: bool,
    /// The other columns of the row that it answers, as JSON.
    pub columns: Vec<(String, String)>,
}

/// A plugin at work as a reward.
pub struct RewardPlugin {
    guest: Guest<contract::Guest>,
}

impl RewardPlugin {
    pub(crate) fn new(guest: Guest<contract::Guest>) -> Self {
        Self { guest }
    }

    /// The plugin's name.
    pub fn name(&self) -> &str {
        self.guest.name()
    }

    /// A number for each answer, in their order; none where the reward does not apply to it.
    ///
    /// # Errors
    /// If the plugin fails, crashes, takes too much, or gives another number of rewards.
    pub fn score(&mut self, completions: &[Completion]) -> Result<Vec<Option<f64>>> {
        let given: Vec<contract::Completion> = completions.iter().map(contract::Completion::from).collect();
        self.guest.call(
            "score",
            Views::default(),
            |reward, store| reward.call_score(store, &given),
            |scores, _| {
                let scores = scores.map_err(Rejection::Failed)?;
                match scores.len() == completions.len() {
                    true => Ok(scores),
                    false => Err(Rejection::Wrong(format!(
                        "{} rewards for {} answers",
                        scores.len(),
                        completions.len()
                    ))),
                }
            },
        )
    }
}

impl From<&Completion> for contract::Completion {
    fn from(completion: &Completion) -> Self {
        let Completion { messages_json, text, token_ids, finished, columns } = completion.clone();
        Self { messages_json, text, token_ids, finished, columns }
    }
}
