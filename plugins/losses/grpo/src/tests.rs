use super::*;
use swift_plugin::testing::{ModelOutputs, PackedBatch, check_gradient, evaluate};

/// A prompt with two answers, of two tokens and of three: the first better than the mean, the second worse.
fn batch() -> PackedBatch {
    PackedBatch::new(&[3, 4])
        .groups(&[2])
        .token_field("advantages", &[1.0, 1.0, 1.0, -0.5, -0.5, -0.5, -0.5])
        .token_field("old_logps", &[-1.5, -2.0, 9.0, -1.0, -0.9, -2.0, 9.0])
        .token_field("ref_logps", &[-0.5, -2.5, 9.0, -1.25, -1.0, -1.5, 9.0])
        .token_field("truncated", &[0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0])
}

/// The ratios are `e^0.5`, 1.05 and so on: none is where a formula has a corner.
fn policy() -> ModelOutputs {
    ModelOutputs::new(&[-1.0, -1.95, 0.0, -1.5, -0.8, -2.05, 0.0])
        .entropies(&[0.5, 2.0, 0.0, 1.0, 3.0, 0.25, 0.0])
}

fn of_type(loss_type: &str) -> Grpo {
    Grpo { loss_type: loss_type.into(), beta: 0.0, ..Grpo::default() }
}

fn loss_of(grpo: &Grpo, batch: &PackedBatch) -> f64 {
    evaluate(grpo, batch, &policy(), None).unwrap().loss
}

fn assert_close(actual: f64, expected: f64) {
    assert!((actual - expected).abs() < 1e-12, "{actual} is not {expected}");
}

#[test]
fn the_loss_follows_the_formula() {
    // 1.2 for `e^0.5`, as the advantage is positive; 0.8 for `e^-0.5`, as it is negative.
    let first = -(1.2 + 0.05f64.exp()) / 2.0;
    let second = 0.5 * (0.8 + 0.1f64.exp() + (-0.05f64).exp()) / 3.0;
    assert_close(loss_of(&of_type("grpo"), &batch()), (first + second) / 2.0);
    assert_close(loss_of(&of_type("bnpo"), &batch()), (first * 2.0 + second * 3.0) / 5.0);
    let longest = Grpo { max_completion_length: 10, ..of_type("dr_grpo") };
    assert_close(loss_of(&longest, &batch()), (first * 2.0 + second * 3.0) / 20.0);
}

#[test]
fn the_metrics_have_the_names_of_ms_swift() {
    let evaluation = evaluate(&Grpo::default(), &batch(), &policy(), None).unwrap();
    let names: Vec<&str> = evaluation.metrics.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["clip_ratio/low_mean", "clip_ratio/high_mean", "clip_ratio/region_mean", "kl"]);
    assert_close(evaluation.metric("clip_ratio/low_mean"), 1.0 / 5.0);
    assert_close(evaluation.metric("clip_ratio/high_mean"), 1.0 / 5.0);
    assert_close(evaluation.metric("clip_ratio/region_mean"), 2.0 / 5.0);
    let divergence: f64 = [0.5, -0.55, 0.25, -0.2, 0.55].map(|x: f64| x.exp() - x - 1.0).iter().sum();
    assert_close(evaluation.metric("kl"), divergence / 5.0);
}

#[test]
fn the_reference_is_what_the_rollouts_know_or_the_model_computes() {
    let known = loss_of(&Grpo::default(), &batch());
    let batch = PackedBatch::new(&[3, 4])
        .token_field("advantages", &[1.0, 1.0, 1.0, -0.5, -0.5, -0.5, -0.5])
        .token_field("old_logps", &[-1.5, -2.0, 9.0, -1.0, -0.9, -2.0, 9.0]);
    let reference = ModelOutputs::new(&[-0.5, -2.5, 0.0, -1.25, -1.0, -1.5, 0.0]);
    let computed = evaluate(&Grpo::default(), &batch, &policy(), Some(&reference)).unwrap().loss;
    assert_close(computed, known);
    let error = evaluate(&Grpo::default(), &batch, &policy(), None).unwrap_err();
    assert_eq!(error.message(), "the outputs of the reference model are missing");
}

#[test]
fn a_reference_model_is_asked_for_unless_nothing_pulls_towards_it() {
    assert!(Grpo::default().requirements().reference);
    assert!(!of_type("grpo").requirements().reference);
}

#[test]
fn every_formula_gives_its_share_of_the_window() {
    for (loss_type, _) in LOSS_TYPES {
        let whole = loss_of(&of_type(loss_type), &batch());
        assert!(whole != 0.0, "{loss_type}");
        // Four times the labels, prompts, sequences and micro-batches.
        let part = loss_of(&of_type(loss_type), &batch().window(20, 4, 4));
        assert_close(part, whole / 4.0);
    }
}

#[test]
fn the_gradient_of_every_formula_agrees_with_finite_differences() {
    // The gradients of these are on purpose not those of their values: a part of them is held fast.
    let held_fast = ["cispo", "fipo"];
    for (loss_type, _) in LOSS_TYPES.iter().filter(|(name, _)| !held_fast.contains(name)) {
        for importance_sampling_level in ["token", "sequence"] {
            let importance_sampling_level = importance_sampling_level.into();
            let grpo = Grpo { importance_sampling_level, beta: 0.1, ..of_type(loss_type) };
            check_gradient(&grpo, &batch(), &policy(), None).unwrap();
        }
    }
}

#[test]
fn the_influence_of_a_token_is_what_follows_it_in_its_sequence() {
    let fipo =
        Grpo { fipo_decay_rate: 1.0, fipo_clip_range: None, fipo_safety_threshold: None, ..of_type("fipo") };
    let evaluation = evaluate(&fipo, &batch(), &policy(), None).unwrap();
    // Changes of 0.5 and 0.05, then of -0.5, 0.1 and -0.05; each further token counts half.
    let future = [0.5 + 0.025, 0.05, -0.5 + 0.05 - 0.0125, 0.1 - 0.025, -0.05];
    assert_close(evaluation.metric("fipo/future_kl_mean"), future.iter().sum::<f64>() / 5.0);
    let weights: f64 = future.iter().map(|sum| sum.exp()).sum();
    assert_close(evaluation.metric("fipo/influence_weight_mean"), weights / 5.0);
}

/// One answer of a negative advantage, of two tokens whose ratios are 2 and `e^2`.
fn evaluate_influence(delta: Option<f64>) -> swift_plugin::testing::Evaluation {
    let batch = PackedBatch::new(&[3])
        .token_field("advantages", &[-1.0; 3])
        .token_field("old_logps", &[-2f64.ln() - 1.0, -3.0, 0.0]);
    let fipo = Grpo { delta, fipo_decay_rate: 1.0, ..of_type("fipo") };
    evaluate(&fipo, &batch, &ModelOutputs::new(&[-1.0, -1.0, 0.0]), None).unwrap()
}

#[test]
fn a_worse_token_that_became_much_more_likely_is_given_no_more_weight() {
    let evaluation = evaluate_influence(None);
    // Both weights are larger than 1.2, which is the limit; that of the ratio above 4 becomes 1.
    assert_close(evaluation.metric("fipo/influence_weight_mean"), (1.2 + 1.0) / 2.0);
    assert_close(evaluation.metric("fipo/safety_keep_ratio"), 0.5);
    assert_close(evaluation.loss, (2.0 * 1.2 + 2f64.exp() * 1.0) / 2.0);
}

#[test]
fn what_follows_does_not_count_where_its_ratio_is_above_delta() {
    let sums = |delta| evaluate_influence(delta).metric("fipo/future_kl_mean");
    assert_close(sums(None), (2f64.ln() + 1.0 + 2.0) / 2.0);
    assert_close(sums(Some(3.0)), 2f64.ln() / 2.0);
    assert_close(evaluate_influence(Some(3.0)).loss, (2.0 * 1.2 + 3.0 * 1.0) / 2.0);
}

#[test]
fn long_answers_count_as_if_every_later_token_were_added_up() {
    let changes: Vec<f64> = (0..100).map(|i| f64::from(i % 7) * 0.01 - 0.02).collect();
    let batch = PackedBatch::new(&[3, 98, 1])
        .token_field("advantages", &[1.0; 102])
        .token_field("old_logps", &[0.0; 102]);
    let policy: Vec<f64> = [0.3, 0.2, 0.0].into_iter().chain(changes.clone()).take(102).collect();
    let fipo = Grpo { fipo_clip_range: None, ..of_type("fipo") };
    let evaluation = evaluate(&fipo, &batch, &ModelOutputs::new(&policy), None).unwrap();
    let discounted = |values: &[f64]| -> f64 {
        let after = |t: usize| (0..).zip(&values[t..]).map(|(k, x)| x * (-f64::from(k) / 32.0).exp2());
        (0..values.len()).map(|t| after(t).sum::<f64>()).sum()
    };
    let expected = (discounted(&[0.3, 0.2]) + discounted(&changes[..97])) / 99.0;
    assert_close(evaluation.metric("fipo/future_kl_mean"), expected);
}

#[test]
fn answers_of_one_kind_are_not_told_apart() {
    let batch = PackedBatch::new(&[3, 4]).groups(&[2]).token_field("advantages", &[1.0; 7]);
    let evaluation = evaluate(&of_type("real"), &batch, &policy(), None).unwrap();
    assert_eq!(evaluation.loss, 0.0);
    assert_eq!(evaluation.gradient("token_logps"), [0.0; 7]);
}

#[test]
fn answers_that_were_cut_off_can_be_left_out() {
    let filtered = Grpo { overlong_filter: true, ..of_type("bnpo") };
    assert_close(loss_of(&filtered, &batch()), -(1.2 + 0.05f64.exp()) / 2.0);
}

#[test]
fn only_tokens_of_high_entropy_are_trained_on() {
    // The median of five entropies is 1; that token, and the two above it, stay.
    let grpo = Grpo { top_entropy_quantile: 0.5, ..of_type("bnpo") };
    let evaluation = evaluate(&grpo, &batch(), &policy(), None).unwrap();
    assert_close(evaluation.metric("entropy/threshold"), 1.0);
    assert_close(evaluation.loss, (-(0.05f64.exp()) + 0.5 * (0.8 + 0.1f64.exp())) / 5.0);
}

#[test]
fn worse_answers_that_became_unlikely_can_be_left_out() {
    // The second answer's tokens fell by 0.15 on average.
    let grpo = |delta| Grpo { off_policy_sequence_mask_delta: Some(delta), ..of_type("bnpo") };
    assert_close(loss_of(&grpo(0.14), &batch()), -(1.2 + 0.05f64.exp()) / 2.0);
    assert_close(loss_of(&grpo(0.16), &batch()), loss_of(&of_type("bnpo"), &batch()));
    // What the engine gave goes before what the policy gave.
    let batch = batch().token_field("rollout_logps", &[-1.0, -1.95, 0.0, -1.0, -0.3, -1.55, 0.0]);
    assert_close(loss_of(&grpo(0.49), &batch), -(1.2 + 0.05f64.exp()) / 2.0);
}

#[test]
fn a_micro_batch_without_labels_has_no_loss() {
    for (loss_type, _) in LOSS_TYPES {
        let batch = batch().labels(&[-100; 7]).window(5, 1, 1);
        let grpo = Grpo { top_entropy_quantile: 0.5, beta: 0.1, ..of_type(loss_type) };
        let evaluation = evaluate(&grpo, &batch, &policy(), None).unwrap();
        assert_eq!(evaluation.loss, 0.0, "{loss_type}");
        assert_eq!(evaluation.gradient("token_logps"), [0.0; 7], "{loss_type}");
    }
}

#[test]
fn errors_name_what_is_wrong() {
    let message =
        |grpo: &Grpo, batch| evaluate(grpo, &batch, &policy(), None).unwrap_err().message().to_owned();
    assert_eq!(message(&of_type("grpo"), PackedBatch::new(&[3, 4])), "the rollouts have no `advantages`");
    assert_eq!(
        message(&of_type("gspo"), batch()),
        "there is no loss type `gspo`; there are `grpo`, `bnpo`, `dr_grpo`, `dapo`, `fipo`, `cispo`, `sapo`, `real`"
    );
    let grpo = Grpo { importance_sampling_level: "word".into(), ..of_type("grpo") };
    assert_eq!(
        message(&grpo, batch()),
        "there is no importance sampling level `word`; there are `token`, `sequence`, `sequence_token`"
    );
}
