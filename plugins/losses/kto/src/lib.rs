//! Kahneman-Tversky optimisation (Ethayarajh et al. 2024, "KTO: Model Alignment as Prospect Theoretic Optimization").

#[cfg(test)]
mod tests;

use swift_plugin::prelude::*;

parameters! {
    /// Kahneman-Tversky optimisation of wanted and unwanted answers (Ethayarajh et al. 2024).
    pub struct Kto {
        /// Strength of the pull towards the reference model.
        pub beta: f64 = 0.1,
        /// The formula: `kto`, or `apo_zero_unpaired`, which does without an estimate of the divergence.
        pub loss_type: String = "kto".into(),
        /// Weight of the wanted answers.
        pub desirable_weight: f64 = 1.0,
        /// Weight of the unwanted answers.
        pub undesirable_weight: f64 = 1.0,
    }
}

impl Kto {
    fn estimates_divergence(&self) -> bool {
        self.loss_type != "apo_zero_unpaired"
    }
}

impl Loss for Kto {
    fn requirements(&self) -> Requirements {
        Requirements {
            input: match self.estimates_divergence() {
                true => Input::UnpairedPreferenceWithMismatches,
                false => Input::UnpairedPreference,
            },
            trained_parts: TrainedParts::LastRound,
            reference: true,
            disable_dropout: true,
            ..Requirements::default()
        }
    }

    /// With `r = log p - log p_reference` of an answer: `w_d (1 - sigmoid(beta (r - z)))` of a wanted one,
    /// `w_u (1 - sigmoid(beta (z - r)))` of an unwanted one, the mean over the rows of the window (eq. 7).
    ///
    /// `z` is the divergence from the reference, estimated as the mean of `r` over the micro-batch's mismatches, at least 0,
    /// and without a gradient. `apo_zero_unpaired` has 0 in its place: the formula of `apo_zero` (D'Oosterlinck et al. 2024,
    /// "Anchored Preference Optimization", eq. 7), row by row.
    fn compute(&self, batch: &Batch, policy: &Outputs, reference: Option<&Outputs>) -> Result<Report> {
        if !["kto", "apo_zero_unpaired"].contains(&self.loss_type.as_str()) {
            bail!("there is no loss type `{}`; there are `kto`, `apo_zero_unpaired`", self.loss_type);
        }
        let Some(reference) = reference else { bail!("the outputs of the reference model are missing") };
        let Some(wanted) = batch.field("label") else { bail!("a row has no column `label`") };

        let logps = batch.sum_by_sequence(&policy.token_logps()?);
        let ratios = &logps - batch.sum_by_sequence(&reference.token_logps()?);
        let [rows] = wanted.shape()?[..] else { bail!("the column `label` is true or false") };
        let own = |per_sequence: &Tensor| per_sequence.narrow(0, 0, rows);
        let divergence = match self.estimates_divergence() {
            true => ratios.detach().narrow(0, rows, rows).mean_all().maximum(0.0),
            false => (&wanted * 0.0).sum_all(),
        };

        let unwanted = 1.0 - &wanted;
        let ratio = own(&ratios);
        let lead = (&ratio - &divergence) * (&wanted - &unwanted);
        let weight = &wanted * self.desirable_weight + &unwanted * self.undesirable_weight;
        let losses = weight * (1.0 - (lead * self.beta).sigmoid());

        let logits = own(&batch.sum_by_sequence(&policy.mean_logits()?)) * policy.vocab_size()?;
        let (logps, reward) = (own(&logps), ratio * self.beta);
        let mut report = Report::new(losses.sum_all() / batch.global_row_count());
        for (side, rows) in [("chosen", &wanted), ("rejected", &unwanted)] {
            report = report
                .weighted_metric(&format!("rewards/{side}"), &reward, rows)
                .weighted_metric(&format!("logps/{side}"), &logps, rows)
                .weighted_metric(&format!("logits/{side}"), &logits, rows);
        }
        // One observation a micro-batch, if it has rows of both kinds.
        let mean = |rows: &Tensor| (&reward * rows).sum_all() / rows.sum_all().maximum(1.0);
        let both = wanted.sum_all().minimum(1.0) * unwanted.sum_all().minimum(1.0);
        Ok(report
            .weighted_metric("rewards/margins", mean(&wanted) - mean(&unwanted), both)
            .metric("kl", divergence))
    }
}

export!(Kto: Loss);
