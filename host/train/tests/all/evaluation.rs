use swift_train::When;

use crate::support::{Setup, one_or_more, steps};

fn validated() -> Setup {
    let mut setup = Setup::new();
    setup.validate = true;
    setup.options.evaluate = When::Steps(steps(4));
    setup
}

#[test]
fn an_evaluation_does_not_depend_on_the_size_of_its_batches() {
    let mut setup = validated();
    let mut results = Vec::new();
    for batch_size in [1, 2, 5] {
        setup.run = setup.root.join(format!("run {batch_size}"));
        setup.options.eval_batch_size = one_or_more(batch_size);
        let history = setup.run().history;
        let lines: Vec<_> = history.iter().filter(|line| line.contains_key("eval_loss")).collect();
        // After the fourth step, and after the last.
        assert_eq!(lines.iter().map(|line| line["step"].as_u64().unwrap()).collect::<Vec<_>>(), [4, 6]);
        results.push(lines.iter().map(|line| line["eval_loss"].as_f64().unwrap()).collect::<Vec<_>>());
        assert!(lines[0]["eval_token_acc"].is_number() && lines[0]["eval_runtime"].is_number());
    }
    for other in &results[1..] {
        let close = results[0].iter().zip(other).all(|(left, right)| (left - right).abs() < 1e-5);
        assert!(close, "{results:?}");
    }
}

#[test]
fn evaluating_changes_nothing_in_the_training() {
    let losses = |setup: &Setup| {
        let history = setup.run().history;
        history.iter().filter_map(|line| line.get("loss")?.as_f64()).collect::<Vec<_>>()
    };
    let mut setup = validated();
    setup.adapter_dropout = Some(0.5);
    let with = losses(&setup);
    setup.run = setup.root.join("without");
    setup.validate = false;
    assert_eq!(with, losses(&setup));
}

#[test]
fn a_baseline_is_evaluated_before_the_first_step_if_wanted() {
    let mut setup = validated();
    setup.options.eval_on_start = true;
    let log = {
        setup.run();
        setup.log()
    };
    assert_eq!(log[0]["global_step/max_steps"], "0/6");
    assert!(log[0]["eval_loss"].as_f64() > log[5]["eval_loss"].as_f64());
}

#[test]
fn the_best_checkpoint_is_remembered_and_kept() {
    let mut setup = validated();
    setup.options.evaluate = When::Steps(steps(1));
    setup.options.save = When::Steps(steps(1));
    setup.options.save_total_limit = Some(one_or_more(2));
    // The first evaluation is the one with the highest loss of a model that learns.
    setup.options.greater_is_better = true;
    setup.options.metric_for_best_model = "eval_loss".into();
    let summary = setup.run();
    assert_eq!(summary.best_checkpoint, Some(setup.run.join("checkpoint-1")));
    assert_eq!(summary.last_checkpoint, Some(setup.run.join("checkpoint-6")));
    let checkpoints = std::fs::read_dir(&setup.run)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("checkpoint-"));
    assert_eq!(checkpoints.count(), 2);
    let first = summary.history.iter().find_map(|line| line.get("eval_loss")?.as_f64());
    assert_eq!(summary.best_metric, first);
}
