//! Describe what your reward is for.

use swift_plugin::prelude::*;

parameters! {
    /// 1 for answers that hold what the row's column `solution` says, 0 for others.
    pub struct PluginName {}
}

impl Reward for PluginName {
    fn score(&self, completion: &Completion) -> Result<Option<f64>> {
        let Some(solution) = completion.column("solution")? else { return Ok(None) };
        let solution = solution.as_str().map_or_else(|| solution.to_string(), str::to_owned);
        Ok(Some(f64::from(u8::from(completion.text.contains(&solution)))))
    }
}

export!(PluginName: Reward);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_with_the_solution_is_rewarded() {
        let score = |text: &str| {
            let completion = Completion::new(text).with_column("solution", &Value::from(42));
            PluginName {}.score(&completion).unwrap()
        };
        assert_eq!((score("it is 42"), score("it is 7")), (Some(1.0), Some(0.0)));
        assert_eq!(PluginName {}.score(&Completion::new("it is 42")).unwrap(), None);
    }
}
