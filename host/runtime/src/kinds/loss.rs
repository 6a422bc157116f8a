use std::sync::Arc;

use serde_json::{Map, Value};
use swift_tensor::Tensor;
use wasmtime::Store;
use wasmtime::component::Resource;

use crate::bindings::loss::LossPlugin as Exported;
use crate::bindings::loss::exports::swift::plugin::loss as wit;
use crate::instance::{Exports, Instance};
use crate::state::State;
use crate::{BatchView, Kind, Limits, OutputsView, Plugin, Result};

/// What a row must look like and what lies in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// One conversation a row.
    Causal,
    /// A chosen and a rejected answer a row; a batch holds all chosen sequences, then all rejected ones.
    PreferencePairs,
}

/// What a loss needs of the trainer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirements {
    /// The kind of rows.
    pub input: Input,
    /// Whether it compares with the frozen reference model.
    pub reference: bool,
    /// Whether dropout would harm it.
    pub disable_dropout: bool,
}

/// Observations of a number to log; the mean over all since the last log line is what is logged.
#[derive(Clone, Debug)]
pub struct Metric {
    /// As it is logged.
    pub name: String,
    /// Observations, any shape.
    pub values: Tensor,
    /// A weight for each, of the same shape; none counts each once.
    pub weights: Option<Tensor>,
}

/// The loss of one micro-batch.
#[derive(Clone, Debug)]
pub struct LossReport {
    /// A floating-point scalar: this micro-batch's share of the window's loss.
    pub loss: Tensor,
    /// Metrics, cut off from the graph.
    pub metrics: Vec<Metric>,
}

/// A running loss.
pub struct LossPlugin {
    instance: Instance<Exported>,
    requirements: Requirements,
}

impl Exports for Exported {
    fn find(store: &mut Store<State>, component: &wasmtime::component::Instance) -> wasmtime::Result<Self> {
        Self::new(store, component)
    }
}

impl LossPlugin {
    pub(crate) fn start(plugin: &Plugin, arguments: &Map<String, Value>, limits: &Limits) -> Result<Self> {
        plugin.expect(Kind::Loss)?;
        plugin.check_arguments(arguments)?;
        let arguments = Value::Object(arguments.clone()).to_string();
        let mut instance = Instance::<Exported>::start(plugin, arguments, limits)?;
        let wit::Requirements { input, reference, disable_dropout } =
            instance.call("requires", |store, exports| exports.swift_plugin_loss().call_requires(store))?;
        let input = match input {
            wit::Input::Causal => Input::Causal,
            wit::Input::PreferencePairs => Input::PreferencePairs,
        };
        Ok(Self { instance, requirements: Requirements { input, reference, disable_dropout } })
    }

    /// The plugin's name.
    pub fn name(&self) -> &str {
        self.instance.name()
    }

    /// What it needs of the trainer.
    pub fn requirements(&self) -> Requirements {
        self.requirements
    }

    /// Computes the loss of one micro-batch.
    ///
    /// # Errors
    /// If the plugin fails, traps or exceeds a limit, or its loss is not a floating-point scalar.
    pub fn compute(
        &mut self,
        batch: Arc<dyn BatchView>,
        policy: Arc<dyn OutputsView>,
        reference: Option<Arc<dyn OutputsView>>,
    ) -> Result<LossReport> {
        const FUNCTION: &str = "compute";
        let outcome = self.instance.call(FUNCTION, |store, exports| {
            let state = store.data_mut();
            let batch = Resource::new_borrow(state.batches.add(batch));
            let policy = Resource::new_borrow(state.outputs.add(policy));
            let reference = reference.map(|reference| Resource::new_borrow(state.outputs.add(reference)));
            let outcome = exports.swift_plugin_loss().call_compute(&mut *store, batch, policy, reference)?;
            let state = store.data_mut();
            Ok(match outcome {
                Ok(report) => Ok(take_report(state, report)),
                Err(error) => Err(error_text(error)),
            })
        })?;
        let report = outcome.map_err(|message| self.instance.failure(FUNCTION, message))?;
        let Some(report) = report else {
            return Err(self.instance.breach(FUNCTION, "a tensor that it does not own"));
        };
        if report.loss.elem_count() != 1 || !report.loss.dtype().is_float() {
            let what = format!(
                "a loss of shape {:?} and type `{}`",
                report.loss.dims(),
                report.loss.dtype().as_str()
            );
            return Err(self.instance.breach(FUNCTION, what));
        }
        for metric in &report.metrics {
            if metric.weights.as_ref().is_some_and(|weights| weights.dims() != metric.values.dims()) {
                let what = format!("weights of metric `{}` in another shape than its values", metric.name);
                return Err(self.instance.breach(FUNCTION, what));
            }
        }
        Ok(report)
    }
}

/// Takes the tensors of a report out of the plugin's handles, before the call ends and releases them.
fn take_report(state: &mut State, report: wit::Report) -> Option<LossReport> {
    let loss = state.reclaim(&report.loss)?;
    let mut metrics = Vec::with_capacity(report.metrics.len());
    for metric in report.metrics {
        let values = state.reclaim(&metric.values)?.detach();
        let weights = match metric.weights {
            Some(weights) => Some(state.reclaim(&weights)?.detach()),
            None => None,
        };
        metrics.push(Metric { name: metric.name, values, weights });
    }
    Some(LossReport { loss, metrics })
}

/// The words of the contract's error.
pub(crate) fn error_text(error: crate::bindings::tensor::Error) -> String {
    use crate::bindings::tensor::Error;
    match error {
        Error::ShapeMismatch(message)
        | Error::DtypeMismatch(message)
        | Error::InvalidArgument(message)
        | Error::OutOfMemory(message)
        | Error::Unsupported(message)
        | Error::Other(message) => message,
    }
}
