//! Model definitions.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use swift_runtime::{AddedLoss, Architecture, AttentionOptions, ModelPlugin, NnContext, Result};
use swift_tensor::fused::{self, HeadScores, RotaryTable};
use swift_tensor::{DType, Error, HostNumbers, Tensor, uniform};

use crate::bench::Bench;

/// Tokens of the sequences that a model is run on.
const LENGTHS: [u32; 2] = [4, 3];

/// Weights that a model may have to be run here: 256 MiB of them.
const WEIGHTS: u64 = 1 << 26;

pub(crate) fn check(bench: &mut Bench) -> Result<()> {
    let Some(config) = &bench.options.config else {
        bench.noted(
            "It was not run, for there is no model to run",
            "`--config FILE` names a `config.json` of a small model".to_owned(),
        );
        return Ok(());
    };
    let mut first = bench.plugin.model(&bench.options.limits)?;
    let mut second = bench.plugin.model(&bench.options.limits)?;
    let (architecture, model_type) = names(config);
    let supports = first.supports(&architecture, &model_type)?;
    bench.expect(
        supports,
        &format!("It supports `{architecture}`"),
        &format!("It does not support `{architecture}` with the model type `{model_type}`"),
        "`supports` is asked with the `architectures` entry and the `model_type` of the `config.json`",
    );
    let architecture = first.load(config)?;
    let weights: u64 =
        architecture.parameters.iter().map(|parameter| parameter.shape.iter().product::<u64>()).sum();
    bench.passed(format!("It describes {weights} weights in {} stages", architecture.stages));
    if weights > WEIGHTS {
        bench.noted(
            "It was not run, for it is too large",
            "take a `config.json` with less layers, smaller ones, and less words".to_owned(),
        );
        return Ok(());
    }
    let context = Arc::new(Context::new(&architecture)?);
    let hidden = run(&mut first, &architecture, &context)?;
    let usage = first.usage();
    second.load(config)?;
    let again = run(&mut second, &architecture, &context)?;
    bench.expect(
        hidden.iter().all(|value| value.is_finite()),
        "The hidden states are finite",
        "The hidden states are not finite",
        "`--trace-plugin` shows the operations of a run",
    );
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    bench.expect_same(bits(&hidden) == bits(&again));
    bench.handles(usage);
    bench.measure(|| run(&mut first, &architecture, &context).map(drop))
}

/// The `architectures` entry and the `model_type` of a `config.json`.
fn names(config: &str) -> (String, String) {
    let config: Value = serde_json::from_str(config).unwrap_or_default();
    let text = |pointer| config.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    (text("/architectures/0"), text("/model_type"))
}

/// The last hidden states.
fn run(model: &mut ModelPlugin, architecture: &Architecture, context: &Arc<Context>) -> Result<Vec<f64>> {
    context.begin();
    let mut hidden: Option<Tensor> = None;
    for stage in 0..architecture.stages {
        hidden = Some(model.forward(stage, hidden.as_ref(), context.clone())?);
        context.end_stage();
    }
    Ok(hidden.map(|hidden| hidden.to_list()).transpose()?.unwrap_or_default())
}

/// Seeded weights, and two sequences of tokens.
struct Context {
    parameters: Vec<Tensor>,
    tables: Vec<RotaryTable>,
    lengths: Arc<[usize]>,
    ids: HostNumbers<u32>,
    /// What was handed over by earlier stages, and by this one.
    handed_over: Mutex<[Vec<(String, Tensor)>; 2]>,
}

impl Context {
    fn new(architecture: &Architecture) -> swift_tensor::Result<Self> {
        let positions: Vec<u32> = LENGTHS.iter().flat_map(|&length| 0..length).collect();
        let tables = architecture.rotary_tables.iter().map(|table| {
            let frequencies = &table.inverse_frequencies;
            RotaryTable::new(frequencies, &positions, table.scale, table.interleaved, DType::F32)
        });
        let parameters = (0..).zip(&architecture.parameters);
        let parameters =
            parameters.map(|(seed, parameter)| uniform(-0.5, 0.5, &parameter.shape, DType::F32, seed));
        let ids =
            (0..positions.len() as u64).map(|place| (place * 7 % architecture.vocab_size.max(1)) as u32);
        Ok(Self {
            parameters: parameters.collect::<swift_tensor::Result<_>>()?,
            tables: tables.collect(),
            lengths: LENGTHS.map(|length| length as usize).into(),
            ids: HostNumbers::new(ids.collect()),
            handed_over: Mutex::default(),
        })
    }

    fn with_handed_over<T>(&self, f: impl FnOnce(&mut [Vec<(String, Tensor)>; 2]) -> T) -> T {
        f(&mut self.handed_over.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn begin(&self) {
        self.with_handed_over(|handed_over| *handed_over = Default::default());
    }

    fn end_stage(&self) {
        self.with_handed_over(|[before, now]| before.append(now));
    }

    fn parameter(&self, index: u32) -> swift_tensor::Result<&Tensor> {
        let none = || Error::invalid("parameter", format!("there is no parameter {index}"));
        self.parameters.get(index as usize).ok_or_else(none)
    }
}

impl NnContext for Context {
    fn token_count(&self) -> u64 {
        self.ids.host().len() as u64
    }

    fn embedding(&self, parameter: u32) -> swift_tensor::Result<Tensor> {
        fused::embedding(self.parameter(parameter)?, &self.ids)
    }

    fn linear(&self, weight: u32, bias: Option<u32>, x: &Tensor) -> swift_tensor::Result<Tensor> {
        let bias = bias.map(|bias| self.parameter(bias).cloned()).transpose()?;
        fused::linear(
            x,
            &fused::Linear { weight: self.parameter(weight)?.clone().into(), bias, adapter: None },
        )
    }

    fn rms_norm(&self, weight: u32, x: &Tensor, epsilon: f64) -> swift_tensor::Result<Tensor> {
        fused::rms_norm(x, self.parameter(weight)?, epsilon)
    }

    fn rms_norm_offset(
        &self,
        weight: u32,
        offset: f64,
        x: &Tensor,
        epsilon: f64,
    ) -> swift_tensor::Result<Tensor> {
        fused::rms_norm_offset(x, self.parameter(weight)?, offset, epsilon)
    }

    fn layer_norm(
        &self,
        weight: Option<u32>,
        bias: Option<u32>,
        x: &Tensor,
        epsilon: f64,
    ) -> swift_tensor::Result<Tensor> {
        let [weight, bias] = [weight, bias].map(|index| index.map(|index| self.parameter(index)).transpose());
        fused::layer_norm(x, weight?, bias?, epsilon)
    }

    fn rope(&self, table: u32, x: &Tensor) -> swift_tensor::Result<Tensor> {
        let none = || Error::invalid("rope", format!("there is no rotary table {table}"));
        fused::rope(x, self.tables.get(table as usize).ok_or_else(none)?)
    }

    fn attention(
        &self,
        _: u32,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        options: &AttentionOptions,
    ) -> swift_tensor::Result<Tensor> {
        fused::attention(q, k, v, &self.lengths, options)
    }

    fn parameter(&self, parameter: u32) -> swift_tensor::Result<Tensor> {
        Self::parameter(self, parameter).cloned()
    }

    fn attention_with_sinks(
        &self,
        _: u32,
        qkv: [&Tensor; 3],
        sinks: u32,
        options: &AttentionOptions,
    ) -> swift_tensor::Result<Tensor> {
        let added = HeadScores { sinks: Some(Self::parameter(self, sinks)?), slopes: &[] };
        fused::attention_with(qkv, added, &self.lengths, options)
    }

    fn attention_with_slopes(
        &self,
        _: u32,
        qkv: [&Tensor; 3],
        slopes: &[f64],
        options: &AttentionOptions,
    ) -> swift_tensor::Result<Tensor> {
        fused::attention_with(qkv, HeadScores { sinks: None, slopes }, &self.lengths, options)
    }

    fn grouped_linear(
        &self,
        weights: &[u32],
        biases: &[u32],
        x: &Tensor,
        groups: &Tensor,
        _: &Tensor,
    ) -> swift_tensor::Result<Tensor> {
        let parameters = |indices: &[u32]| {
            indices
                .iter()
                .map(|&index| Self::parameter(self, index).cloned())
                .collect::<swift_tensor::Result<Vec<_>>>()
        };
        let weights = parameters(weights)?.into_iter().map(Into::into).collect();
        let layer = fused::GroupedLinear { weights, biases: parameters(biases)? };
        fused::grouped_linear(x, &layer, groups)
    }

    fn swiglu(&self, gate: &Tensor, up: &Tensor) -> swift_tensor::Result<Tensor> {
        fused::swiglu(gate, up)
    }

    fn attention_projected(
        &self,
        _: u32,
        [q, x, shared]: [&Tensor; 3],
        weight: u32,
        options: &AttentionOptions,
    ) -> swift_tensor::Result<Tensor> {
        fused::attention_projected(q, &self.linear(weight, None, x)?, shared, &self.lengths, options)
    }

    fn training(&self) -> bool {
        true
    }

    fn hand_over(&self, name: String, value: Tensor) -> swift_tensor::Result<()> {
        self.with_handed_over(|[_, now]| now.push((name, value)));
        Ok(())
    }

    fn handed_over(&self, name: &str) -> swift_tensor::Result<Vec<Tensor>> {
        Ok(self.with_handed_over(|[before, _]| {
            before.iter().filter(|(given, _)| given == name).map(|(_, value)| value.clone()).collect()
        }))
    }

    fn add_loss(&self, _: AddedLoss) -> swift_tensor::Result<()> {
        Ok(())
    }
}
