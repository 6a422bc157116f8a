//! What tools give back, as the model sees it.

use serde_json::Value;

use super::calls::call_place;
use super::{Agent, Call};
use crate::json::dumps;
use crate::segments::fill;

/// Where the results of tools stand.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Results {
    /// In the answer: the model goes on after them.
    InAnswer(String),
    /// Between two answers, as what this role says.
    Turn(String, String),
}

impl Agent {
    /// The results of `calls`, in order.
    pub(crate) fn write_results(&self, results: &[String], calls: &[Call]) -> Results {
        let unknown = Call { name: String::new(), arguments: Value::Null };
        let written = results.iter().enumerate().map(|(index, result)| {
            let call = calls.get(index).unwrap_or(&unknown);
            fill(&self.result, |place| match place {
                "result" => Some(result.clone()),
                "result_json" => Some(dumps(&Value::String(result.clone()))),
                _ => call_place(place, index, call),
            })
        });
        let written = written.collect::<Vec<_>>().join(&self.result_separator);
        let text = format!("{}{written}{}", self.before_results, self.after_results);
        match &self.results_role {
            Some(role) => Results::Turn(role.clone(), text),
            None => Results::InAnswer(text),
        }
    }
}
