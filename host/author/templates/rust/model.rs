//! Describe the family of models that you wire.

use swift_plugin::prelude::*;

parameters! {
    /// A decoder whose blocks attend and do nothing else.
    pub struct PluginName {}
}

/// A model that was loaded: its sizes, and the numbers of its parameters.
pub struct Network {
    heads: i64,
    epsilon: f64,
    embedding: u32,
    layers: Vec<Layer>,
    norm: u32,
}

/// One block.
struct Layer {
    norm: u32,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
}

impl Model for PluginName {
    type Network = Network;

    fn supports(&self, _architecture: &str, model_type: &str) -> bool {
        model_type == "plugin_name"
    }

    /// Stage 0 embeds, stages `1 ..= layers` are the blocks, and the last is the final norm. The head is the embedding.
    fn load(&self, config: &str) -> Result<(Architecture, Network)> {
        let config = Settings::parse(config)?;
        let (width, vocabulary) = (config.size("hidden_size")?, config.size("vocab_size")?);
        let (layers, heads) = (config.size("num_hidden_layers")? as u32, config.size("num_attention_heads")?);
        if width % (2 * heads) != 0 {
            bail!("`hidden_size` is {width}, not a multiple of twice `num_attention_heads`, {heads}");
        }
        let head_dim = width / heads;
        let mut table = ParameterTable::default();
        let embedding = table.add("embedding.weight", &[vocabulary, width], Role::Embedding, 0);
        let blocks = (0..layers).map(|index| Layer::declare(&mut table, index, width)).collect();
        let norm = table.add("norm.weight", &[width], Role::Norm, layers + 1);
        // Angles of RoFormer (Su et al. 2021, eq. 15): `10000^(-2 i / head_dim)`.
        let frequency = |i: u64| 10000f64.powf(-2.0 * i as f64 / head_dim as f64);
        let inverse_frequencies = (0..head_dim / 2).map(frequency).collect();
        let architecture = Architecture {
            name: "plugin_name".to_owned(),
            hidden_size: width,
            vocab_size: vocabulary,
            stages: layers + 2,
            parameters: table.into_parameters(),
            ignored: Vec::new(),
            rotary_tables: vec![RotaryTable { inverse_frequencies, scale: 1.0, interleaved: false }],
            head: Head { weight: embedding, bias: None },
            cache_layers: layers,
            kv_heads: heads as u32,
            head_dim: head_dim as u32,
        };
        let epsilon = config.number("rms_norm_eps")?.unwrap_or(1e-6);
        Ok((architecture, Network { heads: heads as i64, epsilon, embedding, layers: blocks, norm }))
    }

    fn forward(
        &self,
        network: &Network,
        stage: u32,
        input: Option<&Tensor>,
        context: &Context,
    ) -> Result<Tensor> {
        let Some(hidden) = input else { return Ok(context.embedding(network.embedding)) };
        match network.layers.get(stage as usize - 1) {
            Some(layer) => Ok(hidden + layer.attend(stage - 1, hidden, network, context)?),
            None => Ok(context.rms_norm(network.norm, hidden, network.epsilon)),
        }
    }
}

impl Layer {
    fn declare(table: &mut ParameterTable, index: u32, width: u64) -> Self {
        let name = |part: &str| format!("layers.{index}.{part}");
        let mut linear =
            |part: &str, role| table.add_linear(&name(part), [width, width], false, role, index + 1);
        let [query, key, value] = ["query", "key", "value"].map(|part| linear(part, Role::Column));
        let output = linear("output", Role::Row);
        let norm = table.add(name("norm.weight"), &[width], Role::Norm, index + 1);
        Self { norm, query, key, value, output }
    }

    /// What the block adds to `hidden`, `[tokens, hidden_size]`.
    fn attend(&self, index: u32, hidden: &Tensor, network: &Network, context: &Context) -> Result<Tensor> {
        let tokens = context.token_count() as i64;
        let x = context.rms_norm(self.norm, hidden, network.epsilon);
        let heads = |layer| context.linear(layer, &x).reshape(&[tokens, network.heads, -1]);
        let (query, key) = (context.rope(0, &heads(self.query)), context.rope(0, &heads(self.key)));
        let head_dim = query.shape()?.last().copied().unwrap_or(1) as f64;
        let options = AttentionOptions { scale: head_dim.powf(-0.5), window: None, soft_cap: None };
        let mixed = context.attention(index, &query, &key, &heads(self.value), options);
        Ok(context.linear(self.output, &mixed.reshape(&[tokens, -1])))
    }
}

export!(PluginName: Model);

#[cfg(test)]
mod tests {
    use super::*;
    use swift_plugin::testing::{Tokens, forward};

    const CONFIG: &str = r#"{"model_type": "plugin_name", "hidden_size": 8, "num_hidden_layers": 2,
        "num_attention_heads": 2, "vocab_size": 5}"#;

    /// The logits of these tokens, three sequences of which the last is the second again.
    fn logits(ids: [u32; 7]) -> Vec<Vec<f64>> {
        let tokens = Tokens { ids: ids.to_vec(), lengths: vec![3, 2, 2] };
        let weights = |parameter: &ModelParameter| {
            let count = parameter.shape.iter().product::<u64>();
            Ok((0..count).map(|i| (i as f64 + parameter.name.len() as f64).sin()).collect())
        };
        let logits = forward(&PluginName {}, CONFIG, &tokens, weights).unwrap().to_list().unwrap();
        logits.chunks(5).map(<[f64]>::to_vec).collect()
    }

    #[test]
    fn a_token_sees_those_before_it_in_its_own_sequence() {
        let whole = logits([0, 1, 2, 3, 4, 3, 4]);
        assert_eq!(whole[3..5], whole[5..7]);
        let other = logits([0, 1, 4, 3, 4, 3, 4]);
        assert_eq!((&whole[..2], &whole[3..]), (&other[..2], &other[3..]));
        assert_ne!(logits([1, 1, 2, 3, 4, 3, 4])[1], whole[1]);
    }

    #[test]
    fn sizes_that_do_not_fit_are_named() {
        let config = CONFIG.replace("\"hidden_size\": 8", "\"hidden_size\": 6");
        let error = PluginName {}.load(&config).err().unwrap();
        assert_eq!(error.message(), "`hidden_size` is 6, not a multiple of twice `num_attention_heads`, 2");
    }
}
