//! Rewards.

use swift_runtime::{Completion, Result};

use crate::bench::Bench;

/// Answers of various forms.
const ANSWERS: [&str; 6] = [
    "",
    "4",
    "<think>2 and 2 make 4.</think><answer>4</answer>",
    "The answer is \\boxed{4}.",
    "```python\nprint(2 + 2)\n```",
    "Vier – 四 – أربعة 🙂",
];

pub(crate) fn check(bench: &mut Bench) -> Result<()> {
    let (plugin, options) = (bench.plugin.clone(), bench.options);
    let start = || plugin.reward(&options.arguments, &options.limits);
    let completions: Vec<Completion> = ANSWERS.into_iter().map(completion).collect();
    let mut first = start()?;
    let scores = first.score(&completions)?;
    let same = bits(&start()?.score(&completions)?) == bits(&scores);
    let none = first.score(&[])?;

    let wild = scores.iter().zip(ANSWERS).find(|(score, _)| score.is_some_and(|score| !score.is_finite()));
    bench.expect(
        wild.is_none(),
        &format!("{} of {} answers get a reward, all finite", scores.iter().flatten().count(), scores.len()),
        &format!("The reward for `{}` is not finite", wild.map_or("", |(_, answer)| answer)),
        "a reward that does not apply is none",
    );
    if none.is_empty() {
        bench.passed("No answers get no rewards");
    }
    bench.expect_same(same);
    bench.measure(|| first.score(&completions).map(drop))
}

fn completion(text: &str) -> Completion {
    Completion {
        messages_json: r#"[{"role": "user", "content": "What is 2 + 2?"}]"#.into(),
        text: text.into(),
        token_ids: (0..).zip(text.chars()).map(|(place, _)| place).collect(),
        finished: true,
        columns: vec![("solution".into(), "\"4\"".into())],
    }
}

fn bits(scores: &[Option<f64>]) -> Vec<Option<u64>> {
    scores.iter().map(|score| score.map(f64::to_bits)).collect()
}
