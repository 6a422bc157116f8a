use crate::{Context, Result, Settings, Tensor, bail};

/// The function of a feed-forward part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x sigmoid(x)`.
    Silu,
    /// `x (1 + erf(x / sqrt 2)) / 2` (Hendrycks and Gimpel 2016).
    Gelu,
    /// The same, approximated with a hyperbolic tangent.
    GeluTanh,
}

impl Activation {
    /// The function that a setting names, as transformers calls it.
    ///
    /// # Errors
    /// If the name is of no function here.
    pub fn read(config: &Settings, setting: &str, default: Self) -> Result<Self> {
        Ok(match config.text(setting)? {
            None => default,
            Some("silu" | "swish") => Self::Silu,
            Some("gelu") => Self::Gelu,
            Some("gelu_pytorch_tanh" | "gelu_new") => Self::GeluTanh,
            Some(other) => {
                bail!(
                    "`{setting}` is `{other}`, and only `silu`, `gelu` and `gelu_pytorch_tanh` are supported"
                )
            }
        })
    }

    /// The function of each element.
    #[track_caller]
    pub fn apply(self, x: &Tensor) -> Tensor {
        match self {
            Self::Silu => x.silu(),
            Self::Gelu => x.gelu(),
            Self::GeluTanh => x.gelu_tanh(),
        }
    }

    /// `f(gate) * up` (Shazeer 2020).
    #[track_caller]
    pub fn gate(self, gate: &Tensor, up: &Tensor, context: &Context) -> Tensor {
        match self {
            Self::Silu => context.swiglu(gate, up),
            _ => self.apply(gate) * up,
        }
    }
}
