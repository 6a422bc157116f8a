use super::{Routing, Rows};
use crate::decoder::Activation;
use crate::{Context, Grouped, ParameterTable, Result, Role, Settings, Stack, Tensor, bail};

/// How many experts there are, and how many a token goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpertSizes {
    /// Experts of a layer.
    pub count: u64,
    /// Experts that a token goes to, at most `count`.
    pub chosen: u64,
}

impl ExpertSizes {
    /// Reads the number of experts by the first of the names that the configuration has, and `num_experts_per_tok`.
    ///
    /// # Errors
    /// If one is missing or zero, or more experts are chosen than there are.
    pub fn read(config: &Settings, names: &[&str]) -> Result<Self> {
        let name = names.iter().find(|name| config.get(name).is_some()).or(names.first());
        let name = name.copied().unwrap_or_default();
        let (count, chosen) = (config.size(name)?, config.size("num_experts_per_tok")?);
        if chosen > count {
            bail!("`num_experts_per_tok` is {chosen}, more than `{name}`, {count}");
        }
        Ok(Self { count, chosen })
    }
}

/// Refuses another activation than SiLU, which [`Experts`] have.
///
/// # Errors
/// If `hidden_act` names another one.
pub fn refuse_activation(config: &Settings) -> Result<()> {
    if Activation::read(config, "hidden_act", Activation::Silu)? != Activation::Silu {
        bail!("`hidden_act` is not `silu`, which alone is supported");
    }
    Ok(())
}

/// Gated feed-forward parts of which each token goes through some, with a matrix of its own for each expert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Experts {
    gate: Grouped,
    up: Grouped,
    down: Grouped,
}

impl Experts {
    /// Adds the matrices `NAME.N.PART.weight` of `count` experts; the parts are the gate, the other half, and the way back.
    pub fn declare(
        table: &mut ParameterTable,
        name: &str,
        [gate, up, down]: [&str; 3],
        count: u64,
        [inner, hidden]: [u64; 2],
        stage: u32,
    ) -> Self {
        let mut grouped = |part: &str, shape: [u64; 2], role: Role| {
            let names = (0..count).map(|expert| format!("{name}.{expert}.{part}.weight"));
            Grouped {
                weights: names.map(|name| table.add(name, &shape, role, stage)).collect(),
                biases: vec![],
            }
        };
        Self {
            gate: grouped(gate, [inner, hidden], Role::Column),
            up: grouped(up, [inner, hidden], Role::Column),
            down: grouped(down, [hidden, inner], Role::Row),
        }
    }

    /// How transformers 5 has them, where they are called `name`: a stack of the gates with the other halves, and one of the ways
    /// back.
    pub fn stacks(&self, name: &str) -> [Stack; 2] {
        let [gate, up, down] = [&self.gate, &self.up, &self.down].map(|layer| layer.weights.clone());
        [
            Stack { name: format!("{name}.gate_up_proj"), parts: vec![gate, up] },
            Stack { name: format!("{name}.down_proj"), parts: vec![down] },
        ]
    }

    /// What the experts of each token give together, `[tokens, hidden_size]`.
    ///
    /// # Errors
    /// If shapes don't fit.
    pub fn apply(&self, x: &Tensor, routing: &Routing, context: &Context) -> Result<Tensor> {
        routing.apply(x, |x: &Tensor, rows: &Rows| {
            let (gate, up) = (rows.linear(&self.gate, x, context), rows.linear(&self.up, x, context));
            rows.linear(&self.down, &context.swiglu(&gate, &up), context)
        })
    }
}
