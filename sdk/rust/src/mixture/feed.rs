use super::{Balance, Experts, Router, RouterRules};
use crate::decoder::{Activation, FeedForward};
use crate::{Context, Linear, ParameterTable, Result, Role, Stack, Tensor};

/// How feed-forward parts of layers are made, of which some are dense and the others choose among experts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeedStyle {
    /// Width of the hidden states.
    pub hidden: u64,
    /// Width inside of a dense part.
    pub dense: u64,
    /// Width inside of an expert.
    pub expert: u64,
    /// How experts are chosen.
    pub rules: RouterRules,
    /// The loss that keeps experts evenly used, which the last stage has to finish.
    pub balance: Option<Balance>,
    /// What every token goes through besides.
    pub shared: Option<SharedExpert>,
}

/// An expert of all tokens; several are one that is wider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedExpert {
    /// Its name inside of the feed-forward part.
    pub name: &'static str,
    /// Its width inside.
    pub inner: u64,
    /// The name of a matrix `[1, hidden_size]` whose sigmoid it is multiplied by.
    pub gate: Option<&'static str>,
}

/// The feed-forward part of a layer, by the numbers of its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Feed {
    /// The same for all tokens.
    Dense(FeedForward),
    /// Through a choice of experts.
    Mixture(Mixture),
}

/// A router, the experts that it chooses among, and the one of all tokens with its gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mixture {
    router: Router,
    experts: Experts,
    shared: Option<(FeedForward, Option<Linear>)>,
}

impl FeedStyle {
    /// Adds the parameters of layer `index` under the usual names, those of experts if it is `mixed`.
    pub fn declare(&self, table: &mut ParameterTable, mixed: bool, index: u32) -> Feed {
        let (hidden, stage) = (self.hidden, index + 1);
        let name = |part: &str| format!("model.layers.{index}.mlp{part}");
        if !mixed {
            return Feed::Dense(FeedForward::declare(table, &name(""), [self.dense, hidden], stage));
        }
        let router = Router::declare(table, &name(".gate"), &self.rules, hidden, stage);
        let parts = ["gate_proj", "up_proj", "down_proj"];
        let (count, shape) = (self.rules.experts().count, [self.expert, hidden]);
        let experts = Experts::declare(table, &name(".experts"), parts, count, shape, stage);
        let shared = self.shared.map(|SharedExpert { name: part, inner, gate }| {
            let name = |part: &str| name(&format!(".{part}"));
            let gate =
                gate.map(|gate| table.add_linear(&name(gate), [1, hidden], false, Role::Column, stage));
            (FeedForward::declare(table, &name(part), [inner, hidden], stage), gate)
        });
        Feed::Mixture(Mixture { router, experts, shared })
    }
}

impl Feed {
    /// What it gives for `x` `[tokens, hidden_size]`.
    ///
    /// # Errors
    /// If shapes don't fit.
    pub fn apply(&self, x: &Tensor, style: &FeedStyle, context: &Context) -> Result<Tensor> {
        let Mixture { router, experts, shared } = match self {
            Self::Dense(dense) => return dense.apply(x, Activation::Silu, context).check(),
            Self::Mixture(mixture) => mixture,
        };
        let routing = router.choose(x, &style.rules, style.balance.as_ref(), context)?;
        let output = experts.apply(x, &routing, context)?;
        let Some((dense, gate)) = shared else { return Ok(output) };
        let mut all = dense.apply(x, Activation::Silu, context);
        if let Some(gate) = *gate {
            all = all * context.linear(gate, x).sigmoid();
        }
        (output + all).check()
    }

    /// How transformers 5 has the experts of layer `index`, if there are any.
    pub fn stacks(&self, index: u32) -> Vec<Stack> {
        match self {
            Self::Dense(_) => Vec::new(),
            Self::Mixture(mixture) => {
                mixture.experts.stacks(&format!("model.layers.{index}.mlp.experts")).into()
            }
        }
    }

    /// The router's matrix, whose products are too delicate for fewer bits, if there is a router.
    pub fn full_precision(&self) -> Option<u32> {
        match self {
            Self::Dense(_) => None,
            Self::Mixture(mixture) => Some(mixture.router.full_precision()),
        }
    }

    /// The parameter that steers the choice of experts alone, which no gradient reaches.
    pub fn untrained(&self) -> Option<u32> {
        match self {
            Self::Dense(_) => None,
            Self::Mixture(mixture) => mixture.router.untrained(),
        }
    }
}
