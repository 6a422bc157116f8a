//! Rules for loss weights.

use swift_runtime::{LossScalePlugin, Result};

use crate::bench::Bench;

/// Answers with the questions before them.
const ANSWERS: [(&str, Option<&str>); 6] = [
    ("", None),
    ("It is 4.", Some("What is 2 + 2?")),
    ("<think>2 and 2</think>\n\n4", None),
    ("Thought: add\nAction: calculator\nAction Input: 2 + 2\nObservation: 4\nFinal Answer: 4", Some("2 + 2")),
    ("{\"name\": \"add\", \"arguments\": {\"a\": 2}}", Some("Call `add`")),
    ("Vier – 四 – أربعة 🙂", Some("四?")),
];

/// The host sees that the parts together are the answer, and that factors are numbers from 0 on.
pub(crate) fn check(bench: &mut Bench) -> Result<()> {
    let (plugin, options) = (bench.plugin.clone(), bench.options);
    let start = || plugin.loss_scale(&options.arguments, &options.limits);
    let mut first = start()?;
    let parts = weighed(&mut first)?;
    let same = weighed(&mut start()?)? == parts;
    let count: usize = parts.iter().map(Vec::len).sum();
    bench.passed(format!(
        "{} answers are cut into {count} parts, which together are the answers",
        parts.len()
    ));
    bench.expect_same(same);
    bench.measure(|| weighed(&mut first).map(drop))
}

fn weighed(rule: &mut LossScalePlugin) -> Result<Vec<Vec<(String, f64)>>> {
    ANSWERS.into_iter().map(|(answer, question)| rule.weigh(answer, question)).collect()
}
