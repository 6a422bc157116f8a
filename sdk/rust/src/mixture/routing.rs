use crate::{Context, Grouped, Result, Tensor, bail};

/// Which experts each token goes to, and with what weight.
pub struct Routing {
    /// The factor on what each expert gives, `[tokens, chosen]`.
    pub weights: Tensor,
    /// The experts, `[tokens, chosen]` `int64`.
    pub experts: Tensor,
}

/// Rows of tokens in the order of the experts that they go to.
pub struct Rows {
    /// The expert of each row, ascending.
    groups: Tensor,
    /// The token of each row.
    tokens: Tensor,
}

/// The `count` largest elements along the last dimension and their indices, the largest first.
#[track_caller]
pub fn top_k(x: &Tensor, count: u64) -> (Tensor, Tensor) {
    let indices = x.detach().argsort(true).narrow(-1, 0, count);
    (x.gather(-1, &indices), indices)
}

impl Routing {
    /// What experts give for `x` `[tokens, in]`: `sum over e of weight[t, e] * f_e(x[t])` (Shazeer et al. 2017, equation 1).
    /// `apply` computes `f` for rows in the order of their experts. No token is dropped.
    ///
    /// # Errors
    /// If shapes don't fit.
    pub fn apply(&self, x: &Tensor, apply: impl FnOnce(&Tensor, &Rows) -> Tensor) -> Result<Tensor> {
        let &[tokens, chosen] = self.experts.shape()?.as_slice() else {
            bail!("experts have the shape {:?}, not `[tokens, chosen]`", self.experts.shape()?)
        };
        let experts = self.experts.reshape(&[-1]);
        let order = experts.argsort(false);
        let places = Tensor::arange(tokens).reshape(&[-1, 1]).broadcast_to(&[tokens, chosen]).reshape(&[-1]);
        let rows = Rows { groups: experts.index_select(0, &order), tokens: places.index_select(0, &order) };
        let given = apply(&x.index_select(0, &rows.tokens), &rows);
        let weights = self.weights.cast(x.dtype()?).reshape(&[-1, 1]).index_select(0, &order);
        (given * weights).segment_sum(&rows.tokens, tokens).check()
    }
}

impl Rows {
    /// The linear layer of each row's expert, `[rows, in]` to `[rows, out]`.
    #[track_caller]
    pub fn linear(&self, layer: &Grouped, x: &Tensor, context: &Context) -> Tensor {
        context.grouped_linear(layer, x, &self.groups, &self.tokens)
    }

    /// The expert of each row, `[rows]`, ascending.
    pub fn groups(&self) -> &Tensor {
        &self.groups
    }
}
