//! The formulas, one function each: `[pairs]` losses of a comparison.
//!
//! `a` and `b` are `log p - log p_reference` of the chosen and of the rejected answer, `z = a - b` (or what another
//! divergence makes of it), `s` the label smoothing.

use swift_plugin::prelude::*;

use crate::Dpo;
use crate::comparison::Comparison;

type Losses = fn(&Dpo, &Batch, &Comparison) -> Result<Tensor>;

/// What a loss type is computed of.
#[derive(Clone, Copy)]
pub(crate) enum Formula {
    /// Of the answers' log-probabilities.
    OfSums(Losses),
    /// Of the means of their tokens' log-probabilities.
    OfMeans(Losses),
    /// The negative log-likelihood of the chosen answers' tokens.
    ChosenAnswers,
}

/// Every loss type.
const VARIANTS: &[(&str, Formula)] = &[
    ("sigmoid", Formula::OfSums(sigmoid)),
    ("robust", Formula::OfSums(robust)),
    ("hinge", Formula::OfSums(hinge)),
    ("ipo", Formula::OfMeans(ipo)),
    ("exo_pair", Formula::OfSums(exo_pair)),
    ("bco_pair", Formula::OfSums(bco_pair)),
    ("sppo_hard", Formula::OfSums(sppo_hard)),
    ("nca_pair", Formula::OfSums(nca_pair)),
    ("aot", Formula::OfSums(aot)),
    ("aot_unpaired", Formula::OfSums(aot_unpaired)),
    ("apo_zero", Formula::OfSums(apo_zero)),
    ("apo_down", Formula::OfSums(apo_down)),
    ("discopop", Formula::OfSums(discopop)),
    ("sft", Formula::ChosenAnswers),
];

/// The formula of a loss type.
pub(crate) fn variant(name: &str) -> Result<Formula> {
    choose("loss type", name, VARIANTS).copied()
}

/// The loss types.
#[cfg(test)]
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    VARIANTS.iter().map(|variant| variant.0)
}

/// `-(1 - s) log sigmoid(beta z) - s log sigmoid(-beta z)` of any lead `z`.
fn smoothed(dpo: &Dpo, lead: &Tensor) -> Tensor {
    let margin = lead * dpo.beta;
    let agreement = margin.log_sigmoid() * (1.0 - dpo.label_smoothing);
    let disagreement = (-margin).log_sigmoid() * dpo.label_smoothing;
    -(agreement + disagreement)
}

/// `-(1 - s) log sigmoid(beta z) - s log sigmoid(-beta z)`: Rafailov et al. 2023, "Direct Preference Optimization", eq. 7;
/// with smoothing Mitchell 2023, "A note on DPO with noisy preferences".
fn sigmoid(dpo: &Dpo, _: &Batch, compared: &Comparison) -> Result<Tensor> {
    Ok(smoothed(dpo, &compared.lead))
}

/// `(-(1 - s) log sigmoid(beta z) + s log sigmoid(-beta z)) / (1 - 2 s)`: Chowdhury et al. 2024, "Provably Robust DPO".
fn robust(dpo: &Dpo, _: &Batch, compared: &Comparison) -> Result<Tensor> {
    let smoothing = dpo.label_smoothing;
    if smoothing >= 0.5 {
        bail!("`label_smoothing` of the loss type `robust` must be below 0.5");
    }
    let margin = &compared.lead * dpo.beta;
    let right = margin.log_sigmoid() * (1.0 - smoothing);
    Ok(((-margin).log_sigmoid() * smoothing - right) / (1.0 - 2.0 * smoothing))
}

/// `max(0, 1 - beta z)`: the hinge of Zhao et al. 2023, "SLiC-HF", on the margin of DPO.
fn hinge(dpo: &Dpo, _: &Batch, compared: &Comparison) -> Result<Tensor> {
    Ok((1.0 - &compared.lead * dpo.beta).relu())
}

/// `(z - 1 / (2 beta))^2` with means over the tokens: Azar et al. 2023, "A General Theoretical Paradigm", eq. 17.
fn ipo(dpo: &Dpo, _: &Batch, compared: &Comparison) -> Result<Tensor> {
    Ok((&compared.lead - 0.5 / dpo.beta).pow(2.0))
}

/// `p (log p - log(1 - s)) + (1 - p) (log(1 - p) - log s)` with `p = sigmoid(beta z)`: Ji et al. 2024, "Towards Efficient
/// Exact Optimization", eq. 16. The target distribution must not be certain: without smoothing `s` is 0.001, as in TRL.
fn exo_pair(dpo: &Dpo, _: &Batch, compared: &Comparison) -> Result<Tensor> {
    let smoothing = if dpo.label_smoothing == 0.0 { 1e-3 } else { dpo.label_smoothing };
    let term = |margin: Tensor, target: f64| margin.sigmoid() * (margin.log_sigmoid() - target.ln());
    let margin = &compared.lead * dpo.beta;
    Ok(term(margin.clone(), 1.0 - smoothing) + term(-margin, smoothing))
}

/// `-log sigmoid(beta a - d) - log sigmoid(-(beta b - d))` with `d` the running mean of all rewards: Jung et al. 2024,
/// "Binary Classifier Optimization".
fn bco_pair(dpo: &Dpo, batch: &Batch, compared: &Comparison) -> Result<Tensor> {
    let (chosen, rejected) = compared.rewards(dpo.beta);
    let shift = dpo.mean_reward_with(batch, &Tensor::cat(&[&chosen, &rejected], 0))?;
    Ok(-(chosen - shift).log_sigmoid() - (-(rejected - shift)).log_sigmoid())
}

/// `(a - 1 / (2 beta))^2 + (b + 1 / (2 beta))^2`: Wu et al. 2024, "Self-Play Preference Optimization", with
/// probabilities 1 and 0 of winning.
fn sppo_hard(dpo: &Dpo, _: &Batch, compared: &Comparison) -> Result<Tensor> {
    let (chosen, rejected) = compared.rewards(1.0);
    Ok((chosen - 0.5 / dpo.beta).pow(2.0) + (rejected + 0.5 / dpo.beta).pow(2.0))
}

/// `-log sigmoid(beta a) - log sigmoid(-beta a) / 2 - log sigmoid(-beta b) / 2`: Chen et al. 2024, "Noise Contrastive
/// Alignment", for two answers.
fn nca_pair(dpo: &Dpo, _: &Batch, compared: &Comparison) -> Result<Tensor> {
    let (chosen, rejected) = compared.rewards(dpo.beta);
    let noise = ((-&chosen).log_sigmoid() + (-rejected).log_sigmoid()) * 0.5;
    Ok(-chosen.log_sigmoid() - noise)
}

/// As `sigmoid`, on the difference of the sorted log-ratios of the policy and of the reference: Melnyk et al. 2024,
/// "Distributional Preference Alignment via Optimal Transport", paired. It compares distributions over a micro-batch.
fn aot(dpo: &Dpo, _: &Batch, compared: &Comparison) -> Result<Tensor> {
    let policy = (&compared.policy.0 - &compared.policy.1).sort(false);
    let reference = (&compared.reference.0 - &compared.reference.1).sort(false);
    Ok(smoothed(dpo, &(policy - reference)))
}

/// As `sigmoid`, on the difference of the sorted rewards of chosen and of rejected answers: the same paper, unpaired.
fn aot_unpaired(dpo: &Dpo, _: &Batch, compared: &Comparison) -> Result<Tensor> {
    let (chosen, rejected) = compared.rewards(1.0);
    Ok(smoothed(dpo, &(chosen.sort(false) - rejected.sort(false))))
}

/// `(1 - sigmoid(beta a)) + sigmoid(beta b)`: D'Oosterlinck et al. 2024, "Anchored Preference Optimization", eq. 7, for
/// answers better than the model's own.
fn apo_zero(dpo: &Dpo, _: &Batch, compared: &Comparison) -> Result<Tensor> {
    Ok(1.0 - (&compared.chosen * dpo.beta).sigmoid() + (&compared.rejected * dpo.beta).sigmoid())
}

/// `sigmoid(beta a) + (1 - sigmoid(beta (a - b)))`: the same paper, eq. 8, for answers worse than the model's own.
fn apo_down(dpo: &Dpo, _: &Batch, compared: &Comparison) -> Result<Tensor> {
    let margin = (&compared.chosen - &compared.rejected) * dpo.beta;
    Ok((&compared.chosen * dpo.beta).sigmoid() + (1.0 - margin.sigmoid()))
}

/// `(1 - m) (-log sigmoid(beta z)) + m exp(-beta z)` with `m = sigmoid(beta z / tau)`: Lu et al. 2024, "Discovering
/// Preference Optimization Algorithms", the log-ratio modulated loss.
fn discopop(dpo: &Dpo, _: &Batch, compared: &Comparison) -> Result<Tensor> {
    let (chosen, rejected) = compared.rewards(dpo.beta);
    let margin = chosen - rejected;
    let modulation = (&margin / dpo.discopop_tau).sigmoid();
    Ok((-&margin).exp() * &modulation - margin.log_sigmoid() * (1.0 - modulation))
}
