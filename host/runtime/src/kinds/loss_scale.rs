use crate::Result;
use crate::bindings::loss_scale::exports::swift::plugin::loss_scale as contract;
use crate::guest::Guest;
use crate::instance::Rejection;
use crate::store::Views;

/// A plugin at work as a rule for loss weights.
pub struct LossScalePlugin {
    guest: Guest<contract::Guest>,
}

impl LossScalePlugin {
    pub(crate) fn new(guest: Guest<contract::Guest>) -> Self {
        Self { guest }
    }

    /// The plugin's name.
    pub fn name(&self) -> &str {
        self.guest.name()
    }

    /// Cuts an answer to `question` into parts, each with the factor on the loss of its tokens.
    ///
    /// # Errors
    /// If the plugin fails, crashes, takes too much, gives parts that are not the answer, or a factor that is no number from
    /// 0 on.
    pub fn weigh(&mut self, answer: &str, question: Option<&str>) -> Result<Vec<(String, f64)>> {
        self.guest.call(
            "weigh",
            Views::default(),
            |rule, store| rule.call_weigh(store, answer, question),
            |parts, _| {
                let parts = parts.map_err(Rejection::Failed)?;
                if let Some((_, weight)) =
                    parts.iter().find(|(_, weight)| !(weight.is_finite() && *weight >= 0.0))
                {
                    return Err(Rejection::Wrong(format!("a factor on the loss is not {weight}")));
                }
                match parts.iter().map(|(part, _)| part.as_str()).collect::<String>() == answer {
                    true => Ok(parts),
                    false => Err(Rejection::Wrong("the parts together are not the answer".into())),
                }
            },
        )
    }
}
