use super::*;
use swift_plugin::testing::{ModelOutputs, PackedBatch, check_gradient, evaluate};

/// Two answers, of two tokens and of one.
fn batch() -> PackedBatch {
    PackedBatch::new(&[3, 2])
        .token_field("advantages", &[1.0, -0.5, 9.0, 2.0, 9.0])
        .token_field("old_logps", &[-1.5, -2.0, 9.0, -1.0, 9.0])
        .token_field("old_values", &[0.5, 0.25, -1.0, 2.0, 0.0])
        .token_field("returns", &[1.0, 0.0, -2.0, 1.5, 0.5])
}

fn policy() -> ModelOutputs {
    ModelOutputs::new(&[-1.0, -1.95, 0.0, -1.5, 0.0]).token_scores(&[0.6, -0.25, -1.5, 1.75, 0.3])
}

fn assert_close(actual: f64, expected: f64) {
    assert!((actual - expected).abs() < 1e-12, "{actual} is not {expected}");
}

/// The first ratio is clipped, to 1.2.
fn policy_loss() -> f64 {
    (-1.2 + 0.5 * 0.05f64.exp() - 2.0 * (-0.5f64).exp()) / 3.0
}

#[test]
fn the_loss_follows_the_formula() {
    let evaluation = evaluate(&Ppo { vf_coef: 0.5, ..Ppo::default() }, &batch(), &policy(), None).unwrap();
    // Of the second state the value may only move to 0.05, of the third to 1.8: the larger error counts.
    let value = (0.4f64.powi(2) + 0.25f64.powi(2) + 0.3f64.powi(2)) / 3.0 / 2.0;
    assert_close(evaluation.metric("loss/policy_avg"), policy_loss());
    assert_close(evaluation.metric("loss/value_avg"), value);
    assert_close(evaluation.loss, policy_loss() + 0.5 * value);
    assert_close(evaluation.metric("policy/clipfrac_avg"), 1.0 / 3.0);
    assert_close(evaluation.metric("val/clipfrac_avg"), 1.0 / 3.0);
    let changes: f64 = [0.5f64, 0.05, -0.5].iter().map(|change| change.powi(2)).sum();
    assert_close(evaluation.metric("policy/approxkl_avg"), changes / 3.0 / 2.0);
    let ratios: f64 = [0.5f64, 0.05, -0.5].iter().map(|change| change.exp()).sum();
    assert_close(evaluation.metric("val/ratio"), ratios / 3.0);
}

#[test]
fn the_state_behind_an_answer_counts_if_the_trainer_says_so() {
    let batch = batch().token_field("value_mask", &[1.0; 5]);
    let evaluation = evaluate(&Ppo::default(), &batch, &policy(), None).unwrap();
    // The third value may only move to -1.2, the fifth to 0.2.
    let squares = [0.4f64, 0.25, 0.8, 0.3, 0.3].iter().map(|error| error.powi(2)).sum::<f64>();
    assert_close(evaluation.metric("loss/value_avg"), squares / 5.0 / 2.0);
    assert_close(evaluation.metric("loss/policy_avg"), policy_loss());
}

#[test]
fn rollouts_of_the_present_policy_have_the_gradient_of_the_advantages() {
    let batch = PackedBatch::new(&[3])
        .token_field("advantages", &[1.0, -0.5, 9.0])
        .token_field("old_values", &[0.0; 3])
        .token_field("returns", &[0.0; 3]);
    let policy = ModelOutputs::new(&[-1.0, -2.0, 0.0]).token_scores(&[0.0; 3]);
    let evaluation = evaluate(&Ppo::default(), &batch, &policy, None).unwrap();
    assert_close(evaluation.loss, -0.25);
    assert_eq!(evaluation.gradient("token_logps"), [-0.5, 0.25, 0.0]);
}

#[test]
fn a_micro_batch_gives_its_share_of_the_window() {
    let whole = evaluate(&Ppo::default(), &batch(), &policy(), None).unwrap().loss;
    let part = evaluate(&Ppo::default(), &batch().window(100, 8, 4), &policy(), None).unwrap().loss;
    assert_close(part, whole / 4.0);
}

#[test]
fn the_gradient_agrees_with_finite_differences() {
    let ppo = Ppo { vf_coef: 0.7, ..Ppo::default() };
    check_gradient(&ppo, &batch(), &policy(), None).unwrap();
    check_gradient(&ppo, &batch().token_field("value_mask", &[1.0; 5]), &policy(), None).unwrap();
}

#[test]
fn a_micro_batch_without_labels_has_no_loss() {
    let evaluation = evaluate(&Ppo::default(), &batch().labels(&[-100; 5]), &policy(), None).unwrap();
    assert_eq!(evaluation.loss, 0.0);
    assert_eq!(evaluation.gradient("token_scores"), [0.0; 5]);
}

#[test]
fn what_the_rollouts_lack_is_named() {
    let error = evaluate(&Ppo::default(), &PackedBatch::new(&[3, 2]), &policy(), None).unwrap_err();
    assert_eq!(error.message(), "the rollouts have no `advantages`");
}

#[test]
fn a_value_function_is_asked_for() {
    let requirements = Ppo::default().requirements();
    assert_eq!((requirements.input, requirements.score_head), (Input::Rollouts, Some(1)));
}
