//! What a `config.json` says, in the spellings of transformers 4 and 5. A setting that would change the model and is not
//! implemented is an error that names it.

use swift_plugin::decoder::{
    Activation, NormStyle, Sizes, alibi_slopes, all_but_each, layer_types, read_config, refuse_unless,
    rotary_share, sliding_window,
};
use swift_plugin::prelude::*;

use crate::families::{Bias, FAMILIES, Family, HeadStyle, Joined, Multipliers, Normalisation, Sliding};

/// The norms of each head's queries and keys: their names, and whether they come after the rotation.
pub(crate) type HeadNorms = Option<([&'static str; 2], bool)>;

/// The sizes and settings of one model.
pub(crate) struct Config {
    pub(crate) name: &'static str,
    pub(crate) sizes: Sizes,
    pub(crate) intermediate_size: u64,
    pub(crate) norm: NormStyle,
    pub(crate) activation: Activation,
    pub(crate) gated: bool,
    pub(crate) parallel: bool,
    pub(crate) joined: Joined,
    pub(crate) names: &'static [(&'static str, &'static str)],
    pub(crate) head: HeadStyle,
    pub(crate) tied: bool,
    pub(crate) qkv_bias: bool,
    pub(crate) o_bias: bool,
    pub(crate) mlp_bias: bool,
    pub(crate) head_norms: HeadNorms,
    pub(crate) factors: Factors,
    /// None where positions are slopes.
    pub(crate) rotary: Option<RotaryTable>,
    /// By how much each head's scores grow with the position of the key; empty where positions are rotations.
    pub(crate) slopes: Vec<f64>,
    /// The window of each layer, and whether its queries and keys are rotated.
    layers: Vec<(Option<u32>, bool)>,
}

/// Factors that are 1 in most models.
pub(crate) struct Factors {
    /// On embeddings.
    pub(crate) embedding: f64,
    /// On what attention and the feed-forward part add.
    pub(crate) residual: f64,
    /// On scores.
    pub(crate) scores: f64,
    /// On the last hidden states, and so on logits.
    pub(crate) hidden: f64,
}

impl Config {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (config, family) = read_config(text, &FAMILIES, "of the llama family")?;
        refuse_unsupported(&config, family)?;
        let sizes = Sizes::read(&config, family.head_dim)?;
        let has = |bias: Bias| match bias {
            Bias::Always => Ok(true),
            Bias::Never => Ok(false),
            Bias::If(name) => config.flag(name),
            Bias::Unless(name) => config.flag_or(name, true),
        };
        let norm = match family.norm {
            Normalisation::Rms => NormStyle::rms(&config, 1e-6)?,
            Normalisation::Layer(name) => {
                NormStyle::Layer { epsilon: config.number(name)?.unwrap_or(1e-5), bias: true }
            }
        };
        let activation = match family.gated {
            true => Activation::Silu,
            false => Activation::GeluTanh,
        };
        let sloped = family.alibi_without.is_some_and(|name| !config.mentions(name));
        let share = family.partial_rotary.unwrap_or(1.0);
        let rotary = || rotary_share(&config, sizes.head_dim, share);
        Ok(Self {
            name: family.model_type,
            sizes,
            intermediate_size: config.size("intermediate_size")?,
            norm,
            activation: Activation::read(&config, "hidden_act", activation)?,
            gated: family.gated,
            parallel: has(family.parallel)?,
            joined: family.joined,
            names: family.names,
            head: family.head,
            tied: config.flag_or("tie_word_embeddings", family.tied)?,
            qkv_bias: has(family.qkv_bias)?,
            o_bias: has(family.o_bias)?,
            mlp_bias: has(family.mlp_bias)?,
            head_norms: family.head_norms,
            factors: factors(&config, family, &sizes)?,
            rotary: if sloped { None } else { Some(rotary()?) },
            slopes: if sloped { alibi_slopes(sizes.heads) } else { Vec::new() },
            layers: layers(&config, family, sizes.layers)?,
        })
    }

    /// Positions that a layer looks back, its own included, all if none; and whether it rotates queries and keys.
    pub(crate) fn layer(&self, index: u32) -> (Option<u32>, bool) {
        self.layers.get(index as usize).copied().unwrap_or((None, true))
    }
}

fn factors(config: &Settings, family: &Family, sizes: &Sizes) -> Result<Factors> {
    let or = |name: &str, default: f64| Ok::<_, Error>(config.number(name)?.unwrap_or(default));
    let divisor = |name: &str, default: f64| match config.number(name)?.unwrap_or(default) {
        value if value > 0.0 => Ok(value),
        value => bail!("`{name}` is {value}, not above 0"),
    };
    Ok(match family.multipliers {
        Multipliers::None => Factors { embedding: 1.0, residual: 1.0, scores: sizes.scale(), hidden: 1.0 },
        Multipliers::Granite => Factors {
            embedding: or("embedding_multiplier", 1.0)?,
            residual: or("residual_multiplier", 1.0)?,
            scores: or("attention_multiplier", 1.0)?,
            hidden: divisor("logits_scaling", 1.0)?.recip(),
        },
        // Hu et al. 2024, "MiniCPM", table 7.
        Multipliers::MiniCpm => Factors {
            embedding: or("scale_emb", 1.0)?,
            residual: or("scale_depth", 1.0)? / f64::from(sizes.layers).sqrt(),
            scores: sizes.scale(),
            hidden: or("dim_model_base", 1.0)? / sizes.hidden as f64,
        },
    })
}

/// The window of each layer and whether it rotates: windows by `layer_types` if there are such, else as the family has it.
fn layers(config: &Settings, family: &Family, count: u32) -> Result<Vec<(Option<u32>, bool)>> {
    let types = layer_types(config, count)?;
    let slides: Vec<bool> = match (types, family.sliding) {
        (Some(types), _) => types,
        (None, Sliding::Never) => vec![false; count as usize],
        (None, Sliding::All { .. }) => vec![true; count as usize],
        (None, Sliding::Upper) => {
            let used = config.flag("use_sliding_window")?;
            let first = config.integer("max_window_layers")?.unwrap_or(28);
            (0..u64::from(count)).map(|layer| used && layer >= first).collect()
        }
    };
    let default = match family.sliding {
        // Null means none, but nothing means the default.
        Sliding::All { default } => default,
        _ => None,
    };
    let window = sliding_window(config, default)?;
    let rotated = rotated(config, family, count)?;
    Ok(slides
        .into_iter()
        .zip(rotated)
        .map(|(slides, rotated)| (window.filter(|_| slides), rotated))
        .collect())
}

/// Which layers rotate queries and keys (Yang et al. 2025, "Rope to Nope and Back Again").
fn rotated(config: &Settings, family: &Family, count: u32) -> Result<Vec<bool>> {
    if !family.skips_rotation {
        return Ok(vec![true; count as usize]);
    }
    let Some(list) = config.list("no_rope_layers")? else {
        let every = match config.mentions("no_rope_layer_interval") {
            true => config.size("no_rope_layer_interval")?,
            false => 4,
        };
        return Ok(all_but_each(every, count));
    };
    if list.len() < count as usize {
        bail!("`no_rope_layers` has {} entries, and `num_hidden_layers` is {count}", list.len());
    }
    // In spite of its name, 1 stands for a layer with a rotation.
    Ok(list.iter().take(count as usize).map(|entry| entry.as_u64() != Some(0)).collect())
}

fn refuse_unsupported(config: &Settings, family: &Family) -> Result<()> {
    refuse_unless(config, &[("attn_logit_softcapping", None), ("final_logit_softcapping", None)])?;
    if family.partial_rotary.is_none() {
        refuse_unless(config, &[("partial_rotary_factor", Some(1.0))])?;
    }
    for name in family.dropouts {
        if let Some(rate) = config.number(name)?.filter(|&rate| rate != 0.0) {
            warn!("`{name}` is {rate}, and nothing is dropped");
        }
    }
    if family.dropouts.is_empty() {
        refuse_unless(config, &[("attention_dropout", Some(0.0))])?;
    }
    for name in family.refused {
        if config.get(name).is_some_and(|value| value.as_bool() != Some(false)) {
            bail!("`{name}` is set, which is not supported");
        }
    }
    Ok(())
}
