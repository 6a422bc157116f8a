//! The contract's functions, for any plugin type. A component has one instance of its plugin.

use std::any::Any;
use std::cell::RefCell;
use std::marker::PhantomData;

use super::Identity;
use crate::backend::Handle;
use crate::bindings::host::{batch_view, generation_view, nn, run_view, tensor};
use crate::bindings::{
    callback, dataset, loss, loss_scale, meta, metric, model, optimizer, reward, sampler, schedule, template,
    tool_parser,
};
use crate::{
    Batch, Callback, Context, Dataset, Dtype, Error, Generation, LongerSequences, Loss, LossScale, Metric,
    Model, Optimizer, Outputs, Parameters, Report, Result, Reward, Run, Sampler, Schedule, Stack, Template,
    Tensor, ToolParser,
};

/// The component's exports for the plugin `P`.
pub struct Exported<P>(PhantomData<P>);

thread_local! {
    static VALUES: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `f` on the component's only value of type `T`.
fn with<T: Default + 'static, R>(f: impl FnOnce(&mut T) -> R) -> R {
    crate::log::report_panics();
    let found = VALUES.with_borrow_mut(|values| {
        let place = values.iter().position(|value| value.is::<T>())?;
        values.swap_remove(place).downcast::<T>().ok()
    });
    let mut value = found.unwrap_or_default();
    let result = f(&mut value);
    VALUES.with_borrow_mut(|values| values.push(value));
    result
}

impl<P: Parameters + Identity> meta::Guest for Exported<P> {
    fn describe() -> meta::Info {
        with::<P, _>(|_| meta::Info {
            name: P::NAME.trim_start_matches("plugin-").to_owned(),
            version: P::VERSION.to_owned(),
            summary: P::summary(),
            parameters: P::describe(),
        })
    }

    fn configure(parameters: String) -> Result<(), String> {
        with::<P, _>(|plugin| {
            *plugin = P::from_json(&parameters).map_err(|error| error.message().to_owned())?;
            Ok(())
        })
    }
}

impl<P: Loss + Identity> loss::Guest for Exported<P> {
    fn requires() -> loss::Requirements {
        with::<P, _>(|plugin| plugin.requirements())
    }

    fn compute(
        batch: &batch_view::Batch,
        policy: &batch_view::Outputs,
        reference: Option<&batch_view::Outputs>,
    ) -> Result<loss::Report, tensor::Error> {
        with::<P, _>(|plugin| {
            let reference = reference.map(Outputs);
            let report = plugin.compute(&Batch(batch), &Outputs(policy), reference.as_ref())?;
            Ok(hand_over(report)?)
        })
    }

    fn save_state() -> String {
        with::<P, _>(|plugin| plugin.save_state())
    }

    fn restore_state(state: String) -> Result<(), String> {
        with::<P, _>(|plugin| plugin.restore_state(&state)).map_err(|error| error.to_string())
    }
}

/// A report with handles for the host to keep.
fn hand_over(report: Report) -> Result<loss::Report> {
    let metrics = report.metrics.into_iter().map(|(name, values, weights)| {
        let weights = weights.map(observed).transpose()?;
        Ok(loss::Metric { name, values: observed(values)?, weights })
    });
    let metrics = metrics.collect::<Result<_>>()?;
    Ok(loss::Report { loss: report.loss.into_owned()?, metrics })
}

/// What is logged: without a gradient, and floating-point, where comparisons give bytes.
fn observed(tensor: Tensor) -> Result<tensor::Tensor> {
    let observed = tensor.detach();
    match observed.dtype()? {
        Dtype::Int64 | Dtype::Uint32 | Dtype::Uint8 => observed.cast(Dtype::Float32).into_owned(),
        _ => observed.into_owned(),
    }
}

/// A model definition and the model it has loaded.
struct Loaded<P: Model>(Option<P::Network>);

impl<P: Model> Default for Loaded<P> {
    fn default() -> Self {
        Self(None)
    }
}

impl<P: Model + Identity> model::Guest for Exported<P> {
    fn supports(architecture: String, model_type: String) -> bool {
        with::<P, _>(|plugin| plugin.supports(&architecture, &model_type))
    }

    fn load(config: String) -> Result<model::Architecture, tensor::Error> {
        with::<P, _>(|plugin| {
            let (architecture, network) = plugin.load(&config)?;
            plugin.head_soft_cap(&network).map_or(Ok(()), nn::head_soft_cap)?;
            if plugin.normalised_head(&network) {
                nn::normalised_head()?;
            }
            plugin.longest_sequence(&network).map_or(Ok(()), nn::longest_sequence)?;
            let untrained = plugin.untrained(&network);
            if !untrained.is_empty() {
                nn::untrained(&untrained)?;
            }
            let full_precision = plugin.full_precision(&network);
            if !full_precision.is_empty() {
                nn::full_precision(&full_precision)?;
            }
            plugin.cached_values(&network).map_or(Ok(()), nn::cached_values)?;
            for longer in plugin.longer_sequences(&config, &architecture.rotary_tables)? {
                let LongerSequences { table, tokens, inverse_frequencies, growth } = longer;
                nn::longer_sequences(table, tokens, &inverse_frequencies, growth)?;
            }
            for Stack { name, parts } in plugin.stacks(&network) {
                nn::stacked(&name, &parts)?;
            }
            with::<Loaded<P>, _>(|loaded| loaded.0 = Some(network));
            Ok(architecture)
        })
    }

    fn forward(
        stage: u32,
        input: Option<&tensor::Tensor>,
        context: &nn::Context,
    ) -> Result<tensor::Tensor, tensor::Error> {
        with::<P, _>(|plugin| {
            with::<Loaded<P>, _>(|loaded| {
                let network = loaded.0.as_ref().ok_or_else(|| Error::new("no model is loaded"))?;
                let input = input.map(|input| Tensor::new(Handle::lent(input)));
                Ok(plugin.forward(network, stage, input.as_ref(), &Context(context))?.into_owned()?)
            })
        })
    }
}

/// What a callback remembers. A type of its own, since two plugins of a component may remember the same type.
struct Remembered<P: Callback>(P::State);

impl<P: Callback> Default for Remembered<P> {
    fn default() -> Self {
        Self(P::State::default())
    }
}

impl<P: Callback + Identity> callback::Guest for Exported<P> {
    fn on_event(
        event: callback::Event,
        state: callback::RunState,
        view: &run_view::Run,
    ) -> Result<Vec<callback::Action>, String> {
        let run = Run { state, view };
        with::<P, _>(|plugin| with::<Remembered<P>, _>(|state| plugin.on_event(&mut state.0, event, &run)))
            .map_err(|error| error.to_string())
    }

    fn save_state() -> String {
        with::<Remembered<P>, _>(|state| {
            serde_json::to_string(&state.0).unwrap_or_else(|error| {
                crate::error!("the callback's state is not saved: {error}");
                "null".to_owned()
            })
        })
    }

    fn restore_state(text: String) -> Result<(), String> {
        let restored = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        with::<Remembered<P>, _>(|state| state.0 = restored);
        Ok(())
    }
}

impl<P: Dataset + Identity> dataset::Guest for Exported<P> {
    fn matches(columns: Vec<String>) -> u32 {
        with::<P, _>(|plugin| plugin.matches(&columns))
    }

    fn convert(rows: Vec<String>) -> Result<Vec<dataset::Outcome>, String> {
        with::<P, _>(|plugin| {
            let outcomes = rows.iter().map(|row| {
                let row = serde_json::from_str(row).map_err(|error| error.to_string())?;
                Ok(crate::dataset::outcome(plugin, &row))
            });
            outcomes.collect()
        })
    }
}

/// What a metric has gathered. A type of its own, since two plugins of a component may gather the same type.
struct Gathered<P: Metric>(P::Gathered);

impl<P: Metric> Default for Gathered<P> {
    fn default() -> Self {
        Self(P::Gathered::default())
    }
}

impl<P: Metric + Identity> metric::Guest for Exported<P> {
    fn observe(batch: &batch_view::Batch, policy: &batch_view::Outputs) -> Result<(), tensor::Error> {
        with::<P, _>(|plugin| {
            with::<Gathered<P>, _>(|gathered| {
                Ok(plugin.observe(&mut gathered.0, &Batch(batch), &Outputs(policy))?)
            })
        })
    }

    fn finish() -> Result<Vec<(String, f64)>, tensor::Error> {
        with::<P, _>(|plugin| {
            let gathered = with::<Gathered<P>, _>(std::mem::take);
            Ok(plugin.finish(gathered.0)?)
        })
    }
}

impl<P: Schedule + Identity> schedule::Guest for Exported<P> {
    fn factor(step: u64, max_steps: u64) -> Result<f64, String> {
        with::<P, _>(|plugin| plugin.factor(step, max_steps)).map_err(|error| error.to_string())
    }
}

impl<P: Optimizer + Identity> optimizer::Guest for Exported<P> {
    fn slots(parameter: optimizer::Parameter) -> Vec<optimizer::Slot> {
        with::<P, _>(|plugin| plugin.slots(&parameter))
    }

    fn update(
        parameter: optimizer::Parameter,
        value: &tensor::Tensor,
        gradient: &tensor::Tensor,
        slots: Vec<tensor::Tensor>,
        step: optimizer::Step,
    ) -> Result<optimizer::Updated, tensor::Error> {
        with::<P, _>(|plugin| {
            let lent = |tensor| Tensor::new(Handle::lent(tensor));
            let slots: Vec<Tensor> = slots.into_iter().map(Tensor::new).collect();
            let update = plugin.update(&parameter, &lent(value), &lent(gradient), &slots, &step)?;
            let slots = update.slots.into_iter().map(Tensor::into_owned).collect::<Result<_>>()?;
            Ok(optimizer::Updated { value: update.value.into_owned()?, slots })
        })
    }
}

impl<P: Reward + Identity> reward::Guest for Exported<P> {
    fn score(completions: Vec<reward::Completion>) -> Result<Vec<Option<f64>>, String> {
        with::<P, _>(|plugin| plugin.score_all(&completions)).map_err(|error| error.to_string())
    }
}

impl<P: Template + Identity> template::Guest for Exported<P> {
    fn names() -> Vec<String> {
        with::<P, _>(|plugin| plugin.names())
    }

    fn render(
        name: String,
        messages: Vec<template::Message>,
        tools: Option<String>,
        options: template::Options,
    ) -> Result<template::Rendered, String> {
        with::<P, _>(|plugin| {
            let tools = tools.map(|tools| serde_json::from_str(&tools)).transpose()?;
            plugin.render(&name, &messages, tools.as_ref(), &options)
        })
        // The reason alone: rows are counted by it.
        .map_err(|error: Error| error.message().to_owned())
    }

    fn agent_templates() -> Vec<String> {
        with::<P, _>(|plugin| plugin.agent_templates())
    }

    fn read_calls(
        name: String,
        agent_template: Option<String>,
        answer: String,
    ) -> Result<template::Answer, String> {
        with::<P, _>(|plugin| plugin.read_calls(&name, agent_template.as_deref(), &answer))
            .map_err(|error| error.to_string())
    }
}

impl<P: LossScale + Identity> loss_scale::Guest for Exported<P> {
    fn weigh(answer: String, question: Option<String>) -> Result<Vec<(String, f64)>, String> {
        with::<P, _>(|plugin| plugin.weigh(&answer, question.as_deref())).map_err(|error| error.to_string())
    }
}

impl<P: Sampler + Identity> sampler::Guest for Exported<P> {
    fn adjust(
        logits: &tensor::Tensor,
        generation: &generation_view::Generation,
    ) -> Result<tensor::Tensor, tensor::Error> {
        with::<P, _>(|plugin| {
            let logits = Tensor::new(Handle::lent(logits));
            Ok(plugin.adjust(&logits, &Generation(generation))?.into_owned()?)
        })
    }
}

impl<P: ToolParser + Identity> tool_parser::Guest for Exported<P> {
    fn parse(answer: String, finished: bool, tools: String) -> Result<tool_parser::Answer, String> {
        let parsed = with::<P, _>(|plugin| plugin.parse(&answer, finished, &serde_json::from_str(&tools)?));
        let template::Answer { text, calls } = parsed.map_err(|error: Error| error.to_string())?;
        let call = |call: template::Call| tool_parser::Call { name: call.name, arguments: call.arguments };
        Ok(tool_parser::Answer { text, calls: calls.into_iter().map(call).collect() })
    }
}
