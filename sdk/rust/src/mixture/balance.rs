use super::{ExpertSizes, Routing};
use crate::{Context, Result, Settings, Tensor, bail};

/// The loss that keeps experts evenly used (Fedus et al. 2022, "Switch Transformer", equations 4 to 6), as transformers computes it
/// in `load_balancing_loss_func`: `experts * sum over e of f[e] * p[e]`, with `f[e]` the number of times that expert `e` is chosen for
/// a token and `p[e]` the probability that the router gives it, both means over the tokens of all layers. That is no mean of
/// losses of layers, so layers hand over what they know, and the last stage adds the loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Balance {
    experts: u64,
    coefficient: f64,
}

/// The name under which layers hand over.
const USE: &str = "use of experts";

impl Balance {
    /// Reads `router_aux_loss_coef`, which is 0 where it is missing; there is no loss without `output_router_logits`.
    ///
    /// # Errors
    /// If one is no number or no boolean, or the coefficient is negative.
    pub fn read(config: &Settings, experts: ExpertSizes) -> Result<Option<Self>> {
        let coefficient = config.number("router_aux_loss_coef")?.unwrap_or(0.0);
        if coefficient < 0.0 {
            bail!("`router_aux_loss_coef` is {coefficient}, below 0");
        }
        let wanted = config.flag("output_router_logits")? && coefficient > 0.0;
        Ok(wanted.then_some(Self { experts: experts.count, coefficient }))
    }

    /// To be called by each layer with experts: `probabilities` `[tokens, experts]` are those of the router, before any choice.
    ///
    /// # Errors
    /// If shapes don't fit.
    pub fn observe(&self, probabilities: &Tensor, routing: &Routing, context: &Context) -> Result<()> {
        if !context.training() {
            return Ok(());
        }
        let chosen = routing.experts.reshape(&[-1]);
        let once = Tensor::full(1.0, &chosen.shape()?, probabilities.dtype()?);
        let chosen = once.segment_sum(&chosen, self.experts) / context.token_count() as f64;
        context.hand_over(USE, &Tensor::stack(&[&chosen, &probabilities.mean(&[0], false)], 0))
    }

    /// To be called by the last stage, after which there is no other.
    ///
    /// # Errors
    /// If layers handed over what does not fit together.
    pub fn finish(&self, context: &Context) -> Result<()> {
        let layers = context.handed_over(USE)?;
        let Some((first, rest)) = layers.split_first() else { return Ok(()) };
        let sum = rest.iter().fold(first.clone(), |sum, layer| sum + layer);
        let mean = sum / layers.len() as f64;
        let [chosen, probability] = [0, 1].map(|row| mean.narrow(0, row, 1));
        let loss = (chosen.detach() * probability).sum_all() * self.experts as f64;
        context.add_loss("aux_loss", &loss, self.coefficient)
    }
}
