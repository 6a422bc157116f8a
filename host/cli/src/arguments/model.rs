//! Flags about the model.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use swift_model::ModelConfig;
use swift_tensor::DType;

use super::{DeviceArguments, QuantisationArguments};

/// What is trained.
#[derive(Debug, Clone, Args, serde::Serialize)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelArguments {
    /// Folder of the model: `config.json`, `*.safetensors`, tokeniser files
    #[arg(long, value_name = "DIR", required = true)]
    pub(crate) model: PathBuf,
    /// Reference model of losses that need one [default: the model before training]
    #[arg(long, value_name = "DIR")]
    pub(crate) ref_model: Option<PathBuf>,
    /// Teacher model of losses that need one
    #[arg(long, value_name = "DIR")]
    pub(crate) teacher_model: Option<PathBuf>,
    /// Classes, or numbers to predict, of losses that score whole texts
    #[arg(long, value_name = "N")]
    pub(crate) num_labels: Option<NonZeroU32>,
    /// Element type that is computed with; `fp8` is bfloat16 with products of linear layers in 8 bits [default: as in
    /// `config.json`]
    #[arg(long, alias = "torch-dtype", value_enum, value_name = "NAME")]
    #[serde(rename = "torch_dtype")]
    pub(crate) dtype: Option<Precision>,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) quantisation: QuantisationArguments,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) device: DeviceArguments,
    /// Number of CPU threads; the results do not depend on it [default: one per core]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<std::num::NonZeroUsize>,
}

/// An element type to compute with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Dtype {
    #[value(alias = "bf16")]
    Bfloat16,
    #[value(alias = "fp16")]
    Float16,
    #[value(alias = "fp32")]
    Float32,
    Float64,
}

/// What training computes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Precision {
    /// `bfloat16`, but products of linear layers in 8 bits.
    Fp8,
    #[serde(untagged)]
    Of(Dtype),
}

impl Precision {
    /// The element type of all that is not rounded to 8 bits.
    pub(crate) fn dtype(self) -> Dtype {
        match self {
            Self::Fp8 => Dtype::Bfloat16,
            Self::Of(dtype) => dtype,
        }
    }
}

impl ValueEnum for Precision {
    fn value_variants<'a>() -> &'a [Self] {
        use Dtype::{Bfloat16, Float16, Float32, Float64};
        &[Self::Of(Bfloat16), Self::Of(Float16), Self::Of(Float32), Self::Of(Float64), Self::Fp8]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Fp8 => Some(PossibleValue::new("fp8")),
            Self::Of(dtype) => dtype.to_possible_value(),
        }
    }
}

/// The names of all of them.
const DTYPES: [(Dtype, DType); 4] = [
    (Dtype::Bfloat16, DType::BF16),
    (Dtype::Float16, DType::F16),
    (Dtype::Float32, DType::F32),
    (Dtype::Float64, DType::F64),
];

impl Dtype {
    /// The name of the type that a model's weights were trained in, or else of `float32`.
    pub(crate) fn of(config: &ModelConfig) -> Self {
        let trained = config.dtype();
        let known = DTYPES.iter().find(|(_, dtype)| trained == Some(*dtype));
        known.map_or(Self::Float32, |(name, _)| *name)
    }
}

impl From<Dtype> for DType {
    fn from(name: Dtype) -> Self {
        DTYPES.iter().find(|(known, _)| *known == name).map_or(Self::F32, |(_, dtype)| *dtype)
    }
}
