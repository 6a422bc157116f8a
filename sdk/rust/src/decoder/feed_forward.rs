use super::Activation;
use crate::{Context, Linear, ParameterTable, Role, Tensor};

/// A gated feed-forward part, `(f(x G^T) * x U^T) D^T` (Shazeer 2020), by the numbers of its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedForward {
    gate: Linear,
    up: Linear,
    down: Linear,
}

impl FeedForward {
    /// Adds `NAME.gate_proj`, `NAME.up_proj` and `NAME.down_proj` without biases.
    pub fn declare(table: &mut ParameterTable, name: &str, [inner, hidden]: [u64; 2], stage: u32) -> Self {
        let mut linear =
            |part: &str, shape, role| table.add_linear(&format!("{name}.{part}"), shape, false, role, stage);
        Self {
            gate: linear("gate_proj", [inner, hidden], Role::Column),
            up: linear("up_proj", [inner, hidden], Role::Column),
            down: linear("down_proj", [hidden, inner], Role::Row),
        }
    }

    /// What it gives for `x` `[tokens, hidden_size]`.
    #[track_caller]
    pub fn apply(&self, x: &Tensor, activation: Activation, context: &Context) -> Tensor {
        let (gate, up) = (context.linear(self.gate, x), context.linear(self.up, x));
        context.linear(self.down, &activation.gate(&gate, &up, context))
    }
}

/// The same with the gate and the other half from one matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FusedFeedForward {
    gate_up: Linear,
    down: Linear,
    inner: u64,
}

impl FusedFeedForward {
    /// Adds `NAME.gate_up_proj` and `NAME.down_proj` without biases.
    pub fn declare(table: &mut ParameterTable, name: &str, [inner, hidden]: [u64; 2], stage: u32) -> Self {
        let mut linear =
            |part: &str, shape, role| table.add_linear(&format!("{name}.{part}"), shape, false, role, stage);
        Self {
            gate_up: linear("gate_up_proj", [2 * inner, hidden], Role::Column),
            down: linear("down_proj", [hidden, inner], Role::Row),
            inner,
        }
    }

    /// What it gives for `x` `[tokens, hidden_size]`.
    #[track_caller]
    pub fn apply(&self, x: &Tensor, activation: Activation, context: &Context) -> Tensor {
        let joined = context.linear(self.gate_up, x);
        let half = |number: u64| joined.narrow(-1, number * self.inner, self.inner);
        context.linear(self.down, &activation.gate(&half(0), &half(1), context))
    }
}
