//! Losses of rerankers: a score for a text together with a question, larger for texts that answer it.

use swift_plugin::prelude::*;

parameters! {
    /// Rerankers: scores that are larger for texts that belong to a question.
    pub struct Reranker {
        /// The formula: `pointwise_reranker` or `listwise_reranker`.
        pub loss_type: String = "pointwise_reranker".into(),
        /// What scores are divided by, for `listwise_reranker`.
        pub listwise_reranker_temperature: f64 = 1.0,
        /// Rows of fewer texts are left out, for `listwise_reranker`.
        pub listwise_reranker_min_group_size: u64 = 2,
    }
}

/// A formula: the micro-batch's share of the loss, of scores `[sequences]`.
type Share = fn(&Reranker, &Batch, &[Group], &Tensor) -> Result<Tensor>;

/// Every loss type.
const VARIANTS: &[(&str, Share)] =
    &[("pointwise_reranker", Reranker::pointwise), ("listwise_reranker", Reranker::listwise)];

impl Loss for Reranker {
    fn requirements(&self) -> Requirements {
        Requirements { input: Input::Groups, score_head: Some(1), ..Requirements::default() }
    }

    /// The formula of the scores of all positive and negative texts. The score of a row's first sequence, which is the
    /// question alone, does not count.
    fn compute(&self, batch: &Batch, policy: &Outputs, _reference: Option<&Outputs>) -> Result<Report> {
        let share = choose("loss type", &self.loss_type, VARIANTS)?;
        let scores = policy.scores()?.reshape(&[-1]);
        Ok(Report::new(share(self, batch, &batch.groups()?, &scores)?))
    }
}

impl Reranker {
    /// `-y log sigmoid(s) - (1 - y) log(1 - sigmoid(s))` with `y` 1 for positive texts, the mean over the texts of the window:
    /// Nogueira and Cho 2019, "Passage Re-ranking with BERT", eq. 1.
    fn pointwise(&self, batch: &Batch, groups: &[Group], scores: &Tensor) -> Result<Tensor> {
        let sum = |texts: &dyn Fn(&Group) -> Vec<u64>, losses: Tensor| {
            let texts: Vec<f64> = groups.iter().flat_map(texts).map(|text| text as f64).collect();
            let texts = Tensor::from_list(&texts, &[texts.len() as u64], Dtype::Int64);
            losses.index_select(0, &texts).sum_all()
        };
        let positive = sum(&|group| group.positives.clone().collect(), (-scores).softplus());
        let negative = sum(&|group| group.negatives.clone().collect(), scores.softplus());
        // One sequence a row is no text.
        Ok((positive + negative) / (batch.global_sequence_count() - batch.global_row_count()))
    }

    /// `-log(e^(s+ / t) / sum e^(s / t))` of a positive text among the negative ones of its row, the mean over the rows of the
    /// window: Cao et al. 2007, "Learning to Rank: From Pairwise Approach to Listwise Approach", eq. 4 for top one.
    fn listwise(&self, batch: &Batch, groups: &[Group], scores: &Tensor) -> Result<Tensor> {
        let scores = scores / self.listwise_reranker_temperature;
        let mut sum = scores.sum_all() * 0.0;
        for group in groups {
            if (group.others().count() as u64) < self.listwise_reranker_min_group_size {
                continue;
            }
            let negatives = &group.negatives;
            let negatives = scores.narrow(0, negatives.start, negatives.end - negatives.start);
            let positives = group.positives.clone();
            let weight = 1.0 / positives.clone().count() as f64;
            for positive in positives {
                let positive = scores.narrow(0, positive, 1);
                let all = Tensor::cat(&[&positive, &negatives], 0);
                sum = sum + (all.logsumexp(0, false) - positive.sum_all()) * weight;
            }
        }
        Ok(sum / batch.global_row_count())
    }
}

export!(Reranker: Loss);

#[cfg(test)]
mod tests {
    use super::*;
    use swift_plugin::testing::{ModelOutputs, PackedBatch, check_gradient, evaluate};

    /// A row with two positive texts and two negative ones, and one with a positive and a negative text.
    fn batch() -> PackedBatch {
        PackedBatch::new(&[1; 8]).groups(&[5, 3]).field("positive_count", &[2.0, 1.0])
    }

    fn policy() -> ModelOutputs {
        ModelOutputs::default().scores(&[9.0, 1.0, 0.5, -0.5, 0.25, 9.0, -1.0, 2.0])
    }

    fn of_type(loss_type: &str) -> Reranker {
        Reranker { loss_type: loss_type.into(), ..Reranker::default() }
    }

    fn loss(reranker: &Reranker, batch: &PackedBatch) -> f64 {
        evaluate(reranker, batch, &policy(), None).unwrap().loss
    }

    fn assert_close(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-12, "{actual} is not {expected}");
    }

    #[test]
    fn pointwise_it_is_the_cross_entropy_of_each_text() {
        let yes = |score: f64| (-score).exp().ln_1p();
        let positives = yes(1.0) + yes(0.5) + yes(-1.0);
        let negatives = yes(0.5) + yes(-0.25) + yes(-2.0);
        assert_close(loss(&of_type("pointwise_reranker"), &batch()), (positives + negatives) / 6.0);
    }

    #[test]
    fn listwise_it_is_the_cross_entropy_of_each_row() {
        let first_of = |scores: [f64; 3]| {
            scores.iter().map(|score| (score / 0.5).exp()).sum::<f64>().ln() - scores[0] / 0.5
        };
        let first = (first_of([1.0, -0.5, 0.25]) + first_of([0.5, -0.5, 0.25])) / 2.0;
        let second = (-6.0f64).exp().ln_1p() + 6.0;
        let listwise = Reranker { listwise_reranker_temperature: 0.5, ..of_type("listwise_reranker") };
        assert_close(loss(&listwise, &batch()), (first + second) / 2.0);
        let large = Reranker { listwise_reranker_min_group_size: 3, ..listwise };
        assert_close(loss(&large, &batch()), first / 2.0);
    }

    #[test]
    fn every_formula_gives_its_share_of_the_window_and_the_gradient_of_finite_differences() {
        for (name, _) in VARIANTS {
            let reranker = of_type(name);
            let part = batch().window(0, 8, 4);
            assert_close(loss(&reranker, &part), loss(&reranker, &batch()) / 4.0);
            check_gradient(&reranker, &batch(), &policy(), None).unwrap();
        }
    }

    #[test]
    fn an_unknown_formula_is_named() {
        let error = evaluate(&of_type("pairwise"), &batch(), &policy(), None).unwrap_err();
        let expected =
            "there is no loss type `pairwise`; there are `pointwise_reranker`, `listwise_reranker`";
        assert_eq!(error.to_string(), expected);
    }
}
