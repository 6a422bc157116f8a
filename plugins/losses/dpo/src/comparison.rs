//! What the formulas compare.

use swift_plugin::prelude::*;

use crate::Dpo;

/// Log-probabilities of the answers, `[pairs]` each.
pub(crate) struct Comparison {
    /// `log p` of the chosen and of the rejected answers.
    pub(crate) policy: (Tensor, Tensor),
    /// The same of the reference model.
    pub(crate) reference: (Tensor, Tensor),
    /// `log p - log p_reference` of the chosen answers; `log p` if the comparison is free of the reference.
    pub(crate) chosen: Tensor,
    /// The same of the rejected answers.
    pub(crate) rejected: Tensor,
    /// By how much the chosen answers lead: `chosen - rejected`, unless another divergence is asked for.
    pub(crate) lead: Tensor,
}

impl Comparison {
    /// Of the answers' log-probabilities, sums over their tokens.
    pub(crate) fn of_sums(dpo: &Dpo, batch: &Batch, policy: &Tensor, reference: &Tensor) -> Result<Self> {
        let policy = batch.sum_by_sequence(&desensitised(dpo, batch, policy));
        Self::new(
            dpo,
            batch.split_sequences(&policy),
            batch.split_sequences(&batch.sum_by_sequence(reference)),
        )
    }

    /// Of the means of their tokens' log-probabilities.
    pub(crate) fn of_means(dpo: &Dpo, batch: &Batch, policy: &Tensor, reference: &Tensor) -> Result<Self> {
        let policy = batch.mean_by_sequence(&desensitised(dpo, batch, policy));
        Self::new(
            dpo,
            batch.split_sequences(&policy),
            batch.split_sequences(&batch.mean_by_sequence(reference)),
        )
    }

    fn new(dpo: &Dpo, policy: (Tensor, Tensor), reference: (Tensor, Tensor)) -> Result<Self> {
        let (chosen, rejected) = match dpo.reference_free {
            true => policy.clone(),
            false => (&policy.0 - &reference.0, &policy.1 - &reference.1),
        };
        let lead = match dpo.f_divergence_type.as_str() {
            "reverse_kl" => &chosen - &rejected,
            // Wang et al. 2023, "Beyond Reverse KL": `f'(u)` of each ratio `u` in the place of `log u`.
            "js_divergence" => (&chosen - chosen.softplus()) - (&rejected - rejected.softplus()),
            "alpha_divergence" => {
                let coefficient = dpo.f_alpha_divergence_coef;
                let power = |ratio: &Tensor| (ratio * -coefficient).clamp(f64::NEG_INFINITY, MOST).exp();
                (power(&rejected) - power(&chosen)) / coefficient
            }
            other => bail!(
                "there is no divergence `{other}`; there are `reverse_kl`, `js_divergence`, `alpha_divergence`"
            ),
        };
        Ok(Self { policy, reference, chosen, rejected, lead })
    }

    /// The rewards of both answers: `beta * (log p - log p_reference)` (Rafailov et al. 2023, eq. 5).
    pub(crate) fn rewards(&self, beta: f64) -> (Tensor, Tensor) {
        ((&self.policy.0 - &self.reference.0) * beta, (&self.policy.1 - &self.reference.1) * beta)
    }
}

/// The largest exponent whose power is a `float32`.
const MOST: f64 = 88.7;

/// Log-probabilities of tokens, of which those behind the length of the shorter answer of a pair weigh `ld_alpha` (Liu et
/// al. 2024, "Length Desensitization in Direct Preference Optimization"). `[tokens]`.
fn desensitised(dpo: &Dpo, batch: &Batch, token_logps: &Tensor) -> Tensor {
    let Some(alpha) = dpo.ld_alpha else { return token_logps.clone() };
    let mask = batch.label_mask();
    let lengths = batch.sum_by_sequence(&mask);
    let (chosen, rejected) = batch.split_sequences(&lengths);
    let common = chosen.minimum(&rejected);
    // Labels of all sequences are counted through: the common part of one ends so many after those before it.
    let end = lengths.cumsum(0) - &lengths + Tensor::cat(&[&common, &common], 0);
    let beyond = mask.cumsum(0).gt(end.index_select(0, &batch.segment_ids()));
    beyond.choose(&(token_logps * alpha), token_logps)
}
