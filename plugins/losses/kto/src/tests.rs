use super::*;
use swift_plugin::testing::{ModelOutputs, PackedBatch, check_gradient, evaluate};

/// A wanted answer of two tokens and an unwanted one of one, then two mismatches of one token.
fn batch() -> PackedBatch {
    PackedBatch::new(&[3, 2, 2, 2]).field("label", &[1.0, 0.0])
}

/// Log-ratios to [`reference`]: +1 and -2, then +2.5 and -1.5.
fn policy() -> ModelOutputs {
    ModelOutputs::new(&[-1.0, -2.0, 0.0, -4.0, 0.0, -1.0, 0.0, -3.0, 0.0])
        .mean_logits(&[0.5, 1.0, 9.0, -2.0, 9.0, 7.0, 9.0, 7.0, 9.0])
        .vocab_size(10)
}

fn reference() -> ModelOutputs {
    ModelOutputs::new(&[-1.5, -2.5, 0.0, -2.0, 0.0, -3.5, 0.0, -1.5, 0.0])
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn assert_close(actual: f64, expected: f64) {
    assert!((actual - expected).abs() < 1e-12, "{actual} is not {expected}");
}

#[test]
fn the_loss_follows_the_formula() {
    let kto = Kto { beta: 0.5, desirable_weight: 1.5, undesirable_weight: 0.7, ..Kto::default() };
    let evaluation = evaluate(&kto, &batch(), &policy(), Some(&reference())).unwrap();
    // The mean of +2.5 and -1.5.
    let divergence = 0.5;
    let wanted = 1.5 * (1.0 - sigmoid(0.5 * (1.0 - divergence)));
    let unwanted = 0.7 * (1.0 - sigmoid(0.5 * (divergence + 2.0)));
    assert_close(evaluation.loss, (wanted + unwanted) / 2.0);
    assert_close(evaluation.metric("kl"), divergence);
    assert_eq!(evaluation.gradient("token_logps")[5..], [0.0; 4], "mismatches are not trained on");
}

#[test]
fn a_negative_estimate_of_the_divergence_counts_as_none() {
    // Log-ratios of -2.5 and -0.5.
    let policy = reference().mean_logits(&[0.0; 9]).vocab_size(1);
    let mirrored = ModelOutputs::new(&[-1.0, -2.0, 0.0, -4.0, 0.0, -1.0, 0.0, -1.0, 0.0]);
    let evaluation = evaluate(&Kto::default(), &batch(), &policy, Some(&mirrored)).unwrap();
    assert_eq!(evaluation.metric("kl"), 0.0);
}

#[test]
fn without_an_estimate_of_the_divergence_there_are_no_mismatches() {
    let apo = Kto { loss_type: "apo_zero_unpaired".into(), ..Kto::default() };
    assert_eq!(apo.requirements().input, Input::UnpairedPreference);
    assert_eq!(Kto::default().requirements().input, Input::UnpairedPreferenceWithMismatches);
    let batch = PackedBatch::new(&[3, 2]).field("label", &[1.0, 0.0]);
    let policy = ModelOutputs::new(&[-1.0, -2.0, 0.0, -4.0, 0.0]).mean_logits(&[0.0; 5]).vocab_size(1);
    let reference = ModelOutputs::new(&[-1.5, -2.5, 0.0, -2.0, 0.0]);
    let evaluation = evaluate(&apo, &batch, &policy, Some(&reference)).unwrap();
    assert_close(evaluation.loss, (1.0 - sigmoid(0.1) + sigmoid(-0.2)) / 2.0);
    assert_eq!(evaluation.metric("kl"), 0.0);
    check_gradient(&apo, &batch, &policy, Some(&reference)).unwrap();
}

#[test]
fn a_micro_batch_gives_its_share_of_the_window() {
    let whole = evaluate(&Kto::default(), &batch(), &policy(), Some(&reference())).unwrap().loss;
    let window = batch().window(100, 8, 4);
    let part = evaluate(&Kto::default(), &window, &policy(), Some(&reference())).unwrap().loss;
    assert_close(part, whole / 4.0);
}

#[test]
fn each_side_has_the_metrics_of_its_own_rows() {
    let evaluation = evaluate(&Kto::default(), &batch(), &policy(), Some(&reference())).unwrap();
    let expected = [
        ("rewards/chosen", 0.1),
        ("logps/chosen", -3.0),
        ("logits/chosen", 15.0),
        ("rewards/rejected", -0.2),
        ("logps/rejected", -4.0),
        ("logits/rejected", -20.0),
        ("rewards/margins", 0.3),
        ("kl", 0.5),
    ];
    assert_eq!(evaluation.metrics.len(), expected.len());
    for ((name, mean), (expected_name, expected_mean)) in evaluation.metrics.iter().zip(expected) {
        assert_eq!(name, expected_name);
        assert_close(*mean, expected_mean);
    }
}

#[test]
fn a_micro_batch_of_one_kind_has_no_margin() {
    let wanted = PackedBatch::new(&[3, 2, 2, 2]).field("label", &[1.0, 1.0]);
    let evaluation = evaluate(&Kto::default(), &wanted, &policy(), Some(&reference())).unwrap();
    assert!(evaluation.metric("rewards/margins").is_nan() && evaluation.metric("rewards/rejected").is_nan());
    assert_close(evaluation.metric("rewards/chosen"), 0.1 * (1.0 - 2.0) / 2.0);
}

#[test]
fn what_is_missing_or_unknown_is_named() {
    let error = |kto: &Kto, batch: PackedBatch, reference: Option<&ModelOutputs>| {
        evaluate(kto, &batch, &policy(), reference).unwrap_err().to_string()
    };
    let kto = Kto::default();
    assert_eq!(error(&kto, batch(), None), "the outputs of the reference model are missing");
    let unlabelled = PackedBatch::new(&[3, 2, 2, 2]);
    assert_eq!(error(&kto, unlabelled, Some(&reference())), "a row has no column `label`");
    let other = Kto { loss_type: "bco".into(), ..Kto::default() };
    let expected = "there is no loss type `bco`; there are `kto`, `apo_zero_unpaired`";
    assert_eq!(error(&other, batch(), Some(&reference())), expected);
}
