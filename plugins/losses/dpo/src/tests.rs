use super::*;
use swift_plugin::testing::{ModelOutputs, PackedBatch, check_gradient, evaluate};

/// Two pairs: chosen answers of two and one token, rejected ones of one and two.
fn batch() -> PackedBatch {
    PackedBatch::new(&[3, 2, 2, 3])
}

fn policy() -> ModelOutputs {
    ModelOutputs::new(&[-1.0, -2.0, 0.0, -4.0, 0.0, -5.0, 0.0, -3.0, -2.5, 0.0])
        .mean_logits(&[1.0, 2.0, 9.0, 6.0, 9.0, -1.0, 9.0, -2.0, -6.0, 9.0])
}

fn reference() -> ModelOutputs {
    ModelOutputs::new(&[-1.5, -2.5, 0.0, -3.0, 0.0, -4.0, 0.0, -3.5, -3.0, 0.0])
}

fn log_sigmoid(x: f64) -> f64 {
    -(-x).exp().ln_1p()
}

fn assert_close(actual: f64, expected: f64) {
    assert!((actual - expected).abs() < 1e-12, "{actual} is not {expected}");
}

#[test]
fn the_loss_follows_the_formula() {
    let dpo = Dpo { beta: 0.5, label_smoothing: 0.2, ..Dpo::default() };
    let evaluation = evaluate(&dpo, &batch(), &policy(), Some(&reference())).unwrap();
    // Sums of chosen and rejected answers, less those of the reference: +1 and -1, -1 and +1.
    let pair = |z: f64| -0.8 * log_sigmoid(z) - 0.2 * log_sigmoid(-z);
    assert_close(evaluation.loss, (pair(1.0) + pair(-1.0)) / 2.0);
}

#[test]
fn a_micro_batch_gives_its_share_of_the_window() {
    let whole = evaluate(&Dpo::default(), &batch(), &policy(), Some(&reference())).unwrap().loss;
    let part =
        evaluate(&Dpo::default(), &batch().window(100, 8, 4), &policy(), Some(&reference())).unwrap().loss;
    assert_close(part, whole / 4.0);
}

#[test]
fn the_metrics_are_those_of_ms_swift() {
    let evaluation = evaluate(&Dpo::default(), &batch(), &policy(), Some(&reference())).unwrap();
    let expected = [
        ("rewards/chosen", 0.1 * (1.0 - 1.0) / 2.0),
        ("rewards/rejected", 0.1 * (-1.0 + 1.0) / 2.0),
        ("rewards/accuracies", 0.5),
        ("rewards/margins", 0.1 * (2.0 - 2.0) / 2.0),
        ("logps/chosen", (-3.0 - 4.0) / 2.0),
        ("logps/rejected", (-5.0 - 5.5) / 2.0),
        ("logits/chosen", (1.0 + 2.0 + 6.0) / 3.0),
        ("logits/rejected", (-1.0 - 2.0 - 6.0) / 3.0),
    ];
    assert_eq!(evaluation.metrics.len(), expected.len());
    for ((name, mean), (expected_name, expected_mean)) in evaluation.metrics.iter().zip(expected) {
        assert_eq!(name, expected_name);
        assert_close(*mean, expected_mean);
    }
}

#[test]
fn the_gradient_agrees_with_finite_differences() {
    let dpo = Dpo { beta: 0.7, label_smoothing: 0.1, ..Dpo::default() };
    check_gradient(&dpo, &batch(), &policy(), Some(&reference())).unwrap();
}

#[test]
fn without_a_reference_model_there_is_no_loss() {
    let error = evaluate(&Dpo::default(), &batch(), &policy(), None).unwrap_err();
    assert_eq!(error.to_string(), "the outputs of the reference model are missing");
}

fn of_type(loss_type: &str) -> Dpo {
    Dpo { loss_type: vec![loss_type.into()], ..Dpo::default() }
}

fn loss_of(dpo: &Dpo) -> f64 {
    evaluate(dpo, &batch(), &policy(), Some(&reference())).unwrap().loss
}

#[test]
fn every_formula_gives_its_share_of_the_window_and_the_gradient_of_finite_differences() {
    // Pairs that differ in length and lead, so that sorting and thresholds are away from ties.
    let batch = PackedBatch::new(&[4, 2, 3, 3, 3, 4]);
    let (policy, reference) = (ModelOutputs::random(&batch, 1), ModelOutputs::random(&batch, 2));
    let policy = policy.mean_logits(&[0.0; 19]);
    for name in variants::names() {
        let dpo = Dpo { rpo_alpha: Some(0.3), ld_alpha: Some(0.4), label_smoothing: 0.1, ..of_type(name) };
        let whole = evaluate(&dpo, &batch, &policy, Some(&reference)).unwrap().loss;
        let part = evaluate(&dpo, &batch.clone().window(99, 12, 4), &policy, Some(&reference));
        // A quarter of the pairs, and one of four micro-batches: all parts of the loss are a quarter.
        assert_close(part.unwrap().loss, whole / 4.0);
        // Its mean is a constant of each micro-batch, which finite differences would move.
        if name != "bco_pair" {
            check_gradient(&dpo, &batch, &policy, Some(&reference)).unwrap();
        }
    }
}

#[test]
fn formulas_add_up_with_their_weights() {
    let mix = Dpo {
        loss_type: vec!["sigmoid".into(), "hinge".into(), "sft".into()],
        loss_weights: Some(vec![0.5, 2.0, 0.1]),
        ..Dpo::default()
    };
    let nll = (1.0 + 2.0 + 4.0) / 3.0;
    assert_close(
        loss_of(&mix),
        0.5 * loss_of(&of_type("sigmoid")) + 2.0 * loss_of(&of_type("hinge")) + 0.1 * nll,
    );
    let evaluation = evaluate(&mix, &batch(), &policy(), Some(&reference())).unwrap();
    assert_close(evaluation.metric("nll_loss"), nll);
}

#[test]
fn tokens_beyond_the_shorter_answer_weigh_less() {
    let dpo = Dpo { ld_alpha: Some(0.25), ..Dpo::default() };
    let evaluation = evaluate(&dpo, &batch(), &policy(), Some(&reference())).unwrap();
    assert_close(evaluation.metric("logps/chosen"), (-1.0 - 0.25 * 2.0 - 4.0) / 2.0);
    assert_close(evaluation.metric("logps/rejected"), (-5.0 - 3.0 - 0.25 * 2.5) / 2.0);
}

#[test]
fn the_mean_of_the_rewards_runs_through_training_and_is_saved_and_restored() {
    let rewards = |batch: PackedBatch, dpo: &Dpo| {
        evaluate(dpo, &batch, &policy(), Some(&ModelOutputs::new(&[0.0; 10]))).unwrap().loss
    };
    let dpo = of_type("bco_pair");
    assert_eq!(dpo.save_state(), "");
    let first = rewards(batch(), &dpo);
    // Sums -3 and -4, -5 and -5.5, times beta.
    let mean = -0.4375;
    let by_hand = [(-0.3, -0.5), (-0.4, -0.55)];
    let by_hand = by_hand.map(|(a, b): (f64, f64)| -log_sigmoid(a - mean) - log_sigmoid(mean - b));
    assert_close(first, by_hand.iter().sum::<f64>() / 2.0);
    assert_eq!(dpo.rewards.get(), RunningMean { mean: dpo.rewards.get().mean, count: 1.0 });
    assert_close(dpo.rewards.get().mean, mean);

    let before = dpo.rewards.get();
    rewards(batch().evaluation(), &dpo);
    assert_eq!(dpo.rewards.get(), before, "an evaluation leaves it alone");

    let mut resumed = of_type("bco_pair");
    resumed.restore_state(&dpo.save_state()).unwrap();
    assert_eq!(resumed.rewards.get(), before);
    resumed.restore_state("").unwrap();
    assert_eq!(resumed.rewards.get(), RunningMean::default());
    for state in ["[1]", "{}", "mean"] {
        let error = resumed.restore_state(state).unwrap_err();
        assert_eq!(error.to_string(), format!("`{state}` is no running mean of rewards"));
    }
}

#[test]
fn a_running_mean_weighs_all_observations_equally() {
    let mean = [1.0, 4.0, -2.0].into_iter().fold(RunningMean::default(), RunningMean::and);
    assert_eq!(mean, RunningMean { mean: 1.0, count: 3.0 });
}

#[test]
fn what_is_not_known_is_named() {
    let error = |dpo: Dpo| evaluate(&dpo, &batch(), &policy(), Some(&reference())).unwrap_err().to_string();
    assert!(
        error(of_type("dpop")).starts_with("there is no loss type `dpop`; there are `sigmoid`, `robust`")
    );
    let other = Dpo { f_divergence_type: "kl".into(), ..Dpo::default() };
    assert!(error(other).starts_with("there is no divergence `kl`"));
    let weights = Dpo { loss_weights: Some(vec![1.0, 2.0]), ..Dpo::default() };
    assert_eq!(error(weights), "`loss_weights` has 2 weights for 1 loss types");
    let none = Dpo { loss_type: Vec::new(), ..Dpo::default() };
    assert_eq!(error(none), "`loss_type` is empty");
    let robust = Dpo { label_smoothing: 0.5, ..of_type("robust") };
    assert_eq!(error(robust), "`label_smoothing` of the loss type `robust` must be below 0.5");
}
