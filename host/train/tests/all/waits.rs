//! How often a step would wait for a device.

use crate::support::{Setup, steps};

/// Of one optimiser step with `accumulation` micro-batches, in a run that logs nothing in between.
fn reads_of_a_step(accumulation: usize, more_layers: usize, adapter: bool) -> u64 {
    let [two, three] = [2, 3].map(|count| {
        let mut setup = Setup::new();
        (setup.batch_size, setup.accumulation, setup.more_layers) = (1, accumulation, more_layers);
        setup.adapter_dropout = adapter.then_some(0.1);
        setup.options.max_steps = Some(steps(count));
        setup.options.logging_steps = steps(100);
        let before = swift_tensor::reads();
        setup.run();
        swift_tensor::reads() - before
    });
    three - two
}

#[test]
fn a_step_reads_as_often_however_many_layers_are_trained() {
    // For each micro-batch the labelled positions, once to take rows and three times to put numbers into
    // their places, the labels, the predictions, the loss, and the metric with its weights; and once the norms of all gradients.
    const MICRO_BATCH: u64 = 9;
    for (more_layers, adapter) in [(0, true), (9, true), (0, false), (9, false)] {
        assert_eq!(reads_of_a_step(1, more_layers, adapter), MICRO_BATCH + 1, "{more_layers} {adapter}");
    }
    // Seven rows are three windows of two, and a rest.
    assert_eq!(reads_of_a_step(2, 0, true), 2 * MICRO_BATCH + 1);
}
