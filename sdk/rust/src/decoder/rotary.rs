//! Rotary tables, as `modeling_rope_utils.py` of transformers computes them.

use std::f64::consts::TAU;

use crate::{LongerSequences, Result, RotaryTable, Settings, Value, bail};

/// The table of a model whose layers have one: `rope_theta` and `rope_scaling` of transformers 4, or `rope_parameters` of
/// transformers 5. A `partial_rotary_factor` rotates only that share of a head. Pairs are `(i, i + half)`.
///
/// It is for sequences up to the length that a model was first made for; those that are longer have other angles where the scheme
/// is `longrope` or `dynamic`, which [`longer_sequences`] declares.
///
/// # Errors
/// If the scheme is unknown, or a number that it needs is missing or makes no sense.
pub fn rotary_table(config: &Settings, head_dim: u32) -> Result<RotaryTable> {
    rotary_share(config, head_dim, 1.0)
}

/// As [`rotary_table`], of a model that rotates `share` of a head where its configuration has no `partial_rotary_factor`.
///
/// # Errors
/// As [`rotary_table`].
pub fn rotary_share(config: &Settings, head_dim: u32, share: f64) -> Result<RotaryTable> {
    let section = config.section("rope_parameters")?;
    let theta = match (&section, config.number("rope_theta")?) {
        (Some(new), older) => match new.number("rope_theta")?.or(older) {
            Some(theta) => theta,
            None => bail!("`rope_theta` is missing from `rope_parameters`"),
        },
        (None, theta) => theta.unwrap_or(10_000.0),
    };
    let scaling = section.or(config.section("rope_scaling")?).unwrap_or_default();
    scaled(config, &scaling, theta, head_dim, share)
}

/// What longer sequences are rotated with instead of the tables of [`rotary_table`]: from `original_max_position_embeddings` on
/// the long factors of `longrope` (Ding et al. 2024), and from `max_position_embeddings` on the growing base of `dynamic` without a
/// fixed `alpha`. Nothing where the scheme has one table for all lengths.
///
/// # Errors
/// If a number is missing or makes no sense, or such a scheme is that of a model with several tables.
pub fn longer_sequences(config: &Settings, tables: &[RotaryTable]) -> Result<Vec<LongerSequences>> {
    let section = config.section("rope_parameters")?.or(config.section("rope_scaling")?);
    let Some(scaling) = section else { return Ok(Vec::new()) };
    let scheme = scheme_name(&scaling)?;
    let long = matches!(scheme, "longrope" | "su");
    if tables.is_empty() || !(long || scheme == "dynamic" && fixed_alpha(&scaling)?.is_none()) {
        return Ok(Vec::new());
    }
    let [table] = tables else {
        bail!("`rope_type` is `{scheme}`, which is not supported with several rotary tables");
    };
    let own = &table.inverse_frequencies;
    let longer = if long {
        let (short, long) =
            (factors(&scaling, "short_factor", own.len())?, factors(&scaling, "long_factor", own.len())?);
        let factors = short.iter().zip(long);
        LongerSequences {
            table: 0,
            tokens: original_positions(config, &scaling)?,
            inverse_frequencies: own.iter().zip(factors).map(|(x, (short, long))| x * short / long).collect(),
            growth: 0.0,
        }
    } else {
        LongerSequences {
            table: 0,
            tokens: config.size("max_position_embeddings")?,
            inverse_frequencies: own.clone(),
            growth: positive(&scaling, "factor")?,
        }
    };
    Ok(vec![longer])
}

/// The table of the layers of one kind, as `full_attention`, where `rope_parameters` has a part for each; none where it hasn't.
///
/// # Errors
/// As [`rotary_table`].
pub fn rotary_of_layers(config: &Settings, kind: &str, head_dim: u32) -> Result<Option<RotaryTable>> {
    let Some(parts) = config.section("rope_parameters")? else { return Ok(None) };
    let Some(part) = parts.section(kind)? else { return Ok(None) };
    let Some(theta) = part.number("rope_theta")? else {
        bail!("`rope_theta` is missing from `{kind}` of `rope_parameters`");
    };
    rotary_scaled(config, &part, theta, head_dim).map(Some)
}

/// A table from its base `theta` and the parameters of a scheme.
///
/// # Errors
/// As [`rotary_table`].
pub fn rotary_scaled(
    config: &Settings,
    scaling: &Settings,
    theta: f64,
    head_dim: u32,
) -> Result<RotaryTable> {
    scaled(config, scaling, theta, head_dim, 1.0)
}

fn scaled(
    config: &Settings,
    scaling: &Settings,
    theta: f64,
    head_dim: u32,
    share: f64,
) -> Result<RotaryTable> {
    let partial = match scaling.number("partial_rotary_factor")? {
        Some(partial) => partial,
        None => config.number("partial_rotary_factor")?.unwrap_or(share),
    };
    if !(partial > 0.0 && partial <= 1.0) {
        bail!("`partial_rotary_factor` is {partial}, not above 0 and at most 1");
    }
    if !(theta > 0.0 && theta.is_finite()) {
        bail!("`rope_theta` is {theta}, not above 0");
    }
    let dim = (f64::from(head_dim) * partial) as u32;
    if dim == 0 || !dim.is_multiple_of(2) {
        bail!("{dim} components of each head would be rotated, which is not an even number above 0");
    }
    let scheme = Scheme { config, scaling, theta, dim };
    let (inverse_frequencies, scale) = match scheme_name(scaling)? {
        "default" => (scheme.plain(theta), 1.0),
        "linear" => {
            let factor = scheme.number("factor")?;
            (scheme.plain(theta).into_iter().map(|frequency| frequency / factor).collect(), 1.0)
        }
        "dynamic" => (scheme.plain(scheme.dynamic_theta()?), 1.0),
        "llama3" => (scheme.llama3()?, 1.0),
        "yarn" => scheme.yarn()?,
        "longrope" | "su" => scheme.longrope()?,
        other => bail!(
            "`rope_type` is `{other}`, and only `default`, `linear`, `dynamic`, `llama3`, `yarn` and `longrope` are supported"
        ),
    };
    Ok(RotaryTable { inverse_frequencies, scale, interleaved: false })
}

/// The name of the scheme; older files say `type`.
fn scheme_name(scaling: &Settings) -> Result<&str> {
    Ok(scaling.text("rope_type")?.or(scaling.text("type")?).unwrap_or("default"))
}

/// Hunyuan's `alpha` of the scheme `dynamic`, by which the base is raised whatever the length.
fn fixed_alpha(scaling: &Settings) -> Result<Option<f64>> {
    Ok(scaling.number("alpha")?.filter(|&alpha| alpha > 0.0))
}

/// A number above 0 that has to be there.
fn positive(scaling: &Settings, name: &str) -> Result<f64> {
    match scaling.number(name)? {
        Some(number) if number > 0.0 => Ok(number),
        Some(number) => bail!("`{name}` of the rotary parameters is {number}, not above 0"),
        None => bail!("`{name}` is missing from the rotary parameters"),
    }
}

/// A factor for each of some pairs.
fn factors(scaling: &Settings, name: &str, pairs: usize) -> Result<Vec<f64>> {
    let list = scaling.list(name)?.unwrap_or_default();
    let numbers: Vec<f64> = list.iter().filter_map(Value::as_f64).filter(|&x| x > 0.0).collect();
    if numbers.len() != pairs || list.len() != pairs {
        bail!("`{name}` of the rotary parameters is not a list of {pairs} numbers above 0");
    }
    Ok(numbers)
}

/// Positions of the training before it was stretched.
fn original_positions(config: &Settings, scaling: &Settings) -> Result<u64> {
    const ORIGINAL: &str = "original_max_position_embeddings";
    match scaling
        .integer(ORIGINAL)?
        .or(config.integer(ORIGINAL)?)
        .or(config.integer("max_position_embeddings")?)
    {
        Some(original) if original > 0 => Ok(original),
        _ => bail!("`{ORIGINAL}` is missing from the rotary parameters"),
    }
}

struct Scheme<'a> {
    config: &'a Settings,
    scaling: &'a Settings,
    theta: f64,
    /// Rotated components of a head.
    dim: u32,
}

impl Scheme<'_> {
    fn width(&self) -> f64 {
        self.dim.into()
    }

    fn number(&self, name: &str) -> Result<f64> {
        positive(self.scaling, name)
    }

    /// `theta^(-2i / dim)` for each pair `i` (Su et al. 2021, "RoFormer", section 3.2).
    fn plain(&self, theta: f64) -> Vec<f64> {
        (0..self.dim / 2).map(|pair| theta.powf(-2.0 * f64::from(pair) / self.width())).collect()
    }

    /// Hunyuan's fixed `alpha`; else the base of sequences that are not longer than those of the training.
    fn dynamic_theta(&self) -> Result<f64> {
        match fixed_alpha(self.scaling)? {
            Some(alpha) => Ok(self.theta * alpha.powf(self.width() / (self.width() - 2.0))),
            None => self.number("factor").map(|_| self.theta),
        }
    }

    /// Llama 3.1's scaling: long waves are stretched by `factor`, short ones kept, those between mixed.
    fn llama3(&self) -> Result<Vec<f64>> {
        let (factor, low, high) =
            (self.number("factor")?, self.number("low_freq_factor")?, self.number("high_freq_factor")?);
        let original = self.number("original_max_position_embeddings")?;
        let stretch = |frequency: f64| {
            let wavelength = TAU / frequency;
            if wavelength < original / high {
                frequency
            } else if wavelength > original / low {
                frequency / factor
            } else {
                let smooth = (original / wavelength - low) / (high - low);
                (1.0 - smooth) * frequency / factor + smooth * frequency
            }
        };
        Ok(self.plain(self.theta).into_iter().map(stretch).collect())
    }

    /// Positions of the training before it was stretched, and the factor by which it was.
    fn original(&self) -> Result<(f64, f64)> {
        let original = original_positions(self.config, self.scaling)? as f64;
        let longest = self.config.number("max_position_embeddings")?;
        let factor = match self.scaling.number("factor")? {
            Some(factor) => factor,
            None => longest.unwrap_or(original) / original,
        };
        match factor > 0.0 {
            true => Ok((original, factor)),
            false => bail!("`factor` of the rotary parameters is {factor}, not above 0"),
        }
    }

    /// Peng et al. 2023, "YaRN": section 3.2 for frequencies, equation 22 for the factor on cosine and sine.
    fn yarn(&self) -> Result<(Vec<f64>, f64)> {
        let (original, factor) = self.original()?;
        let or = |name: &str, default: f64| self.scaling.number(name).map(|number| number.unwrap_or(default));
        // The pair that turns so many times within the original positions.
        let pair = |turns: f64| self.width() * (original / (turns * TAU)).ln() / (2.0 * self.theta.ln());
        let (mut low, mut high) = (pair(or("beta_fast", 32.0)?), pair(or("beta_slow", 1.0)?));
        if self.scaling.get("truncate").and_then(Value::as_bool).unwrap_or(true) {
            (low, high) = (low.floor(), high.ceil());
        }
        let (low, mut high) = (low.max(0.0), high.min(self.width() - 1.0));
        if low == high {
            high += 0.001;
        }
        let mix = |(pair, frequency): (u32, f64)| {
            let ramp = ((f64::from(pair) - low) / (high - low)).clamp(0.0, 1.0);
            frequency / factor * ramp + frequency * (1.0 - ramp)
        };
        let frequencies = (0..).zip(self.plain(self.theta)).map(mix).collect();
        let magnitude = |weight: f64| if factor <= 1.0 { 1.0 } else { 0.1 * weight * factor.ln() + 1.0 };
        let scale = match self.scaling.number("attention_factor")? {
            Some(scale) => scale,
            None => match (or("mscale", 0.0)?, or("mscale_all_dim", 0.0)?) {
                (0.0, _) | (_, 0.0) => magnitude(1.0),
                (scale, all) => magnitude(scale) / magnitude(all),
            },
        };
        Ok((frequencies, scale))
    }

    /// Ding et al. 2024, "LongRoPE": a factor for each pair, here those of short sequences.
    fn longrope(&self) -> Result<(Vec<f64>, f64)> {
        let (original, mut factor) = self.original()?;
        if let Some(original) = self.config.number("original_max_position_embeddings")? {
            factor = self.config.number("max_position_embeddings")?.unwrap_or(original) / original;
        }
        let plain = self.plain(self.theta);
        let short = factors(self.scaling, "short_factor", plain.len())?;
        let frequencies = plain.iter().zip(short).map(|(x, factor)| x / factor).collect();
        let scale = match self.scaling.number("attention_factor")? {
            Some(scale) => scale,
            None if factor <= 1.0 => 1.0,
            None => (1.0 + factor.ln() / original.ln()).sqrt(),
        };
        Ok((frequencies, scale))
    }
}
