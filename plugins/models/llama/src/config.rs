//! What a `config.json` says, in the spellings of transformers 4 and 5. A setting that would change the model and is not
//! implemented is an error that names it.

use swift_plugin::prelude::*;

use crate::rotary;

/// What sets the members of the family apart.
pub(crate) struct Family {
    architecture: &'static str,
    model_type: &'static str,
    /// Biases of the query, key and value projections.
    qkv_bias: Bias,
    /// The bias of the output projection.
    o_bias: Bias,
    /// Biases of the feed-forward part.
    mlp_bias: Bias,
    /// RMSNorm over each head's queries and keys.
    head_norms: bool,
    /// Which layers look back only `sliding_window` positions, where `layer_types` does not say it.
    sliding: Sliding,
    /// Components of each head if the configuration says nothing; `hidden_size / heads` if none.
    head_dim: Option<u64>,
}

/// Whether linear layers have a bias.
#[derive(Clone, Copy)]
enum Bias {
    Always,
    Never,
    /// If this setting is true.
    If(&'static str),
}

/// Which layers look back only `sliding_window` positions.
#[derive(Clone, Copy)]
enum Sliding {
    Never,
    /// All, unless the window is null; of this size if the configuration says nothing.
    All {
        default: u64,
    },
    /// From `max_window_layers` on, if `use_sliding_window` is true.
    Upper,
}

/// The supported architectures.
const FAMILIES: [Family; 4] = [
    Family {
        architecture: "LlamaForCausalLM",
        model_type: "llama",
        qkv_bias: Bias::If("attention_bias"),
        o_bias: Bias::If("attention_bias"),
        mlp_bias: Bias::If("mlp_bias"),
        head_norms: false,
        sliding: Sliding::Never,
        head_dim: None,
    },
    Family {
        architecture: "MistralForCausalLM",
        model_type: "mistral",
        qkv_bias: Bias::Never,
        o_bias: Bias::Never,
        mlp_bias: Bias::Never,
        head_norms: false,
        sliding: Sliding::All { default: 4096 },
        head_dim: None,
    },
    Family {
        architecture: "Qwen2ForCausalLM",
        model_type: "qwen2",
        qkv_bias: Bias::Always,
        o_bias: Bias::Never,
        mlp_bias: Bias::Never,
        head_norms: false,
        sliding: Sliding::Upper,
        head_dim: None,
    },
    Family {
        architecture: "Qwen3ForCausalLM",
        model_type: "qwen3",
        qkv_bias: Bias::If("attention_bias"),
        o_bias: Bias::If("attention_bias"),
        mlp_bias: Bias::Never,
        head_norms: true,
        sliding: Sliding::Upper,
        head_dim: Some(128),
    },
];

/// Settings that would change the model in ways that are not implemented, with the value at which they don't.
const NEUTRAL: [(&str, Option<f64>); 4] = [
    ("attention_dropout", Some(0.0)),
    ("partial_rotary_factor", Some(1.0)),
    ("attn_logit_softcapping", None),
    ("final_logit_softcapping", None),
];

/// The row of the table for an entry of `architectures`, or, where there is none, a `model_type`.
pub(crate) fn family(architecture: &str, model_type: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| match architecture {
        "" => family.model_type == model_type,
        _ => family.architecture == architecture,
    })
}

/// The sizes and settings of one model.
pub(crate) struct Config {
    pub(crate) name: &'static str,
    pub(crate) hidden_size: u64,
    pub(crate) intermediate_size: u64,
    pub(crate) vocabulary: u64,
    pub(crate) layers: u32,
    pub(crate) heads: u32,
    pub(crate) kv_heads: u32,
    pub(crate) head_dim: u32,
    pub(crate) epsilon: f64,
    pub(crate) tied: bool,
    pub(crate) qkv_bias: bool,
    pub(crate) o_bias: bool,
    pub(crate) mlp_bias: bool,
    pub(crate) head_norms: bool,
    pub(crate) rotary: RotaryTable,
    /// The window of each layer.
    windows: Vec<Option<u32>>,
}

impl Config {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let config = Settings::parse(text)?;
        let architecture =
            config.list("architectures")?.and_then(|names| names.first()).and_then(Value::as_str);
        let (architecture, model_type) =
            (architecture.unwrap_or_default(), config.text("model_type")?.unwrap_or_default());
        let Some(family) = family(architecture, model_type) else {
            bail!("architecture `{architecture}` of model type `{model_type}` is not of the llama family");
        };
        refuse_unsupported(&config)?;
        let (hidden_size, layers, heads) = (
            config.size("hidden_size")?,
            config.size("num_hidden_layers")?,
            config.size("num_attention_heads")?,
        );
        let kv_heads = config.integer("num_key_value_heads")?.unwrap_or(heads);
        if heads.checked_rem(kv_heads) != Some(0) {
            bail!("`num_attention_heads` is {heads}, not a multiple of `num_key_value_heads`, {kv_heads}");
        }
        let head_dim = config.integer("head_dim")?.or(family.head_dim).unwrap_or(hidden_size / heads);
        let has = |bias: Bias| match bias {
            Bias::Always => Ok(true),
            Bias::Never => Ok(false),
            Bias::If(name) => config.flag(name),
        };
        Ok(Self {
            name: family.model_type,
            hidden_size,
            intermediate_size: config.size("intermediate_size")?,
            vocabulary: config.size("vocab_size")?,
            layers: small("num_hidden_layers", layers)?,
            heads: small("num_attention_heads", heads)?,
            kv_heads: small("num_key_value_heads", kv_heads)?,
            head_dim: small("head_dim", head_dim)?,
            epsilon: config.number("rms_norm_eps")?.unwrap_or(1e-6),
            tied: config.flag("tie_word_embeddings")?,
            qkv_bias: has(family.qkv_bias)?,
            o_bias: has(family.o_bias)?,
            mlp_bias: has(family.mlp_bias)?,
            head_norms: family.head_norms,
            rotary: rotary::table(&config, head_dim)?,
            windows: (0..layers).map(|layer| window(&config, family, layer)).collect::<Result<_>>()?,
        })
    }

    /// Positions that a layer looks back, its own included; all if none.
    pub(crate) fn window(&self, layer: u32) -> Option<u32> {
        self.windows.get(layer as usize).copied().flatten()
    }
}

fn small(name: &str, value: u64) -> Result<u32> {
    u32::try_from(value).map_err(|_| Error::new(format!("`{name}` is {value}, which is too large")))
}

/// The window of a layer: of `layer_types` if there is one, else as the family has it.
fn window(config: &Settings, family: &Family, layer: u64) -> Result<Option<u32>> {
    let layer_type = config.list("layer_types")?.map(|types| types.get(layer as usize));
    let slides = match layer_type.map(|name| name.and_then(Value::as_str).unwrap_or_default()) {
        Some("full_attention") => false,
        Some("sliding_attention") => true,
        Some(other) => bail!("`layer_types` has `{other}` for layer {layer}, which is not supported"),
        None => match family.sliding {
            Sliding::Never => false,
            Sliding::All { .. } => true,
            Sliding::Upper => {
                config.flag("use_sliding_window")?
                    && layer >= config.integer("max_window_layers")?.unwrap_or(28)
            }
        },
    };
    let window = match (config.integer("sliding_window")?, family.sliding) {
        // Null means none, but nothing means the default.
        (None, Sliding::All { default }) if !config.mentions("sliding_window") => Some(default),
        (window, _) => window,
    };
    window.filter(|_| slides).map(|window| small("sliding_window", window)).transpose()
}

fn refuse_unsupported(config: &Settings) -> Result<()> {
    match config.text("hidden_act")? {
        None | Some("silu") => {}
        Some(other) => bail!("`hidden_act` is `{other}`, and only `silu` is supported"),
    }
    if config.get("quantization_config").is_some() {
        bail!("`quantization_config` is set, and quantised weights are not supported");
    }
    for (name, neutral) in NEUTRAL {
        if let Some(value) = config.number(name)?.filter(|&value| Some(value) != neutral) {
            bail!("`{name}` is {value}, which is not supported");
        }
    }
    Ok(())
}
