use serde_json::json;
use swift_train::{Ending, Numbers, Warmup};

use crate::losses::{Imitates, NegativeLogLikelihood, StaysClose};
use crate::support::Setup;

fn column(log: &[Numbers], name: &str) -> Vec<f64> {
    log.iter().filter_map(|line| line.get(name)?.as_f64()).collect()
}

#[test]
fn a_model_learns_and_the_log_has_the_keys_of_ms_swift_in_their_order() {
    let setup = Setup::new();
    let summary = setup.run();
    assert_eq!((summary.ending, summary.step, summary.max_steps), (Ending::Completed, 6, 6));
    let log = setup.log();
    let losses = column(&log, "loss");
    assert!(losses[5] < 0.95 * losses[0], "{losses:?}");
    let keys: Vec<&str> = log[0].keys().map(String::as_str).filter(|key| *key != "memory(GiB)").collect();
    let expected = [
        "loss",
        "grad_norm",
        "learning_rate",
        "token_acc",
        "epoch",
        "global_step/max_steps",
        "elapsed_time",
        "remaining_time",
        "train_speed(s/it)",
        "tokens_per_second",
    ];
    assert_eq!(keys, expected);
    assert_eq!(log[4]["global_step/max_steps"], "5/6");
    // Seven rows in micro-batches of two: the fourth step ends the first pass with a single row.
    assert_eq!(column(&log[..6], "epoch"), [0.25, 0.5, 0.75, 1.0, 1.25, 1.5]);
    assert!(log[6]["train_runtime"].is_number() && log[6]["train_loss"].is_number());
    let last = &log[7];
    assert_eq!(
        last["model_parameter_info"],
        "tiny: 0.0167M Params (0.0167M Trainable [100.0000%]), 0.0000M Buffers."
    );
    assert!(last["train_dataset"].as_str().unwrap().ends_with("size=7"));
    assert_eq!(last["log_history"].as_array().unwrap().len(), 7);
    assert_eq!(last["log_history"][5]["step"], 6);
    assert_eq!(last["last_model_checkpoint"], json!(null));
    for file in ["args.json", "run.lock.json", "images/train_loss.png", "images/train_token_acc.png"] {
        assert!(setup.run.join(file).is_file(), "{file}");
    }
}

#[test]
fn micro_batches_of_one_window_give_what_one_large_batch_gives() {
    let mut setup = Setup::new();
    setup.batch_size = 4;
    let whole = setup.run();
    setup.run = setup.root.join("in parts");
    (setup.batch_size, setup.accumulation) = (1, 4);
    let parts = setup.run();
    for name in ["loss", "grad_norm", "token_acc", "learning_rate"] {
        let (whole, parts) = (column(&whole.history, name), column(&parts.history, name));
        assert_eq!(whole.len(), 6);
        let close = whole.iter().zip(&parts).all(|(left, right)| (left - right).abs() <= 2e-4 * left.abs());
        assert!(close, "{name}: {whole:?} and {parts:?}");
    }
}

#[test]
fn what_a_model_adds_to_the_loss_counts_once_for_a_window_and_is_logged() {
    let mut setup = Setup::new();
    setup.options.max_steps = Some(crate::support::steps(1));
    let run = |setup: &mut Setup, name: &str, own_loss, accumulation, recompute| {
        setup.run = setup.root.join(name);
        (setup.own_loss, setup.batch_size, setup.accumulation) = (own_loss, 4 / accumulation, accumulation);
        setup.options.recompute = recompute;
        let history = setup.run().history;
        ["loss", "own_loss", "grad_norm"]
            .map(|name| column(&history, name).first().copied().unwrap_or(f64::NAN))
    };
    let [plain, none, _] = run(&mut setup, "plain", None, 1, true);
    assert!(none.is_nan());
    let whole = run(&mut setup, "whole", Some(0.5), 1, true);
    let [loss, own_loss, _] = whole;
    assert!(own_loss > 0.0 && (loss - plain - 0.5 * own_loss).abs() < 1e-6, "{loss} {plain} {own_loss}");
    // The same in one micro-batch and in four of different lengths, computed again or not.
    for (accumulation, recompute) in [(1, false), (4, true), (4, false)] {
        let name = format!("{accumulation} {recompute}");
        let parts = run(&mut setup, &name, Some(0.5), accumulation, recompute);
        let close = whole.iter().zip(parts).all(|(whole, part)| (whole - part).abs() <= 1e-4 * whole.abs());
        assert!(close, "{name}: {whole:?} {parts:?}");
    }
    // A validation set is only looked at.
    setup.validate = true;
    setup.options.evaluate = swift_train::When::Steps(crate::support::steps(1));
    run(&mut setup, "evaluated", Some(1e6), 1, true);
    let evaluated = column(&setup.log(), "eval_loss")[0];
    assert!(evaluated < 100.0, "{evaluated}");
}

#[test]
fn recomputation_changes_nothing() {
    let mut setup = Setup::new();
    setup.adapter_dropout = Some(0.5);
    let recomputed = setup.run();
    setup.run = setup.root.join("kept");
    setup.options.recompute = false;
    let kept = setup.run();
    assert_eq!(column(&recomputed.history, "loss"), column(&kept.history, "loss"));
    assert_eq!(column(&recomputed.history, "grad_norm"), column(&kept.history, "grad_norm"));
}

#[test]
fn the_logged_learning_rate_is_that_of_the_step_to_come() {
    let mut setup = Setup::new();
    setup.options.schedule.name = "linear".into();
    setup.options.schedule.warmup = Warmup::Steps(2);
    setup.run();
    let rates = column(&setup.log(), "learning_rate");
    let expected = [0.5, 1.0, 0.75, 0.5, 0.25, 0.0].map(|factor| factor * 1e-2);
    assert!(rates.iter().zip(expected).all(|(rate, expected)| (rate - expected).abs() < 1e-15), "{rates:?}");
}

#[test]
fn several_steps_between_two_lines_are_averaged() {
    let mut setup = Setup::new();
    let every = setup.run().history;
    setup.run = setup.root.join("seldom");
    setup.options.logging_steps = crate::support::steps(4);
    let seldom = setup.run().history;
    let (every, seldom) = (column(&every, "loss"), column(&seldom, "loss"));
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    assert_eq!(seldom[0], every[0]);
    assert!((seldom[1] - mean(&every[1..4])).abs() < 1e-12);
    assert!((seldom[2] - mean(&every[4..6])).abs() < 1e-12);
}

#[test]
fn the_model_without_its_adapter_is_the_reference() {
    let mut setup = Setup::new();
    setup.adapter_dropout = Some(0.5);
    let summary = setup.run_with(StaysClose, Vec::new(), None).0.unwrap();
    let distances = column(&summary.history, "distance");
    assert_eq!(distances[0], 0.0);
    assert!(distances[5] > 0.0);
}

#[test]
fn a_teacher_stays_as_it_is() {
    let mut setup = Setup::new();
    setup.teacher = true;
    let summary = setup.run_with(Imitates, Vec::new(), None).0.unwrap();
    let distances = column(&summary.history, "distance");
    assert_eq!(distances[0], 0.0);
    assert!(distances[5] > 0.0);
}

#[test]
fn the_number_of_steps_follows_from_the_epochs() {
    let mut setup = Setup::new();
    setup.options.max_steps = None;
    setup.options.num_train_epochs = 1.5;
    (setup.batch_size, setup.accumulation) = (1, 3);
    let (summary, heard) = setup.run_with(NegativeLogLikelihood, Vec::new(), None);
    // Seven micro-batches make windows of three, three and one; one and a half passes are rounded up.
    assert_eq!(summary.unwrap().max_steps, 5);
    assert_eq!(heard.last().unwrap(), "step 5/5");
    let epochs = column(&setup.log()[..5], "epoch");
    assert_eq!(epochs, [3.0 / 7.0, 6.0 / 7.0, 1.0, 1.0 + 3.0 / 7.0, 1.0 + 6.0 / 7.0]);
}
