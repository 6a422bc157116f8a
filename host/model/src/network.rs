//! The parameters of a model, as its stages see them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use swift_runtime::{Architecture, Role};
use swift_tensor::fused::{Linear, Weight, linear};
use swift_tensor::{DType, ParameterId, Tensor};

use crate::adapter::{Adapter, linear_sizes};
use crate::parameter::TrainableParameter;
use crate::score_head::{Place, ScoreHead};
use crate::{Error, Result};

/// An architecture with values.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) architecture: Arc<Architecture>,
    /// In the order of the architecture's parameters.
    pub(crate) weights: Arc<[Weight]>,
    /// Whether the values themselves are trained.
    pub(crate) trainable: bool,
    pub(crate) adapter: Option<Arc<Adapter>>,
    pub(crate) score_head: Option<ScoreHead>,
    pub(crate) dtype: DType,
    /// Whether linear layers of batches that are not generated take their products in 8 bits.
    pub(crate) float8: bool,
    /// A frozen head whose rows were divided by their lengths.
    pub(crate) normalised_head: Arc<Mutex<Option<Tensor>>>,
}

/// The shortest length that a row of a head is divided by, as in `torch.nn.functional.normalize`.
const SHORTEST: f64 = 1e-12;

impl Network {
    /// The parameter `index`, for an operation `op` of `stage` (of none for the output projection). One that is quantised is
    /// made whole.
    ///
    /// # Errors
    /// If there is no such parameter, or it belongs to another stage.
    pub(crate) fn parameter(
        &self,
        op: &'static str,
        index: u32,
        stage: Option<u32>,
    ) -> swift_tensor::Result<Tensor> {
        self.weight(op, index, stage)?.to_tensor(self.dtype)
    }

    /// The parameter `index` as it is kept, as [`Self::parameter`].
    ///
    /// # Errors
    /// As [`Self::parameter`].
    pub(crate) fn weight(
        &self,
        op: &'static str,
        index: u32,
        stage: Option<u32>,
    ) -> swift_tensor::Result<Weight> {
        let parameters = &self.architecture.parameters;
        let (Some(parameter), Some(weight)) =
            (parameters.get(index as usize), self.weights.get(index as usize))
        else {
            let message = format!("there is no parameter {index}, the architecture has {}", parameters.len());
            return Err(swift_tensor::Error::invalid(op, message));
        };
        if let Some(stage) = stage.filter(|stage| *stage != parameter.stage) {
            let message = format!(
                "the parameter `{}` of stage {} was used in stage {stage}",
                parameter.name, parameter.stage
            );
            return Err(swift_tensor::Error::invalid(op, message));
        }
        Ok(match weight {
            Weight::Dense(weight) if self.trainable && !self.architecture.untrained.contains(&index) => {
                Tensor::parameter(weight.value().clone(), ParameterId(index)).into()
            }
            weight => weight.clone(),
        })
    }

    /// Whether products with the parameter `index` are taken in 8 bits, if its sizes allow it.
    pub(crate) fn is_in_float8(&self, index: u32) -> bool {
        let Architecture { parameters, full_precision, .. } = &*self.architecture;
        let parameter = parameters.get(index as usize).filter(|_| self.float8);
        parameter.and_then(linear_sizes).is_some() && !full_precision.contains(&index)
    }

    /// Weight `[vocab, hidden_size]` and bias `[vocab]` of the output projection.
    ///
    /// # Errors
    /// If the architecture has no such parameters.
    pub(crate) fn head(&self) -> swift_tensor::Result<(Tensor, Option<Tensor>)> {
        let head = &self.architecture.head;
        let bias = head.bias.map(|bias| self.parameter("linear", bias, None)).transpose()?;
        let weight = self.parameter("linear", head.weight, None)?;
        Ok((if head.normalised { self.normalised(&weight)? } else { weight }, bias))
    }

    /// The head's weight with rows of the length 1. It is kept where it stays the same.
    fn normalised(&self, weight: &Tensor) -> swift_tensor::Result<Tensor> {
        let mut kept = self.normalised_head.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.as_ref().filter(|_| !self.trainable) {
            return Ok(kept.clone());
        }
        let wide = if weight.dtype() == DType::F64 { weight.clone() } else { weight.cast(DType::F32)? };
        let lengths = wide.mul(&wide)?.sum(&[-1], true)?.sqrt()?.clamp(SHORTEST, f64::INFINITY)?;
        let made = wide.div(&lengths)?.cast(weight.dtype())?;
        *kept = (!self.trainable).then(|| made.clone());
        Ok(made)
    }

    /// Logits `[rows, vocab]` of hidden states `[rows, hidden_size]`.
    ///
    /// # Errors
    /// As [`Self::head`], and if the hidden states have another width.
    pub(crate) fn logits(&self, hidden: &Tensor) -> swift_tensor::Result<Tensor> {
        let (weight, bias) = self.head()?;
        let logits = linear(hidden, &Linear { weight: weight.into(), bias, adapter: None })?;
        match self.architecture.head.soft_cap {
            Some(cap) => logits.scale(cap.recip())?.tanh()?.scale(cap),
            None => Ok(logits),
        }
    }

    /// Forgets what was derived from the parameters.
    pub(crate) fn parameters_changed(&self) {
        *self.normalised_head.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether `stage` uses a parameter that is trained.
    pub(crate) fn trains(&self, stage: u32, adapters: bool) -> bool {
        let adapter = self.adapter.as_ref().filter(|adapter| adapters && adapter.trainable());
        let trained = |index| self.trainable || adapter.is_some_and(|adapter| adapter.layer(index).is_some());
        let parameters = self.architecture.parameters.iter().enumerate();
        parameters.filter(|(_, parameter)| parameter.stage == stage).any(|(index, _)| trained(index))
    }

    /// What an optimiser works on.
    pub(crate) fn trainable_parameters(&self) -> Vec<TrainableParameter> {
        let own = self.architecture.parameters.iter().zip(self.weights.iter()).zip(0..).filter_map(
            |((parameter, weight), id)| {
                Some(TrainableParameter {
                    id: ParameterId(id),
                    name: parameter.name.clone(),
                    value: weight.as_tensor()?.value().clone(),
                    role: parameter.role,
                    weight_decay: !matches!(parameter.role, Role::Bias | Role::Norm),
                    adapter_b: false,
                })
            },
        );
        let adapter = self.adapter.iter().filter(|adapter| adapter.trainable());
        let adapted = adapter.flat_map(|adapter| adapter.parameters(&self.architecture));
        let place = if self.adapter.is_some() { Place::Adapter } else { Place::Model };
        let head = self.score_head.iter().map(|head| TrainableParameter {
            id: head.id,
            name: place.name(),
            value: head.weight.clone(),
            role: Role::Head,
            weight_decay: true,
            adapter_b: false,
        });
        let trained =
            |own: &TrainableParameter| self.trainable && !self.architecture.untrained.contains(&own.id.0);
        own.filter(trained).chain(adapted).chain(head).collect()
    }
}

/// Checks what the rest relies on.
///
/// # Errors
/// If the architecture contradicts itself.
pub(crate) fn validate(architecture: &Architecture) -> Result<()> {
    let wrong = |message: String| {
        Err(Error::InconsistentArchitecture { architecture: architecture.name.clone(), message })
    };
    if architecture.stages == 0 {
        return wrong("it has no stages".into());
    }
    let mut names = BTreeSet::new();
    for parameter in &architecture.parameters {
        if !names.insert(&parameter.name) {
            return wrong(format!("it names the parameter `{}` twice", parameter.name));
        }
        if parameter.stage >= architecture.stages {
            return wrong(format!("the parameter `{}` belongs to stage {}", parameter.name, parameter.stage));
        }
    }
    let shape =
        |index: u32| architecture.parameters.get(index as usize).map(|parameter| parameter.shape.as_slice());
    let head = &architecture.head;
    if shape(head.weight) != Some(&[architecture.vocab_size, architecture.hidden_size]) {
        return wrong("the head's weight is no parameter of the shape [vocab, hidden_size]".into());
    }
    if head.bias.is_some_and(|bias| shape(bias) != Some(&[architecture.vocab_size])) {
        return wrong("the head's bias is no parameter of the shape [vocab]".into());
    }
    if let Some(cap) = head.soft_cap.filter(|cap| !(*cap > 0.0 && cap.is_finite())) {
        return wrong(format!("the soft cap of its head is {cap}, not above 0"));
    }
    Ok(())
}
