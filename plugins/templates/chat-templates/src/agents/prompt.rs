//! The text that tells a model of its tools.

use serde_json::Value;

use super::Agent;
use super::tools;
use crate::segments::fill;

impl Agent {
    /// Puts the description of `tools` into a conversation's system text, or into its first question.
    pub(crate) fn describe(
        &self,
        tools: &[Value],
        system: &mut Option<String>,
        question: Option<&mut String>,
    ) {
        let prompt = self.prompt(tools);
        let given = system.take().filter(|text| !text.is_empty());
        let frame = if given.is_some() { &self.with_system } else { &self.without_system };
        let text = fill(frame, |place| match place {
            "SYSTEM" => given.clone(),
            "PROMPT" => Some(prompt.clone()),
            _ => None,
        });
        *system = Some(text);
        if let (Some(frame), Some(question)) = (&self.question, question) {
            *question = fill(frame, |place| match place {
                "QUERY" => Some(question.clone()),
                "PROMPT" => Some(prompt.clone()),
                _ => None,
            });
        }
    }

    fn prompt(&self, tools: &[Value]) -> String {
        fill(&self.prompt, |place| match place {
            "TOOLS" => {
                let tools: Vec<String> = tools.iter().map(|tool| tools::write(&self.tool, tool)).collect();
                Some(tools.join(&self.tool_separator))
            }
            "NAMES" => Some(tools.iter().map(tools::name).collect::<Vec<_>>().join(",")),
            _ => None,
        })
    }
}
