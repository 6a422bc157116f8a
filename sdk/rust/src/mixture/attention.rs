use crate::decoder::{Norm, NormStyle, Projections, Sizes};
use crate::{AttentionOptions, Context, ParameterTable, Role, Tensor};

/// How the attention of a layer is made.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AttentionStyle {
    /// Whether the projections of queries, keys and values have biases.
    pub qkv_bias: bool,
    /// Whether the output projection has one.
    pub o_bias: bool,
    /// Norms of each head's queries and keys.
    pub head_norms: Option<NormStyle>,
    /// Whether each head has a sink.
    pub sinks: bool,
}

/// Attention of grouped queries (Ainslie et al. 2023), by the numbers of its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attention {
    projections: Projections,
    head_norms: Option<[Norm; 2]>,
    sinks: Option<u32>,
}

impl Attention {
    /// Adds the parameters of layer `index` under the usual names.
    pub fn declare(table: &mut ParameterTable, sizes: &Sizes, style: AttentionStyle, index: u32) -> Self {
        let stage = index + 1;
        let name = |part: &str| format!("model.layers.{index}.self_attn.{part}");
        let projections = Projections::declare(table, sizes, [style.qkv_bias, style.o_bias], index);
        let width = sizes.head_dim.into();
        let mut norm = |norms: NormStyle, part: &str| norms.declare(table, &name(part), width, stage);
        let head_norms = style.head_norms.map(|norms| [norm(norms, "q_norm"), norm(norms, "k_norm")]);
        let sinks = style.sinks.then(|| table.add(name("sinks"), &[sizes.heads.into()], Role::Bias, stage));
        Self { projections, head_norms, sinks }
    }

    /// What layer `index` gives for `x` `[tokens, hidden_size]`, with rotary table 0. `window` limits how far it looks back.
    #[track_caller]
    pub fn apply(
        &self,
        index: u32,
        x: &Tensor,
        sizes: &Sizes,
        window: Option<u32>,
        context: &Context,
    ) -> Tensor {
        let [mut q, mut k, v] = self.projections.split(x, sizes, context);
        if let Some([q_norm, k_norm]) = self.head_norms {
            (q, k) = (q_norm.apply(&q, context), k_norm.apply(&k, context));
        }
        let (q, k) = (context.rope(0, &q), context.rope(0, &k));
        let options = AttentionOptions { scale: sizes.scale(), window, soft_cap: None };
        let mixed = match self.sinks {
            None => context.attention(index, &q, &k, &v, options),
            Some(sinks) => context.attention_with_sinks(index, &q, &k, &v, sinks, options),
        };
        context.linear(self.projections.o, &mixed.reshape(&[-1, sizes.queries() as i64]))
    }
}
