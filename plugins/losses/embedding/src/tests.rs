use super::*;
use swift_plugin::testing::{ModelOutputs, PackedBatch, check_gradient, evaluate};

/// Unit vectors by their angle in degrees, so that the cosine of two is that of the difference; of other lengths, which must
/// not matter.
fn at(angles: &[f64]) -> ModelOutputs {
    let vector = |(i, angle): (usize, &f64)| {
        let length = 1.0 + i as f64;
        [length * angle.to_radians().cos(), length * angle.to_radians().sin()]
    };
    ModelOutputs::default().last_hidden(&angles.iter().enumerate().flat_map(vector).collect::<Vec<_>>())
}

fn cosine(degrees: f64) -> f64 {
    degrees.to_radians().cos()
}

fn of_type(loss_type: &str) -> Embedding {
    Embedding { loss_type: loss_type.into(), ..Embedding::default() }
}

fn groups(lengths: &[u32]) -> PackedBatch {
    PackedBatch::new(&vec![1; lengths.iter().sum::<u32>() as usize]).groups(lengths)
}

fn pairs(labels: &[f64]) -> PackedBatch {
    groups(&vec![2; labels.len()]).field("label", labels)
}

fn loss(embedding: &Embedding, batch: &PackedBatch, outputs: &ModelOutputs) -> f64 {
    evaluate(embedding, batch, outputs, None).unwrap().loss
}

fn assert_close(actual: f64, expected: f64) {
    assert!((actual - expected).abs() < 1e-12, "{actual} is not {expected}");
}

/// The cross entropy of the first of several similarities, at a temperature of 0.1.
fn first_of(cosines: &[f64]) -> f64 {
    (cosines.iter().map(|cosine| (10.0 * cosine).exp()).sum::<f64>()).ln() - 10.0 * cosines[0]
}

#[test]
fn pairs_follow_the_formulas() {
    let outputs = at(&[0.0, 60.0, 0.0, 20.0]);
    let (far, near) = (1.0 - cosine(60.0), 1.0 - cosine(20.0));
    let batch = pairs(&[0.7, 0.2]);
    let expected = ((cosine(60.0) - 0.7).powi(2) + (cosine(20.0) - 0.2).powi(2)) / 2.0;
    assert_close(loss(&of_type("cosine_similarity"), &batch, &outputs), expected);
    let contrastive = of_type("contrastive");
    assert_close(
        loss(&contrastive, &pairs(&[1.0, 0.0]), &outputs),
        (far.powi(2) + (0.5 - near).powi(2)) / 4.0,
    );
    // Beyond the margin nothing pushes any more.
    let apart = at(&[0.0, 90.0, 0.0, 90.0]);
    assert_close(loss(&contrastive, &pairs(&[0.0, 0.0]), &apart), 0.0);
}

#[test]
fn without_labels_it_counts_what_the_second_text_is() {
    let outputs = at(&[0.0, 60.0, 0.0, 20.0]);
    let kinds = groups(&[2, 2]).field("positive_count", &[1.0, 0.0]);
    let contrastive = of_type("contrastive");
    assert_close(loss(&contrastive, &kinds, &outputs), loss(&contrastive, &pairs(&[1.0, 0.0]), &outputs));
}

#[test]
fn only_hard_pairs_count_online() {
    let online = of_type("online_contrastive");
    // Together: 10 and 50 degrees; apart: 40 and 85.
    let outputs = at(&[0.0, 10.0, 0.0, 50.0, 0.0, 40.0, 0.0, 85.0]);
    let batch = pairs(&[1.0, 1.0, 0.0, 0.0]);
    let expected = (1.0 - cosine(50.0)).powi(2) + (0.5 - (1.0 - cosine(40.0))).powi(2);
    assert_close(loss(&online, &batch, &outputs), expected);
    // One pair apart at 5 degrees: those together are compared with their own mean, about 31 degrees.
    let single = at(&[0.0, 10.0, 0.0, 50.0, 0.0, 5.0]);
    let expected = (1.0 - cosine(50.0)).powi(2) + (0.5 - (1.0 - cosine(5.0))).powi(2);
    assert_close(loss(&online, &pairs(&[1.0, 1.0, 0.0]), &single), expected);
}

#[test]
fn infonce_compares_with_all_texts_of_the_batch_or_with_the_rows_own() {
    // A row with a negative text, and one without.
    let (outputs, batch) = (at(&[0.0, 20.0, 70.0, 100.0, 110.0]), groups(&[3, 2]));
    let infonce = Embedding::default();
    let first = [cosine(20.0), cosine(70.0), cosine(110.0)];
    let second = [cosine(10.0), cosine(80.0), cosine(30.0)];
    assert_close(loss(&infonce, &batch, &outputs), (first_of(&first) + first_of(&second)) / 2.0);
    let alone = Embedding { infonce_use_batch: false, ..infonce.clone() };
    assert_close(loss(&alone, &batch, &outputs), first_of(&first[..2]) / 2.0);
    // The first row's text at 70 degrees is as close to the second anchor as its own positive text less the margin.
    let masked = Embedding {
        infonce_mask_fake_negative: true,
        infonce_fake_neg_margin: cosine(31.0) - cosine(10.0),
        ..infonce
    };
    let second = [cosine(10.0), cosine(80.0)];
    assert_close(loss(&masked, &batch, &outputs), (first_of(&first) + first_of(&second)) / 2.0);
}

#[test]
fn several_positive_texts_of_a_row_share_its_weight_and_do_not_push_each_other() {
    let batch = groups(&[4]).field("positive_count", &[2.0]);
    let outputs = at(&[0.0, 20.0, 40.0, 70.0]);
    let expected = [[20.0, 70.0], [40.0, 70.0]].map(|degrees| first_of(&degrees.map(cosine)));
    for infonce_use_batch in [true, false] {
        let infonce = Embedding { infonce_use_batch, ..Embedding::default() };
        assert_close(loss(&infonce, &batch, &outputs), (expected[0] + expected[1]) / 2.0);
    }
}

#[test]
fn negative_texts_are_left_out_or_repeated() {
    let outputs = at(&[0.0, 20.0, 70.0, 80.0]);
    let with = |count| {
        let infonce = Embedding { infonce_hard_negatives: Some(count), ..Embedding::default() };
        loss(&infonce, &groups(&[4]), &outputs)
    };
    assert_close(with(1), first_of(&[20.0, 70.0].map(cosine)));
    assert_close(with(3), first_of(&[20.0, 70.0, 80.0, 70.0].map(cosine)));
}

#[test]
fn every_formula_gives_its_share_of_the_window_and_the_gradient_of_finite_differences() {
    let outputs = at(&[0.0, 20.0, 100.0, 170.0, 40.0, 70.0, 0.0, 95.0]);
    let all = Embedding {
        infonce_include_qq: true,
        infonce_include_dd: true,
        infonce_mask_fake_negative: true,
        ..Embedding::default()
    };
    let plain = VARIANTS.iter().map(|(name, _)| of_type(name));
    for embedding in plain.chain([all]) {
        let batch = pairs(&[1.0, 1.0, 0.0, 0.0]);
        let whole = loss(&embedding, &batch, &outputs);
        assert_close(loss(&embedding, &batch.clone().window(0, 16, 4), &outputs), whole / 4.0);
        check_gradient(&embedding, &batch, &outputs, None).unwrap();
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let error = |embedding: &Embedding, batch: &PackedBatch| {
        evaluate(embedding, batch, &at(&[0.0, 10.0, 20.0]), None).unwrap_err().to_string()
    };
    let triple = groups(&[3]);
    let expected = "a row has 2 texts beside its anchor; pairs have one";
    assert_eq!(error(&of_type("contrastive"), &triple), expected);
    let unrelated = groups(&[3]).field("positive_count", &[0.0]);
    assert_eq!(error(&Embedding::default(), &unrelated), "a row has no positive text");
    let expected = "there is no loss type `triplet`; there are `infonce`, `cosine_similarity`, `contrastive`, \
                    `online_contrastive`";
    assert_eq!(error(&of_type("triplet"), &triple), expected);
}
