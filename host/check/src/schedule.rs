//! Learning-rate schedules.

use swift_runtime::Result;

use crate::bench::Bench;

/// Lengths of runs, the shortest there are among them.
const RUNS: [u64; 4] = [1, 2, 10, 1000];

pub(crate) fn check(bench: &mut Bench) -> Result<()> {
    let (plugin, options) = (bench.plugin.clone(), bench.options);
    let start = || plugin.schedule(&options.arguments, &options.limits);
    let (mut forwards, mut backwards) = (start()?, start()?);
    let steps: Vec<(u64, u64)> =
        RUNS.into_iter().flat_map(|run| (0..=run).map(move |step| (step, run))).collect();
    let mut factors = Vec::new();
    for &(step, run) in &steps {
        factors.push(forwards.factor(step, run)?);
    }
    let mut again = Vec::new();
    for &(step, run) in steps.iter().rev() {
        again.push(backwards.factor(step, run)?);
    }
    again.reverse();

    let largest = factors.iter().copied().fold(0.0, f64::max);
    bench.passed(format!("Every factor in runs of {RUNS:?} steps is a number from 0 on"));
    if largest > 1.0 {
        bench.noted(
            format!("The largest factor is {largest}"),
            "the learning rate of a run is usually its largest".to_owned(),
        );
    } else if largest == 0.0 {
        bench.failed("Every factor is 0", "nothing is learnt at a learning rate of 0".to_owned());
    }
    let bits = |factors: &[f64]| factors.iter().map(|factor| factor.to_bits()).collect::<Vec<_>>();
    bench.expect(
        bits(&factors) == bits(&again),
        "A factor depends on the step alone, in whichever order they are asked for",
        "A second instance, asked in another order, gives other factors",
        "a schedule has no state that a resumed run would find again",
    );
    bench.measure(|| forwards.factor(5, 10).map(drop))
}
