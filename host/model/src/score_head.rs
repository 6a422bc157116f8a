//! A trained linear layer on the hidden states, as reward models and classifiers have it.

use std::path::{Path, PathBuf};

use swift_tensor::fused::{Linear, linear};
use swift_tensor::{DType, Device, ParameterId, Tensor, Value, normal};

use crate::Result;
use crate::adapter::adapter_weights;
use crate::random::stream;
use crate::weights::{Expected, has_tensor, read_tensors, weight_files};

/// Its name in a model's own files, and in PEFT's after the usual beginning.
pub(crate) const NAME: &str = "score.weight";

/// Its module, as PEFT lists it among those that are saved whole.
pub(crate) const MODULE: &str = "score";

/// Spread of the weights of a new one: `initializer_range` of most models.
const DEVIATION: f64 = 0.02;

/// `scores = hidden W^T`, without a bias.
#[derive(Clone)]
pub(crate) struct ScoreHead {
    /// `[outputs, hidden_size]`.
    pub(crate) weight: Value,
    pub(crate) id: ParameterId,
}

impl ScoreHead {
    /// The head that lies beside the adapter or else the model, or a new one.
    ///
    /// # Errors
    /// If there is one of another shape, or a file is broken.
    pub(crate) fn find(
        places: &[(&Path, Place)],
        outputs: usize,
        hidden_size: usize,
        (dtype, device): (DType, &Device),
        seed: u64,
        id: ParameterId,
    ) -> Result<Self> {
        for (folder, place) in places {
            let (files, name) = (place.files(folder)?, place.name());
            if !has_tensor(&files, &name)? {
                continue;
            }
            let expected = [Expected { name, shape: vec![outputs, hidden_size] }];
            let everything_else = ["*".to_owned()];
            let found = read_tensors(folder, &files, &expected, &everything_else, dtype, device)?;
            if let Some(weight) = found.into_iter().next() {
                return Ok(Self { weight, id });
            }
        }
        let shape = [outputs as u64, hidden_size as u64];
        let weight = normal(0.0, DEVIATION, &shape, dtype, stream(seed, NAME))?.value().clone();
        Ok(Self { weight, id })
    }

    /// How many scores there are.
    pub(crate) fn outputs(&self) -> usize {
        self.weight.dims().first().copied().unwrap_or_default()
    }

    /// Scores of the hidden states `[rows, hidden_size]`: `[rows, outputs]`.
    pub(crate) fn forward(&self, hidden: &Tensor) -> swift_tensor::Result<Tensor> {
        let weight = Tensor::parameter(self.weight.clone(), self.id);
        linear(&hidden.cast(weight.dtype())?, &Linear { weight: weight.into(), bias: None, adapter: None })
    }
}

/// Whose files a head may lie in.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    Adapter,
    Model,
}

impl Place {
    fn files(self, folder: &Path) -> Result<Vec<PathBuf>> {
        match self {
            Self::Adapter => Ok(vec![adapter_weights(folder)]),
            Self::Model => weight_files(folder),
        }
    }

    /// Its name in those files.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Adapter => format!("base_model.model.{NAME}"),
            Self::Model => NAME.to_owned(),
        }
    }
}
