//! Classification and regression of texts, by a layer of as many outputs as there are classes or targets.

use swift_plugin::prelude::*;

parameters! {
    /// Classification of texts into one or several classes, and regression.
    pub struct Classification {
        /// `single_label_classification`, `multi_label_classification` or `regression`. By default regression if there is one
        /// output, several classes if labels are lists, else one class.
        pub problem_type: Option<String> = None,
    }
}

/// A formula: the losses' sum over the rows, of outputs `[rows, outputs]` and labels `[rows]` or `[rows, longest list]`.
type Losses = fn(&Tensor, &Tensor) -> Result<Tensor>;

/// Every kind of problem.
const VARIANTS: &[(&str, Losses)] = &[
    ("single_label_classification", cross_entropy),
    ("multi_label_classification", binary_cross_entropy),
    ("regression", squared_error),
];

impl Classification {
    /// As Transformers' sequence classification decides it.
    fn problem_type(&self, outputs: u64, labels: &Tensor) -> Result<&str> {
        Ok(match &self.problem_type {
            Some(problem_type) => problem_type,
            None if outputs == 1 => "regression",
            None if labels.shape()?.len() > 1 => "multi_label_classification",
            None => "single_label_classification",
        })
    }
}

impl Loss for Classification {
    fn requirements(&self) -> Requirements {
        Requirements { input: Input::Labelled, score_head: Some(0), ..Requirements::default() }
    }

    /// The mean over the rows of the window.
    fn compute(&self, batch: &Batch, policy: &Outputs, _reference: Option<&Outputs>) -> Result<Report> {
        let Some(labels) = batch.field("label") else { bail!("a row has no column `label`") };
        let scores = policy.scores()?;
        let outputs = scores.shape()?.last().copied().unwrap_or_default();
        let problem_type = self.problem_type(outputs, &labels)?;
        let losses = choose("problem type", problem_type, VARIANTS)?;
        let report = Report::new(losses(&scores, &labels)? / batch.global_row_count());
        Ok(match problem_type {
            "single_label_classification" => {
                let hits = scores.argmax(-1, false).eq(labels.reshape(&[-1]).cast(Dtype::Int64));
                report.metric("acc", hits)
            }
            _ => report,
        })
    }
}

/// `-log softmax(s)[label]` of each row.
fn cross_entropy(scores: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let classes = labels.cast(Dtype::Int64).reshape(&[-1, 1]);
    Ok(-scores.log_softmax(-1).gather(-1, &classes).sum_all())
}

/// `-y log sigmoid(s) - (1 - y) log(1 - sigmoid(s))`, the mean over the classes of a row, with `y` 1 for those that its list
/// names.
fn binary_cross_entropy(scores: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let dtype = scores.dtype()?;
    let [rows, classes] = scores.shape()?[..] else { bail!("scores have two dimensions") };
    // Lists are filled up with NaN, which equals no class.
    let named = labels.reshape(&[rows as i64, -1, 1]).eq(Tensor::arange(classes).cast(labels.dtype()?));
    let targets = named.cast(dtype).max(1, false);
    Ok((scores.softplus() - scores * targets).sum_all() / classes)
}

/// `(s - label)^2`, the mean over the targets of a row.
fn squared_error(scores: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let [rows, targets] = scores.shape()?[..] else { bail!("scores have two dimensions") };
    let labels = labels.reshape(&[rows as i64, targets as i64]);
    Ok((scores - labels).pow(2.0).sum_all() / targets)
}

export!(Classification: Loss);

#[cfg(test)]
mod tests {
    use super::*;
    use swift_plugin::testing::{Evaluation, ModelOutputs, PackedBatch, check_gradient, evaluate};

    fn batch(labels: &[f64]) -> PackedBatch {
        PackedBatch::new(&[3, 2]).labels(&[-100; 5]).field("label", labels)
    }

    /// Three outputs for each of two texts.
    fn policy() -> ModelOutputs {
        ModelOutputs::default().scores(&[0.5, -1.0, 2.0, 1.0, 0.0, -0.5])
    }

    fn evaluation(batch: &PackedBatch, policy: &ModelOutputs) -> Evaluation {
        check_gradient(&Classification::default(), batch, policy, None).unwrap();
        evaluate(&Classification::default(), batch, policy, None).unwrap()
    }

    fn assert_close(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-12, "{actual} is not {expected}");
    }

    #[test]
    fn one_class_is_learned_by_cross_entropy() {
        let evaluation = evaluation(&batch(&[2.0, 1.0]), &policy());
        let row =
            |scores: [f64; 3], label: usize| scores.iter().map(|s| s.exp()).sum::<f64>().ln() - scores[label];
        assert_close(evaluation.loss, (row([0.5, -1.0, 2.0], 2) + row([1.0, 0.0, -0.5], 1)) / 2.0);
        assert_eq!(evaluation.metric("acc"), 0.5);
    }

    #[test]
    fn several_classes_are_learned_each_for_itself() {
        // Classes 0 and 2 of the first text, class 1 of the second.
        let evaluation = evaluation(&batch(&[0.0, 2.0, 1.0, f64::NAN]), &policy());
        let yes = |score: f64| (-score).exp().ln_1p();
        let first = yes(0.5) + yes(1.0) + yes(2.0);
        let second = yes(-1.0) + yes(0.0) + yes(0.5);
        assert_close(evaluation.loss, (first + second) / 6.0);
    }

    #[test]
    fn numbers_are_learned_by_their_squared_error() {
        let one = ModelOutputs::default().scores(&[0.5, 2.0]);
        assert_close(evaluation(&batch(&[1.5, -1.0]), &one).loss, (1.0 + 9.0) / 2.0);
        let regression = Classification { problem_type: Some("regression".into()) };
        let targets = batch(&[1.5, -1.0, 0.0, 1.0, 2.0, -0.5]);
        let loss = evaluate(&regression, &targets, &policy(), None).unwrap().loss;
        assert_close(loss, (1.0 + 4.0 + 4.0) / 6.0);
    }

    #[test]
    fn a_list_of_one_class_may_be_meant_as_several() {
        let several = Classification { problem_type: Some("multi_label_classification".into()) };
        let loss = evaluate(&several, &batch(&[2.0, 1.0]), &policy(), None).unwrap().loss;
        let yes = |score: f64| (-score).exp().ln_1p();
        let first = yes(-0.5) + yes(1.0) + yes(2.0);
        let second = yes(-1.0) + yes(0.0) + yes(0.5);
        assert_close(loss, (first + second) / 6.0);
    }

    #[test]
    fn a_micro_batch_gives_its_share_of_the_window() {
        let whole = evaluation(&batch(&[2.0, 1.0]), &policy()).loss;
        assert_close(evaluation(&batch(&[2.0, 1.0]).window(0, 8, 4), &policy()).loss, whole / 4.0);
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        let error = |classification: &Classification, batch| {
            evaluate(classification, &batch, &policy(), None).unwrap_err().to_string()
        };
        let unlabelled = PackedBatch::new(&[3, 2]);
        assert_eq!(error(&Classification::default(), unlabelled), "a row has no column `label`");
        let ranking = Classification { problem_type: Some("ranking".into()) };
        let error = error(&ranking, batch(&[2.0, 1.0]));
        assert!(error.starts_with("there is no problem type `ranking`; there are `single_label"), "{error}");
    }
}
