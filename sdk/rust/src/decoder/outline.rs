use super::{Norm, NormStyle, Sizes};
use crate::{
    Architecture, AttentionOptions, Context, Head, ParameterTable, Result, Role, RotaryTable, Settings,
    Tensor,
};

/// A decoder but for its layers, with the usual names of parameters.
pub struct Outline {
    /// For messages.
    pub name: String,
    /// Its sizes.
    pub sizes: Sizes,
    /// The norm after the last layer.
    pub norm: NormStyle,
    /// Whether the head is the embedding.
    pub tied: bool,
    /// Rotary tables.
    pub rotary_tables: Vec<RotaryTable>,
}

/// A decoder that was loaded: stage 0 embeds, stages `1 ..= layers` are the layers, and the last is the final norm.
pub struct Decoder<L> {
    embedding: u32,
    layers: Vec<L>,
    norm: Norm,
}

impl Outline {
    /// Declares a decoder. `declare` adds the parameters of a layer, whose stage is one more than its index.
    pub fn declare<L>(
        self,
        mut declare: impl FnMut(&mut ParameterTable, u32) -> L,
    ) -> (Architecture, Decoder<L>) {
        let Self { name, sizes, norm, tied, rotary_tables } = self;
        let Sizes { hidden, vocabulary, layers: count, .. } = sizes;
        let last = count + 1;
        let mut table = ParameterTable::default();
        let embedding = table.add("model.embed_tokens.weight", &[vocabulary, hidden], Role::Embedding, 0);
        let layers = (0..count).map(|index| declare(&mut table, index)).collect();
        let norm = norm.declare(&mut table, "model.norm", hidden, last);
        let mut ignored = vec!["model.layers.*.self_attn.rotary_emb.inv_freq".to_owned()];
        let head = if tied {
            // Some checkpoints hold the shared matrix twice.
            ignored.push("lm_head.weight".to_owned());
            Head { weight: embedding, bias: None }
        } else {
            Head { weight: table.add("lm_head.weight", &[vocabulary, hidden], Role::Head, last), bias: None }
        };
        let architecture = Architecture {
            name,
            hidden_size: hidden,
            vocab_size: vocabulary,
            stages: last + 1,
            parameters: table.into_parameters(),
            ignored,
            rotary_tables,
            head,
            cache_layers: count,
            kv_heads: sizes.kv_heads,
            head_dim: sizes.head_dim,
        };
        (architecture, Decoder { embedding, layers, norm })
    }
}

/// Names, in the checkpoint, of layers that predict tokens after the next one (DeepSeek-AI 2024, "DeepSeek-V3", section 2.2). They
/// come after the last of `layers`, there are `num_nextn_predict_layers`, and they are not used.
///
/// # Errors
/// If the setting is no number of layers.
pub fn further_layers(config: &Settings, layers: u32) -> Result<Vec<String>> {
    let further = config.integer("num_nextn_predict_layers")?.unwrap_or(0);
    Ok((0..further).map(|layer| format!("model.layers.{}.*", u64::from(layers) + layer)).collect())
}

impl<L> Decoder<L> {
    /// The layers, the first one first.
    pub fn layers(&self) -> &[L] {
        &self.layers
    }

    /// Whether `stage` is the last, which comes after all layers.
    pub fn is_last(&self, stage: u32) -> bool {
        stage as usize == self.layers.len() + 1
    }

    /// Computes one stage; `layer` computes a layer from its index and its input.
    ///
    /// # Errors
    /// Those of `layer`.
    pub fn forward(
        &self,
        stage: u32,
        input: Option<&Tensor>,
        context: &Context,
        layer: impl FnOnce(u32, &L, &Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let Some(hidden) = input else { return Ok(context.embedding(self.embedding)) };
        let index = stage.saturating_sub(1);
        match self.layers.get(index as usize) {
            Some(declared) => layer(index, declared, hidden),
            None => Ok(self.norm.apply(hidden, context)),
        }
    }
}

impl Sizes {
    /// `[tokens, heads * head_dim]` as `[tokens, heads, head_dim]`, however many heads.
    #[track_caller]
    pub fn split(&self, x: &Tensor, context: &Context) -> Tensor {
        x.reshape(&[context.token_count() as i64, -1, self.head_dim.into()])
    }

    /// Attention of split heads, joined again: `[tokens, heads * head_dim]`.
    #[track_caller]
    pub fn attend(
        &self,
        layer: u32,
        [q, k, v]: [&Tensor; 3],
        options: AttentionOptions,
        context: &Context,
    ) -> Tensor {
        context
            .attention(layer, q, k, v, options)
            .reshape(&[context.token_count() as i64, self.queries() as i64])
    }

    /// `1 / sqrt(head_dim)`: the usual factor on scores (Vaswani et al. 2017, equation 1).
    pub fn scale(&self) -> f64 {
        f64::from(self.head_dim).sqrt().recip()
    }
}
