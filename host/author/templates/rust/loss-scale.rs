//! Describe which words of an answer weigh how much.

use swift_plugin::prelude::*;

parameters! {
    /// What comes before a marker weighs less than what comes after it.
    pub struct PluginName {
        /// The marker.
        pub marker: String = "Answer:".to_owned(),
        /// The weight of what comes before it.
        pub weight: f64 = 0.1,
    }
}

impl LossScale for PluginName {
    fn weigh(&self, answer: &str, _question: Option<&str>) -> Result<Vec<(String, f64)>> {
        let Some(at) = answer.find(&self.marker) else { return Ok(vec![(answer.to_owned(), 1.0)]) };
        let (before, after) = answer.split_at(at);
        Ok(vec![(before.to_owned(), self.weight), (after.to_owned(), 1.0)])
    }
}

export!(PluginName: LossScale);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_the_answer() {
        let parts = PluginName::default().weigh("so… Answer: 4", None).unwrap();
        assert_eq!(parts, [("so… ".to_owned(), 0.1), ("Answer: 4".to_owned(), 1.0)]);
    }
}
