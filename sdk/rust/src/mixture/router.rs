//! The choice of experts: first of groups, then inside of them.

use super::{Balance, ExpertSizes, Routing, top_k};
use crate::{Context, Linear, ParameterTable, Result, Role, Settings, Stack, Tensor, bail};

/// The end of the name of what is added to scores for the choice alone.
const CORRECTION: &str = ".e_score_correction_bias";

/// How experts are chosen and weighted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RouterRules {
    experts: ExpertSizes,
    /// Groups, and how many of them a token's experts may be in.
    groups: Option<(u64, u64)>,
    /// Scores by a sigmoid, corrected for the choice, where a group counts as its best two.
    corrected: bool,
    renormalised: bool,
    scaling: f64,
}

impl RouterRules {
    /// The experts of the largest probabilities, and these as weights, divided by their sum if `renormalised`.
    pub fn probabilities(experts: ExpertSizes, renormalised: bool) -> Self {
        Self { experts, groups: None, corrected: false, renormalised, scaling: 1.0 }
    }

    /// How many experts there are, and how many a token goes to.
    pub fn experts(&self) -> ExpertSizes {
        self.experts
    }

    /// Reads them by the names of DeepSeek's configurations. If `corrected`, scores are those of a sigmoid, and a bias is
    /// added to them for the choice alone (DeepSeek-AI 2024, "DeepSeek-V3", section 2.1.2); else those of a softmax.
    ///
    /// # Errors
    /// If numbers of experts and groups don't fit together.
    pub fn read(config: &Settings, experts: ExpertSizes, corrected: bool) -> Result<Self> {
        let grouped = corrected || config.text("topk_method")? == Some("group_limited_greedy");
        let groups = config.integer("n_group")?.unwrap_or(1);
        let chosen = config.integer("topk_group")?.unwrap_or(groups);
        if experts.count.checked_rem(groups) != Some(0) {
            bail!("`n_routed_experts` is {}, not a multiple of `n_group`, {groups}", experts.count);
        }
        if chosen == 0 || chosen > groups {
            bail!("`topk_group` is {chosen}, not in `1` to `n_group`, {groups}");
        }
        let size = experts.count / groups;
        if experts.chosen > chosen * size {
            bail!("`num_experts_per_tok` is {}, more than {chosen} groups have", experts.chosen);
        }
        if corrected && size < 2 && groups > 1 {
            bail!("`n_group` is {groups}, and a group would have less than 2 experts");
        }
        Ok(Self {
            experts,
            groups: (grouped && chosen < groups).then_some((groups, chosen)),
            corrected,
            renormalised: config.flag_or("norm_topk_prob", corrected)?,
            scaling: config.number("routed_scaling_factor")?.unwrap_or(1.0),
        })
    }
}

/// A router, by the numbers of its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Router {
    weight: Linear,
    correction: Option<u32>,
}

impl Router {
    /// Adds its matrix, and the bias for the choice if the rules have one.
    pub fn declare(
        table: &mut ParameterTable,
        name: &str,
        rules: &RouterRules,
        hidden: u64,
        stage: u32,
    ) -> Self {
        let count = rules.experts.count;
        let weight = table.add_linear(name, [count, hidden], false, Role::Column, stage);
        let correction =
            rules.corrected.then(|| table.add(format!("{name}{CORRECTION}"), &[count], Role::Bias, stage));
        Self { weight, correction }
    }

    /// Its matrix, where it is called `name`.
    pub fn called(&self, name: String) -> Stack {
        Stack { name, parts: vec![vec![self.weight.weight]] }
    }

    /// The parameter that steers the choice alone, which no gradient reaches.
    pub fn untrained(&self) -> Option<u32> {
        self.correction
    }

    /// Its matrix, whose products are too delicate for fewer bits.
    pub fn full_precision(&self) -> u32 {
        self.weight.weight
    }

    /// The experts of each token, and their weights. `balance` observes the choice.
    ///
    /// # Errors
    /// If shapes don't fit.
    pub fn choose(
        &self,
        x: &Tensor,
        rules: &RouterRules,
        balance: Option<&Balance>,
        context: &Context,
    ) -> Result<Routing> {
        let logits = context.linear(self.weight, x).at_least_float32();
        let scores = if rules.corrected { logits.sigmoid() } else { logits.softmax(-1) };
        let mut choice = scores.detach();
        if let Some(correction) = self.correction {
            choice = &choice + context.parameter(correction).cast(choice.dtype()?);
        }
        if let Some(groups) = rules.groups {
            choice = within_groups(&choice, groups, rules)?;
        }
        let (_, experts) = top_k(&choice, rules.experts.chosen);
        let mut weights = scores.gather(-1, &experts);
        if rules.renormalised {
            weights = &weights / (weights.sum(&[-1], true) + 1e-20);
        }
        if rules.scaling != 1.0 {
            weights = weights * rules.scaling;
        }
        let routing = Routing { weights, experts };
        if let Some(balance) = balance {
            balance.observe(&scores, &routing, context)?;
        }
        Ok(routing)
    }
}

/// Scores far below all others for experts of groups that are not chosen (DeepSeek-AI 2024, "DeepSeek-V3", section 2.1.2).
fn within_groups(choice: &Tensor, (groups, chosen): (u64, u64), rules: &RouterRules) -> Result<Tensor> {
    let size = rules.experts.count / groups;
    let grouped = choice.reshape(&[-1, groups as i64, size as i64]);
    let best = top_k(&grouped, if rules.corrected { 2 } else { 1 }).0.sum(&[-1], false);
    let (_, indices) = top_k(&best, chosen);
    let numbers = Tensor::arange(groups).reshape(&[1, 1, -1]);
    let member = indices.reshape(&[-1, chosen as i64, 1]).eq(&numbers);
    let outside = member.cast(choice.dtype()?).sum(&[1], false) - 1.0;
    let masked = grouped + (outside * 1e9).reshape(&[-1, groups as i64, 1]);
    Ok(masked.reshape(&[-1, rules.experts.count as i64]))
}
