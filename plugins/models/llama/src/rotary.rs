//! Frequencies of the rotary position embedding.

use std::f64::consts::TAU;

use swift_plugin::prelude::*;

/// The table of a model: `rope_theta` and `rope_scaling` of transformers 4, or `rope_parameters` of transformers 5.
pub(crate) fn table(config: &Settings, head_dim: u64) -> Result<RotaryTable> {
    let new = config.section("rope_parameters")?;
    let theta = match (&new, config.number("rope_theta")?) {
        (Some(new), older) => match new.number("rope_theta")?.or(older) {
            Some(theta) => theta,
            None => bail!("`rope_theta` is missing from `rope_parameters`"),
        },
        (None, theta) => theta.unwrap_or(10_000.0),
    };
    // theta^(-2i / head_dim) for each pair i (Su et al. 2021, "RoFormer", section 3.2).
    let frequencies = (0..head_dim / 2).map(|pair| theta.powf(-2.0 * pair as f64 / head_dim as f64));
    let scaling = new.or(config.section("rope_scaling")?).unwrap_or_default();
    // Older files say `type`.
    let scheme = scaling.text("rope_type")?.or(scaling.text("type")?).unwrap_or("default");
    let inverse_frequencies = match scheme {
        "default" => frequencies.collect(),
        "llama3" => {
            let llama3 = Llama3::read(&scaling)?;
            frequencies.map(|frequency| llama3.stretch(frequency)).collect()
        }
        other => bail!("`rope_type` is `{other}`, and only `default` and `llama3` are supported"),
    };
    Ok(RotaryTable { inverse_frequencies, scale: 1.0, interleaved: false })
}

/// Llama 3.1's scaling: long waves are stretched by `factor`, short ones kept, those between mixed.
struct Llama3 {
    factor: f64,
    low: f64,
    high: f64,
    original: f64,
}

impl Llama3 {
    fn read(scaling: &Settings) -> Result<Self> {
        let number = |name: &str| match scaling.number(name)? {
            Some(number) => Ok(number),
            None => bail!("`{name}` is missing from the rotary parameters"),
        };
        Ok(Self {
            factor: number("factor")?,
            low: number("low_freq_factor")?,
            high: number("high_freq_factor")?,
            original: number("original_max_position_embeddings")?,
        })
    }

    /// As `_compute_llama3_parameters` of transformers.
    fn stretch(&self, frequency: f64) -> f64 {
        let wavelength = TAU / frequency;
        if wavelength < self.original / self.high {
            frequency
        } else if wavelength > self.original / self.low {
            frequency / self.factor
        } else {
            let smooth = (self.original / wavelength - self.low) / (self.high - self.low);
            (1.0 - smooth) * frequency / self.factor + smooth * frequency
        }
    }
}
