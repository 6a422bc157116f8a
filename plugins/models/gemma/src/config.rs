//! What a `config.json` says, and what sets the members of the family apart.

use swift_plugin::decoder::{
    self, Activation, Sizes, all_but_each, layer_types, read_config, refuse_unless, rotary_of_layers,
    rotary_scaled, rotary_table, sliding_window,
};
use swift_plugin::prelude::*;

/// What sets the members of the family apart.
pub(crate) struct Family {
    architecture: &'static str,
    model_type: &'static str,
    /// Norms after attention and the feed-forward part besides those before.
    sandwich: bool,
    /// RMSNorm over each head's queries and keys.
    head_norms: bool,
    /// Scores are divided by the root of `query_pre_attn_scalar`, not of the width of heads.
    query_scalar: bool,
    /// Every so-manieth layer is a full one, where `layer_types` does not say it; all are if none.
    full_every: Option<u64>,
    /// Positions that other layers look back if the configuration says nothing.
    window: Option<u32>,
    /// Caps of scores and logits if the configuration says nothing.
    caps: [Option<f64>; 2],
    /// Layers with a window rotate by a table of their own.
    local_rotary: bool,
}

/// The supported architectures.
pub(crate) const FAMILIES: [Family; 3] = [
    Family {
        architecture: "GemmaForCausalLM",
        model_type: "gemma",
        sandwich: false,
        head_norms: false,
        query_scalar: false,
        full_every: None,
        window: None,
        caps: [None, None],
        local_rotary: false,
    },
    Family {
        architecture: "Gemma2ForCausalLM",
        model_type: "gemma2",
        sandwich: true,
        head_norms: false,
        query_scalar: true,
        full_every: Some(2),
        window: Some(4096),
        caps: [Some(50.0), Some(30.0)],
        local_rotary: false,
    },
    Family {
        architecture: "Gemma3ForCausalLM",
        model_type: "gemma3_text",
        sandwich: true,
        head_norms: true,
        query_scalar: true,
        full_every: Some(6),
        window: Some(4096),
        caps: [None, None],
        local_rotary: true,
    },
];

impl decoder::Family for Family {
    fn architecture(&self) -> &str {
        self.architecture
    }

    fn model_type(&self) -> &str {
        self.model_type
    }
}

/// The sizes and settings of one model.
pub(crate) struct Config {
    pub(crate) name: &'static str,
    pub(crate) sizes: Sizes,
    pub(crate) intermediate_size: u64,
    pub(crate) epsilon: f64,
    pub(crate) tied: bool,
    pub(crate) bias: bool,
    pub(crate) sandwich: bool,
    pub(crate) head_norms: bool,
    pub(crate) activation: Activation,
    /// Factor on scores.
    pub(crate) scale: f64,
    pub(crate) score_cap: Option<f64>,
    pub(crate) logit_cap: Option<f64>,
    /// The table of full layers, then that of layers with a window if it is another.
    pub(crate) rotary_tables: Vec<RotaryTable>,
    /// The window of each layer, and the number of its rotary table.
    layers: Vec<(Option<u32>, u32)>,
}

impl Config {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (config, family) = read_config(text, &FAMILIES, "of the gemma family")?;
        refuse_unless(&config, &[("attention_dropout", Some(0.0))])?;
        if config.get("use_bidirectional_attention").and_then(Value::as_bool) == Some(true) {
            bail!("`use_bidirectional_attention` is true, which is not supported");
        }
        let sizes = Sizes::read(&config, Some(256))?;
        let scalar = match family.query_scalar {
            true => config.number("query_pre_attn_scalar")?.unwrap_or(256.0),
            false => sizes.head_dim.into(),
        };
        if scalar.is_nan() || scalar <= 0.0 {
            bail!("`query_pre_attn_scalar` is {scalar}, not above 0");
        }
        let [score_cap, logit_cap] = family.caps;
        Ok(Self {
            name: family.model_type,
            sizes,
            intermediate_size: config.size("intermediate_size")?,
            epsilon: config.number("rms_norm_eps")?.unwrap_or(1e-6),
            tied: config.flag_or("tie_word_embeddings", true)?,
            bias: config.flag("attention_bias")?,
            sandwich: family.sandwich,
            head_norms: family.head_norms,
            // Where only `hidden_act` says `gelu`, as in the first files of Gemma, the approximation is meant all the same.
            activation: Activation::read(&config, "hidden_activation", Activation::GeluTanh)?,
            scale: scalar.sqrt().recip(),
            score_cap: cap(&config, "attn_logit_softcapping", score_cap)?,
            logit_cap: cap(&config, "final_logit_softcapping", logit_cap)?,
            rotary_tables: rotary(&config, family, sizes.head_dim)?,
            layers: layers(&config, family, sizes.layers)?,
        })
    }

    /// Positions that a layer looks back, its own included, all if none; and the number of its rotary table.
    pub(crate) fn layer(&self, index: u32) -> (Option<u32>, u32) {
        self.layers.get(index as usize).copied().unwrap_or_default()
    }
}

/// A cap, which null turns off.
fn cap(config: &Settings, name: &str, default: Option<f64>) -> Result<Option<f64>> {
    match config.number(name)? {
        Some(cap) if cap > 0.0 => Ok(Some(cap)),
        Some(cap) => bail!("`{name}` is {cap}, not above 0"),
        None => Ok(default.filter(|_| !config.mentions(name))),
    }
}

/// Which layers have a window: by `layer_types`, else all but each `sliding_window_pattern`-th.
fn layers(config: &Settings, family: &Family, layers: u32) -> Result<Vec<(Option<u32>, u32)>> {
    let slides = match (layer_types(config, layers)?, family.full_every) {
        (Some(slides), Some(_)) => slides,
        (_, None) => vec![false; layers as usize],
        (None, Some(default)) => {
            let named = |name: &str| match config.mentions(name) && family.local_rotary {
                true => config.size(name).map(Some),
                false => Ok(None),
            };
            let every = match named("sliding_window_pattern")? {
                Some(every) => every,
                None => named("_sliding_window_pattern")?.unwrap_or(default),
            };
            all_but_each(every, layers)
        }
    };
    let window = match family.full_every {
        Some(_) => sliding_window(config, family.window)?,
        None => None,
    };
    let local = u32::from(family.local_rotary);
    Ok(slides.into_iter().map(|slides| if slides { (window, local) } else { (None, 0) }).collect())
}

/// Tables of full layers and of those with a window.
fn rotary(config: &Settings, family: &Family, head_dim: u32) -> Result<Vec<RotaryTable>> {
    if !family.local_rotary {
        return Ok(vec![rotary_table(config, head_dim)?]);
    }
    let full = match rotary_of_layers(config, "full_attention", head_dim)? {
        Some(full) => full,
        None => {
            let scaling = config.section("rope_scaling")?.unwrap_or_default();
            let theta = config.number("rope_theta")?.unwrap_or(1e6);
            rotary_scaled(config, &scaling, theta, head_dim)?
        }
    };
    let local = match rotary_of_layers(config, "sliding_attention", head_dim)? {
        Some(local) => local,
        None => {
            let theta = config.number("rope_local_base_freq")?.unwrap_or(10_000.0);
            rotary_scaled(config, &Settings::default(), theta, head_dim)?
        }
    };
    Ok(vec![full, local])
}
