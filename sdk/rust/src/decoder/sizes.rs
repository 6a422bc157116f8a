use crate::{Error, Result, Settings, bail};

/// The sizes that every decoder has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Width of the hidden states.
    pub hidden: u64,
    /// Number of token ids.
    pub vocabulary: u64,
    /// Number of layers.
    pub layers: u32,
    /// Query heads of a layer.
    pub heads: u32,
    /// Key-value heads of a layer, of which `heads` is a multiple.
    pub kv_heads: u32,
    /// Components of a head.
    pub head_dim: u32,
}

impl Sizes {
    /// Reads them by the names that transformers uses. `head_dim` is that of a configuration that says nothing; without one it
    /// is `hidden_size / num_attention_heads`.
    ///
    /// # Errors
    /// If one is missing, zero, negative or too large, or they don't fit together.
    pub fn read(config: &Settings, head_dim: Option<u64>) -> Result<Self> {
        let (hidden, layers, heads) = (
            config.size("hidden_size")?,
            config.size("num_hidden_layers")?,
            config.size("num_attention_heads")?,
        );
        let kv_heads = config.integer("num_key_value_heads")?.unwrap_or(heads);
        if heads.checked_rem(kv_heads) != Some(0) {
            bail!("`num_attention_heads` is {heads}, not a multiple of `num_key_value_heads`, {kv_heads}");
        }
        let head_dim = match config.integer("head_dim")?.or(head_dim) {
            Some(0) => bail!("`head_dim` is 0"),
            Some(head_dim) => head_dim,
            None if hidden % heads != 0 => {
                bail!("`hidden_size` is {hidden}, not a multiple of `num_attention_heads`, {heads}")
            }
            None => hidden / heads,
        };
        Ok(Self {
            hidden,
            vocabulary: config.size("vocab_size")?,
            layers: small("num_hidden_layers", layers)?,
            heads: small("num_attention_heads", heads)?,
            kv_heads: small("num_key_value_heads", kv_heads)?,
            head_dim: small("head_dim", head_dim)?,
        })
    }

    /// Width of all queries of a token.
    pub fn queries(&self) -> u64 {
        u64::from(self.heads) * u64::from(self.head_dim)
    }

    /// Width of all keys of a token, and of all values.
    pub fn keys(&self) -> u64 {
        u64::from(self.kv_heads) * u64::from(self.head_dim)
    }
}

/// A size that fits the contract's `u32`.
pub(super) fn small(name: &str, value: u64) -> Result<u32> {
    // One less than the limit, so that numbers of stages fit too.
    match u32::try_from(value) {
        Ok(value) if value < u32::MAX - 1 => Ok(value),
        _ => Err(Error::new(format!("`{name}` is {value}, which is too large"))),
    }
}

/// Refuses settings that would change the model in ways that are not implemented, unless they are missing or at the value, if any, at
/// which they don't.
///
/// # Errors
/// If one has another value, which is named.
pub fn refuse_unless(config: &Settings, neutral: &[(&str, Option<f64>)]) -> Result<()> {
    for &(name, neutral) in neutral {
        if let Some(value) = config.number(name)?.filter(|&value| Some(value) != neutral) {
            bail!("`{name}` is {value}, which is not supported");
        }
    }
    Ok(())
}

/// Refuses weights that were quantised.
///
/// # Errors
/// If the configuration says that they were.
pub fn refuse_quantised(config: &Settings) -> Result<()> {
    if config.get("quantization_config").is_some() {
        bail!("`quantization_config` is set, and quantised weights are not supported");
    }
    Ok(())
}
