//! A reward for tests of online runs: it is easy to learn, and can fail in several ways.

use swift_plugin::prelude::*;

parameters! {
    /// The share of an answer's tokens that have small ids, or what else `mode` says.
    pub struct Judging {
        /// `share`; `column`, a number that the row brings; `panic`, `endless` or `infinite`, which are mistakes.
        pub mode: String = "share".into(),
        /// The first id that is not small.
        pub limit: u64 = 450,
    }
}

impl Reward for Judging {
    fn score(&self, completion: &Completion) -> Result<Option<f64>> {
        match self.mode.as_str() {
            "share" => {
                let small = completion.token_ids.iter().filter(|id| u64::from(**id) < self.limit).count();
                Ok(Some(small as f64 / completion.token_ids.len().max(1) as f64))
            }
            "column" => {
                if !completion.messages_json.contains("\"role\":\"user\"") {
                    bail!("the prompt is `{}`", completion.messages_json);
                }
                Ok(completion.column("bonus")?.and_then(|bonus| bonus.as_f64()))
            }
            "infinite" => Ok(Some(f64::INFINITY)),
            "endless" => loop {
                std::hint::spin_loop();
            },
            #[expect(clippy::panic, reason = "what happens then is what is tested")]
            other => panic!("the mode `{other}` is meant to panic"),
        }
    }
}

export!(Judging: Reward);
