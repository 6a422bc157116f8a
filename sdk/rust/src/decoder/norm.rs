use crate::{Context, ParameterTable, Result, Role, Settings, Tensor};

/// How a model normalises.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NormStyle {
    /// `x / sqrt(mean(x^2) + epsilon) * (offset + w)` (Zhang and Sennrich 2019).
    Rms {
        /// Added to the mean of squares.
        epsilon: f64,
        /// Added to the weight: 0, or 1 in Gemma.
        offset: f64,
    },
    /// `(x - mean(x)) / sqrt(variance(x) + epsilon) * w + b` (Ba et al. 2016).
    Layer {
        /// Added to the variance.
        epsilon: f64,
        /// Whether there is a `b`.
        bias: bool,
    },
}

/// A norm, by the numbers of its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norm {
    style: NormStyle,
    weight: u32,
    bias: Option<u32>,
}

impl NormStyle {
    /// RMSNorm with the setting `rms_norm_eps`; `default` is that of a configuration that says nothing.
    ///
    /// # Errors
    /// If the setting is no number.
    pub fn rms(config: &Settings, default: f64) -> Result<Self> {
        Ok(Self::Rms { epsilon: config.number("rms_norm_eps")?.unwrap_or(default), offset: 0.0 })
    }

    /// Adds the parameters of a norm over `width` elements, called `name` without `.weight`.
    pub fn declare(self, table: &mut ParameterTable, name: &str, width: u64, stage: u32) -> Norm {
        let weight = table.add(format!("{name}.weight"), &[width], Role::Norm, stage);
        let biased = matches!(self, Self::Layer { bias: true, .. });
        let bias = biased.then(|| table.add(format!("{name}.bias"), &[width], Role::Norm, stage));
        Norm { style: self, weight, bias }
    }
}

impl Norm {
    /// Normalises where there is a norm.
    #[track_caller]
    pub fn apply_if_any(norm: Option<Self>, x: Tensor, context: &Context) -> Tensor {
        match norm {
            Some(norm) => norm.apply(&x, context),
            None => x,
        }
    }

    /// Normalises over the last dimension.
    #[track_caller]
    pub fn apply(self, x: &Tensor, context: &Context) -> Tensor {
        match self.style {
            NormStyle::Rms { epsilon, offset: 0.0 } => context.rms_norm(self.weight, x, epsilon),
            NormStyle::Rms { epsilon, offset } => context.rms_norm_offset(self.weight, offset, x, epsilon),
            NormStyle::Layer { epsilon, .. } => context.layer_norm(Some(self.weight), self.bias, x, epsilon),
        }
    }
}
