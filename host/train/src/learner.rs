use std::sync::Arc;

use candle_core::{DType, Tensor as Value};
use swift_data::PackedBatch;
use swift_model::{AddedLoss, ForwardOptions, Model, Outputs, TrainableParameter};
use swift_runtime::{Input, LossReport, Metric as Observed, OutputsView, Requirements, RunView};
use swift_tensor::{GradientSink, ParameterId, Tensor, backward, check_finite, no_grad};

use crate::batch::{Batch, Place, Totals, tokens};
use crate::gradient_scale::GradientScale;
use crate::metrics::Metrics;
use crate::optimizer::{AdamWOptimizer, Optimizer, RuleOptimizer};
use crate::random::seed;
use crate::sink::{Gradients, clip_factor};
use crate::{Error, Loss, Metric, Result, RolloutOptions, TrainerOptions, UpdateRule};

/// Element types that the optimiser changes.
const TRAINED: [DType; 3] = [DType::F32, DType::BF16, DType::F16];

/// What learns: a model, the loss that it learns by, and the gradients of the window at hand.
pub(crate) struct Learner {
    model: Model,
    reference: Reference,
    teacher: Option<Model>,
    loss: Box<dyn Loss>,
    requirements: Requirements,
    gradients: Gradients,
    optimizer: Box<dyn Optimizer>,
    recompute: bool,
    model_adds_loss: bool,
    seed: u64,
    max_grad_norm: f64,
    /// What logits are divided by: 1 but for rollouts.
    temperature: f64,
}

/// What is known of an answer before anything is learned from it, `[tokens]` each.
pub(crate) struct OldOutputs {
    /// By the policy.
    pub(crate) logps: Vec<f64>,
    /// By the reference model, if they were asked for.
    pub(crate) reference_logps: Option<Vec<f64>>,
    /// By the score head, if there is one.
    pub(crate) values: Option<Vec<f64>>,
}

/// How models are computed that are not trained at the moment.
const FROZEN: ForwardOptions = ForwardOptions { adapters: true, dropout_seed: None, recompute: false };

/// Where the outputs of the reference model come from.
enum Reference {
    /// The loss needs none.
    None,
    /// The model itself without its adapter.
    WithoutAdapter,
    Model(Box<Model>),
}

/// What came out of an optimiser step.
pub(crate) struct Step {
    pub(crate) loss: f64,
    /// Before clipping; none if a gradient overflowed, so that nothing was learned.
    pub(crate) gradient_norm: Option<f64>,
}

impl Learner {
    /// # Errors
    /// If nothing is trained, or the loss needs a reference model, a teacher or a score head and there is none.
    pub(crate) fn new(
        model: Model,
        reference: Option<Model>,
        teacher: Option<Model>,
        loss: Box<dyn Loss>,
        update_rule: Option<Box<dyn UpdateRule>>,
        options: &TrainerOptions,
        rollouts: Option<&RolloutOptions>,
    ) -> Result<Self> {
        let parameters = model.parameters();
        let first = parameters.first().ok_or(Error::NothingToTrain)?;
        if let Some(other) = parameters.iter().find(|parameter| !TRAINED.contains(&parameter.value.dtype())) {
            let dtype = other.value.dtype().as_str();
            return Err(Error::setting(
                "dtype",
                format!("leads to parameters in `{dtype}`, which are not trained"),
            ));
        }
        let requirements = loss.requirements();
        let teacher = teacher.filter(|_| requirements.teacher);
        if requirements.teacher && teacher.is_none() {
            return Err(Error::TeacherMissing);
        }
        if requirements.score_head.is_some() && !model.has_score_head() {
            return Err(Error::setting("num-labels", "is missing: the loss trains a score head"));
        }
        let in_rewards = rollouts.is_some_and(|options| options.kl_coefficient != 0.0);
        // Whoever trains the model's own parameters has no reference left in it.
        let own = model.architecture().parameters.iter().any(|own| own.name == first.name);
        let reference = match reference {
            _ if !requirements.reference && !in_rewards => Reference::None,
            Some(reference) => Reference::Model(Box::new(reference)),
            None if own => return Err(Error::ReferenceMissing),
            None => Reference::WithoutAdapter,
        };
        Ok(Self {
            gradients: Gradients::new(&parameters),
            optimizer: match update_rule {
                Some(rule) => Box::new(RuleOptimizer::new(rule, &parameters, options)?),
                None => Box::new(AdamWOptimizer::new(&parameters, options)?),
            },
            recompute: options.recompute,
            model_adds_loss: options.model_adds_loss,
            seed: options.seed,
            max_grad_norm: options.max_grad_norm,
            temperature: rollouts.map_or(1.0, |options| options.sampling.temperature),
            model,
            reference,
            teacher,
            loss,
            requirements,
        })
    }

    pub(crate) fn model(&self) -> &Model {
        &self.model
    }

    /// Whether gradients of activations are in a type in which small ones vanish.
    pub(crate) fn scales_gradients(&self) -> bool {
        self.model.dtype() == DType::F16
    }

    /// What the loss sees of a row.
    pub(crate) fn input(&self) -> Input {
        self.requirements.input
    }

    /// What is trained, for those who look on.
    pub(crate) fn view(&self) -> Arc<dyn RunView> {
        Arc::new(Trained(self.model.parameters()))
    }

    pub(crate) fn loss_mut(&mut self) -> &mut dyn Loss {
        &mut *self.loss
    }

    pub(crate) fn optimizer_mut(&mut self) -> &mut dyn Optimizer {
        &mut *self.optimizer
    }

    /// Whether the score head is a value function: one number for each state.
    pub(crate) fn has_values(&self) -> bool {
        self.requirements.input == Input::Rollouts && self.requirements.score_head == Some(1)
    }

    /// The reference model, and how it is computed.
    fn reference(&self) -> Option<(&Model, ForwardOptions)> {
        match &self.reference {
            Reference::None => None,
            Reference::WithoutAdapter => Some((&self.model, ForwardOptions { adapters: false, ..FROZEN })),
            Reference::Model(model) => Some((model, FROZEN)),
        }
    }

    /// What policy, reference and value function make of each sequence of a micro-batch, without dropout.
    pub(crate) fn old_outputs(&self, packed: &PackedBatch, with_reference: bool) -> Result<Vec<OldOutputs>> {
        let tokens = tokens(packed);
        let outputs = |model: &Model, options| -> Result<Outputs> {
            let hidden = model.forward(&tokens, options)?;
            let outputs = Outputs::new(model, hidden, &packed.labels, &packed.lengths)?;
            Ok(outputs.at_temperature(self.temperature))
        };
        let (logps, reference, values) = no_grad(|| -> Result<_> {
            let reference = match self.reference().filter(|_| with_reference) {
                Some((model, options)) => Some(outputs(model, options)?.token_logps()?.to_list()?),
                None => None,
            };
            let policy = outputs(&self.model, FROZEN)?;
            let values = self.has_values().then(|| policy.token_scores()?.to_list()).transpose()?;
            Ok((policy.token_logps()?.to_list()?, reference, values))
        })?;
        let mut start = 0;
        let sequences = packed.lengths.iter().map(|&length| {
            let range = start..start + length as usize;
            start = range.end;
            let part = |all: &Vec<f64>| all.get(range.clone()).unwrap_or_default().to_vec();
            OldOutputs {
                logps: part(&logps),
                reference_logps: reference.as_ref().map(part),
                values: values.as_ref().map(part),
            }
        });
        Ok(sequences.collect())
    }

    /// Computes loss and metrics of a micro-batch, and shows it to `metrics`.
    fn compute(
        &mut self,
        packed: &PackedBatch,
        place: Place,
        metrics: &mut [Box<dyn Metric>],
    ) -> Result<LossReport> {
        let tokens = tokens(packed);
        let of_hidden = |model: &Model, hidden| -> Result<Arc<dyn OutputsView>> {
            let outputs = Outputs::new(model, hidden, &packed.labels, &packed.lengths)?;
            Ok(Arc::new(outputs.at_temperature(self.temperature)))
        };
        let outputs = |model: &Model, options| of_hidden(model, model.forward(&tokens, options)?);
        // First, so that its intermediate results are gone before those of the policy come.
        let reference = self.reference().filter(|_| self.requirements.reference);
        let reference = reference.map(|(model, options)| no_grad(|| outputs(model, options))).transpose()?;
        let teacher = self.teacher.as_ref();
        let teacher = teacher.map(|model| no_grad(|| outputs(model, FROZEN))).transpose()?;
        let dropout = place.training && !self.requirements.disable_dropout;
        let options = ForwardOptions {
            adapters: true,
            dropout_seed: dropout.then(|| seed(&[self.seed, place.step, place.micro_batch])),
            recompute: place.training && self.recompute,
        };
        let (hidden, added) = match place.training {
            true => self.model.forward_to_learn(&tokens, options)?,
            false => (self.model.forward(&tokens, options)?, Vec::new()),
        };
        if place.training && self.model_adds_loss && added.is_empty() {
            return Err(Error::ModelLossMissing);
        }
        let policy = of_hidden(&self.model, hidden)?;
        let batch = Batch::new(packed, place, teacher)?;
        for metric in metrics {
            metric.observe(batch.clone(), policy.clone())?;
        }
        let mut report = self.loss.compute(batch, policy, reference)?;
        let share = place.totals.share_of(packed);
        added.into_iter().try_for_each(|added| add(&mut report, added, share))?;
        Ok(report)
    }

    /// Computes loss and metrics of a micro-batch without learning from it, and shows it to `metrics`.
    pub(crate) fn evaluate(
        &mut self,
        packed: &PackedBatch,
        place: Place,
        numbers: &mut Metrics,
        metrics: &mut [Box<dyn Metric>],
    ) -> Result<f64> {
        no_grad(|| {
            let report = self.compute(packed, place, metrics)?;
            observe(&report, numbers)?;
            scalar(&report)
        })
    }

    /// Takes the optimiser step that follows `step` steps on the micro-batches of a window, or leaves it out if a gradient
    /// overflows that was scaled.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if the loss or a gradient is not; parameters and optimiser are as before then.
    pub(crate) fn step(
        &mut self,
        window: &[PackedBatch],
        step: u64,
        learning_rate: f64,
        metrics: &mut Metrics,
        mut scale: Option<&mut GradientScale>,
    ) -> Result<Step> {
        let factor = scale.as_ref().map_or(1.0, |scale| scale.factor());
        let totals = Totals::of(window);
        let place = |micro_batch| Place { step, micro_batch, totals, training: true };
        self.gradients.clear();
        let mut loss = 0.0;
        for (packed, number) in window.iter().zip(0..) {
            let report = self.compute(packed, place(number), &mut [])?;
            let share = scalar(&report)?;
            if !share.is_finite() {
                let origin = self.origin(packed, place(number));
                return Err(Error::NotFinite { step: step + 1, what: "The loss".into(), origin });
            }
            loss += share;
            observe(&report, metrics)?;
            backward(&scaled(&report.loss, factor)?, &mut self.gradients)?;
        }
        let gradient_norm = self.gradients.norm()? / factor;
        if !gradient_norm.is_finite() {
            if scale.as_mut().is_some_and(|scale| scale.overflowed()) {
                self.gradients.clear();
                return Ok(Step { loss, gradient_norm: None });
            }
            let what = match self.gradients.first_not_finite() {
                Some(name) => format!("The gradient of `{name}`"),
                None => "The norm of the gradients".into(),
            };
            self.gradients.clear();
            let origin =
                window.iter().zip(0..).find_map(|(packed, number)| self.origin(packed, place(number)));
            return Err(Error::NotFinite { step: step + 1, what, origin });
        }
        let factor = clip_factor(gradient_norm, self.max_grad_norm) / factor;
        self.optimizer.step(&self.gradients.sums()?, learning_rate, factor)?;
        self.gradients.clear();
        self.model.parameters_changed();
        if let Some(scale) = scale {
            scale.taken();
        }
        Ok(Step { loss, gradient_norm: Some(gradient_norm) })
    }

    /// Computes a micro-batch again with every result looked at, and says which was the first that is not finite.
    fn origin(&mut self, packed: &PackedBatch, place: Place) -> Option<String> {
        let again: Result<()> = check_finite(|| {
            let report = self.compute(packed, place, &mut [])?;
            Ok(backward(&report.loss, &mut Discard)?)
        });
        again.err().map(|error| error.to_string())
    }
}

/// The trained parameters, as callbacks see them.
struct Trained(Vec<TrainableParameter>);

impl RunView for Trained {
    fn parameter_names(&self) -> Vec<String> {
        self.0.iter().map(|parameter| parameter.name.clone()).collect()
    }

    fn parameter(&self, name: &str) -> Option<Tensor> {
        let parameter = self.0.iter().find(|parameter| parameter.name == name)?;
        Some(Tensor::constant(parameter.value.clone()))
    }
}

/// A loss times the factor on its gradients, in a type that has room for it.
fn scaled(loss: &Tensor, factor: f64) -> Result<Tensor> {
    match factor {
        1.0 => Ok(loss.clone()),
        _ => Ok(loss.cast(DType::F32)?.scale(factor)?),
    }
}

/// Adds to a loss what the model adds to it, and shows it as a metric.
fn add(report: &mut LossReport, added: AddedLoss, share: f64) -> Result<()> {
    let AddedLoss { name, value, weight } = added;
    let term = value.scale(weight * share)?.cast(report.loss.dtype())?;
    report.loss = report.loss.add(&term)?;
    report.metrics.push(Observed { name, values: value.detach(), weights: None });
    Ok(())
}

struct Discard;

impl GradientSink for Discard {
    fn accumulate(&mut self, _id: ParameterId, _gradient: &Value) -> swift_tensor::Result<()> {
        Ok(())
    }
}

fn scalar(report: &LossReport) -> Result<f64> {
    match report.loss.to_list()?.as_slice() {
        [loss] => Ok(*loss),
        _ => {
            Err(swift_tensor::Error::invalid("loss", format!("it is {:?} and no scalar", report.loss)).into())
        }
    }
}

fn observe(report: &LossReport, metrics: &mut Metrics) -> Result<()> {
    report.metrics.iter().try_for_each(|metric| {
        metrics.observe(
            &metric.name,
            metric.values.value(),
            metric.weights.as_ref().map(|weights| weights.value()),
        )
    })
}
