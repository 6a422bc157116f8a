//! Generalised knowledge distillation (Agarwal et al. 2024, "On-Policy Distillation of Language Models").

use swift_plugin::prelude::*;

parameters! {
    /// Generalised knowledge distillation from a teacher model (Agarwal et al. 2024).
    pub struct Gkd {
        /// Between the teacher's divergence from the student (0) and the student's from the teacher (1).
        pub beta: f64 = 0.5,
        /// What both models' logits are divided by.
        pub temperature: f64 = 0.9,
        /// Weight of the cross entropy of the labels, which is added.
        pub sft_alpha: f64 = 0.0,
        /// Compares only so many tokens at each position: those that the teacher finds most likely.
        pub gkd_logits_topk: Option<u64> = None,
    }
}

impl Loss for Gkd {
    fn requirements(&self) -> Requirements {
        Requirements { trained_parts: TrainedParts::LastRound, teacher: true, ..Requirements::default() }
    }

    /// The generalised Jensen-Shannon divergence of teacher and student, the mean over the labelled positions of the
    /// micro-batch, and that over the micro-batches; and `sft_alpha` times their cross entropy.
    fn compute(&self, batch: &Batch, policy: &Outputs, _reference: Option<&Outputs>) -> Result<Report> {
        let mask = batch.label_mask();
        let [count] = mask.sum_all().to_list()?[..] else { bail!("a sum is one number") };
        let student = policy.logits()?.at_least_float32();
        if count == 0.0 {
            return Ok(Report::new(student.sum_all() * 0.0));
        }
        // Logits are the largest tensors there are: only those that count go on.
        let labelled = mask.argsort(true).narrow(0, 0, count as u64);
        let student = student.index_select(0, &labelled);
        let teacher = batch.with_teacher(|teacher| Ok(teacher.logits()?.index_select(0, &labelled)))?;
        let teacher = teacher.cast(student.dtype()?).detach();
        let (student, teacher) = self.comparable(student, teacher)?;
        let scaled = |logits: Tensor| (logits / self.temperature).log_softmax(-1);
        let mut loss = self.divergence(&scaled(student), &scaled(teacher)).sum_all() / count;
        if self.sft_alpha > 0.0 {
            loss = loss - policy.token_logps()?.sum_all() * (self.sft_alpha / count);
        }
        Ok(Report::new(loss / batch.global_batch_count()))
    }
}

impl Gkd {
    /// Student's and teacher's logits `[positions, vocab]` for the same tokens.
    ///
    /// Where one vocabulary is larger, by padding of its matrix or by special tokens of its own, the smaller one gets the
    /// other's logits for the rest, so that they add no difference of their own.
    fn comparable(&self, student: Tensor, teacher: Tensor) -> Result<(Tensor, Tensor)> {
        if let Some(count) = self.gkd_logits_topk {
            let most_likely = teacher.argsort(true).narrow(-1, 0, count);
            return Ok((student.gather(-1, &most_likely), teacher.gather(-1, &most_likely)));
        }
        let vocab =
            |logits: &Tensor| -> Result<u64> { Ok(logits.shape()?.last().copied().unwrap_or_default()) };
        let (of_student, of_teacher) = (vocab(&student)?, vocab(&teacher)?);
        let completed = |short: &Tensor, from: u64, long: &Tensor, to: u64| {
            Tensor::cat(&[short, &long.detach().narrow(-1, from, to - from)], -1)
        };
        Ok(match of_student.cmp(&of_teacher) {
            std::cmp::Ordering::Less => (completed(&student, of_student, &teacher, of_teacher), teacher),
            std::cmp::Ordering::Equal => (student, teacher),
            std::cmp::Ordering::Greater => {
                let teacher = completed(&teacher, of_teacher, &student, of_student);
                (student, teacher)
            }
        })
    }

    /// `beta KL(teacher || m) + (1 - beta) KL(student || m)` with `m = beta teacher + (1 - beta) student` (eq. 1 of the paper);
    /// at the ends `KL(teacher || student)` for 0 and `KL(student || teacher)` for 1. `[positions, vocab]` to `[positions]`.
    fn divergence(&self, student: &Tensor, teacher: &Tensor) -> Tensor {
        let kl = |of: &Tensor, from: &Tensor| (of.exp() * (of - from)).sum(&[-1], false);
        match self.beta {
            0.0 => kl(teacher, student),
            1.0 => kl(student, teacher),
            beta => {
                let parts = [&(student + (-beta).ln_1p()), &(teacher + beta.ln())];
                let mixture = Tensor::stack(&parts, 0).logsumexp(0, false);
                kl(teacher, &mixture) * beta + kl(student, &mixture) * (1.0 - beta)
            }
        }
    }
}

export!(Gkd: Loss);

#[cfg(test)]
mod tests {
    use super::*;
    use swift_plugin::testing::{ModelOutputs, PackedBatch, check_gradient, evaluate};

    /// Three tokens, of which the first two have labels, and a vocabulary of two.
    fn batch() -> PackedBatch {
        PackedBatch::new(&[3]).teacher(ModelOutputs::default().logits(&[1.0, 0.0, 0.5, 2.0, 9.0, 9.0]))
    }

    fn student() -> ModelOutputs {
        ModelOutputs::default().logits(&[0.0, 0.0, 1.0, -1.0, -9.0, 9.0])
    }

    fn probability(first: f64, second: f64) -> [f64; 2] {
        let first = 1.0 / (1.0 + (second - first).exp());
        [first, 1.0 - first]
    }

    fn kl(of: [f64; 2], from: [f64; 2]) -> f64 {
        of.iter().zip(from).map(|(p, q)| p * (p / q).ln()).sum()
    }

    fn assert_close(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-12, "{actual} is not {expected}");
    }

    #[test]
    fn the_loss_is_the_divergence_of_the_labelled_positions() {
        let teachers = [probability(0.5, 0.0), probability(0.25, 1.0)];
        let students = [probability(0.0, 0.0), probability(0.5, -0.5)];
        let mean = |f: &dyn Fn([f64; 2], [f64; 2]) -> f64| {
            (f(teachers[0], students[0]) + f(teachers[1], students[1])) / 2.0
        };
        let mixed = |t: [f64; 2], s: [f64; 2]| {
            let m = [0.25 * t[0] + 0.75 * s[0], 0.25 * t[1] + 0.75 * s[1]];
            0.25 * kl(t, m) + 0.75 * kl(s, m)
        };
        let loss = |beta| {
            let gkd = Gkd { beta, temperature: 2.0, ..Gkd::default() };
            evaluate(&gkd, &batch(), &student(), None).unwrap().loss
        };
        assert_close(loss(0.0), mean(&kl));
        assert_close(loss(1.0), mean(&|t, s| kl(s, t)));
        assert_close(loss(0.25), mean(&mixed));
    }

    #[test]
    fn the_cross_entropy_of_the_labels_is_added() {
        let loss = |sft_alpha| {
            let batch = batch().labels(&[1, 0, -100]);
            evaluate(&Gkd { sft_alpha, ..Gkd::default() }, &batch, &student(), None).unwrap().loss
        };
        let nll = -(probability(0.0, 0.0)[1].ln() + probability(1.0, -1.0)[0].ln()) / 2.0;
        assert_close(loss(0.5) - loss(0.0), 0.5 * nll);
    }

    #[test]
    fn what_only_one_vocabulary_has_adds_no_divergence_of_its_own() {
        let wide = ModelOutputs::default().logits(&[0.0, 0.0, 3.0, 1.0, -1.0, 2.0, 0.0, 0.0, 0.0]);
        let narrow = ModelOutputs::default().logits(&[0.0, 0.0, 1.0, -1.0, 0.0, 0.0]);
        let loss = |teacher: &ModelOutputs, student: &ModelOutputs| {
            let batch = PackedBatch::new(&[3]).labels(&[0, 1, -100]).teacher(teacher.clone());
            evaluate(&Gkd::default(), &batch, student, None).unwrap().loss
        };
        assert_close(loss(&wide, &narrow), 0.0);
        assert_close(loss(&narrow, &wide), 0.0);
    }

    #[test]
    fn a_micro_batch_gives_its_share_of_the_window() {
        let gkd = Gkd { sft_alpha: 0.5, ..Gkd::default() };
        let batch = batch().labels(&[1, 0, -100]);
        let whole = evaluate(&gkd, &batch, &student(), None).unwrap().loss;
        let part = evaluate(&gkd, &batch.window(100, 8, 4), &student(), None).unwrap().loss;
        assert_close(part, whole / 4.0);
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        for (beta, gkd_logits_topk) in [(0.0, None), (0.3, None), (1.0, None), (0.3, Some(1))] {
            let gkd = Gkd { beta, gkd_logits_topk, sft_alpha: 0.5, ..Gkd::default() };
            check_gradient(&gkd, &batch().labels(&[1, 0, -100]), &student(), None).unwrap();
        }
    }

    #[test]
    fn a_micro_batch_without_labels_has_no_loss() {
        let evaluation = evaluate(&Gkd::default(), &batch().labels(&[-100; 3]), &student(), None).unwrap();
        assert_eq!(evaluation.loss, 0.0);
        assert_eq!(evaluation.gradient("logits"), [0.0; 6]);
    }

    #[test]
    fn without_a_teacher_there_is_no_loss() {
        let error = evaluate(&Gkd::default(), &PackedBatch::new(&[3]), &student(), None).unwrap_err();
        assert_eq!(error.to_string(), "the outputs of the teacher model are missing");
    }
}
