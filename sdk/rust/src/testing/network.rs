use std::cell::RefCell;
use std::sync::Arc;

use swift_tensor::{DType, HostNumbers, fused};

use crate::backend::Handle;
use crate::{
    Architecture, AttentionOptions, Context, Dtype, LongerSequences, Model, ModelParameter, Result, Tensor,
    bail,
};

type Raw = Result<Handle, swift_tensor::Error>;

/// Sequences of token ids, laid end to end.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// The ids of all sequences.
    pub ids: Vec<u32>,
    /// Tokens in each sequence.
    pub lengths: Vec<u32>,
}

/// What a model adds to the loss that it learns by.
#[derive(Clone, Debug)]
pub struct AddedLoss {
    /// The metric that `value` is logged as.
    pub name: String,
    /// A scalar.
    pub value: Tensor,
    /// The factor on it.
    pub weight: f64,
}

/// Runs a model on tokens and gives the logits `[tokens, vocab]`, in `float64`. `weights` gives the elements of each
/// parameter.
///
/// # Errors
/// What the model gives; or that a parameter has another number of elements than its shape says.
pub fn forward<M: Model>(
    model: &M,
    config: &str,
    tokens: &Tokens,
    weights: impl FnMut(&ModelParameter) -> Result<Vec<f64>>,
) -> Result<Tensor> {
    Ok(run(model, config, tokens, weights, false)?.0)
}

/// As [`forward`] on tokens that are learned from, with what the model adds to the loss.
///
/// # Errors
/// As [`forward`].
pub fn forward_to_learn<M: Model>(
    model: &M,
    config: &str,
    tokens: &Tokens,
    weights: impl FnMut(&ModelParameter) -> Result<Vec<f64>>,
) -> Result<(Tensor, Vec<AddedLoss>)> {
    run(model, config, tokens, weights, true)
}

fn run<M: Model>(
    model: &M,
    config: &str,
    tokens: &Tokens,
    mut weights: impl FnMut(&ModelParameter) -> Result<Vec<f64>>,
    training: bool,
) -> Result<(Tensor, Vec<AddedLoss>)> {
    let (architecture, network) = model.load(config)?;
    let parameters = architecture.parameters.iter().map(|parameter| {
        let tensor = Tensor::from_list(&weights(parameter)?, &parameter.shape, Dtype::Float64);
        Ok(tensor.handle()?.clone())
    });
    let longer = model.longer_sequences(config, &architecture.rotary_tables)?;
    let parameters = parameters.collect::<Result<_>>()?;
    let context = NetworkContext::new(&architecture, &longer, parameters, tokens, training);
    let mut hidden: Option<Tensor> = None;
    for stage in 0..architecture.stages {
        hidden = Some(model.forward(&network, stage, hidden.as_ref(), &Context(&context))?.check()?);
        context.end_stage();
    }
    let Some(hidden) = hidden else { bail!("the architecture has no stages") };
    let logits = context.linear(architecture.head.weight, architecture.head.bias, hidden.handle()?);
    let mut logits = Tensor::new(logits?);
    if model.normalised_head(&network) {
        let weight = Tensor::new(context.parameter(architecture.head.weight)?);
        let lengths = (&weight * &weight).sum(&[-1], false).sqrt();
        logits = logits / lengths.reshape(&[1, -1]);
    }
    let logits = match model.head_soft_cap(&network) {
        Some(cap) => (&logits / cap).tanh().check()? * cap,
        None => logits,
    };
    Ok((logits, context.losses.into_inner()))
}

/// The contract's `context`.
pub(crate) struct NetworkContext {
    parameters: Vec<Handle>,
    tables: Vec<fused::RotaryTable>,
    ids: Vec<u32>,
    lengths: Arc<[usize]>,
    training: bool,
    /// By the stages before this one, and by this one.
    handed_over: RefCell<[Vec<(String, Handle)>; 2]>,
    losses: RefCell<Vec<AddedLoss>>,
}

impl NetworkContext {
    fn new(
        architecture: &Architecture,
        longer: &[LongerSequences],
        parameters: Vec<Handle>,
        tokens: &Tokens,
        training: bool,
    ) -> Self {
        let lengths: Arc<[usize]> = tokens.lengths.iter().map(|&length| length as usize).collect();
        let positions: Vec<u32> = tokens.lengths.iter().flat_map(|&length| 0..length).collect();
        let tables = (0..).zip(&architecture.rotary_tables).map(|(index, table)| {
            let longer =
                longer.iter().find(|longer| longer.table == index).map(|longer| fused::LongerSequences {
                    tokens: longer.tokens,
                    inverse_frequencies: longer.inverse_frequencies.clone(),
                    growth: longer.growth,
                });
            let own = &table.inverse_frequencies;
            let parts = fused::rotary_parts(own, longer.as_ref(), &positions, &lengths, None);
            fused::RotaryTable::of_parts(&parts, table.scale, table.interleaved, DType::F64)
        });
        Self {
            parameters,
            tables: tables.collect(),
            lengths,
            ids: tokens.ids.clone(),
            training,
            handed_over: RefCell::default(),
            losses: RefCell::default(),
        }
    }

    fn end_stage(&self) {
        let [before, now] = &mut *self.handed_over.borrow_mut();
        before.append(now);
    }

    pub(crate) fn parameter(&self, number: u32) -> Raw {
        let missing = || swift_tensor::Error::Other(format!("there is no parameter {number}"));
        self.parameters.get(number as usize).cloned().ok_or_else(missing)
    }

    pub(crate) fn token_count(&self) -> u64 {
        self.ids.len() as u64
    }

    pub(crate) fn embedding(&self, parameter: u32) -> Raw {
        fused::embedding(&self.parameter(parameter)?, &HostNumbers::new(self.ids.clone()))
    }

    pub(crate) fn linear(&self, weight: u32, bias: Option<u32>, x: &Handle) -> Raw {
        let bias = bias.map(|bias| self.parameter(bias)).transpose()?;
        fused::linear(x, &fused::Linear { weight: self.parameter(weight)?.into(), bias, adapter: None })
    }

    pub(crate) fn rms_norm(&self, weight: u32, x: &Handle, epsilon: f64) -> Raw {
        fused::rms_norm(x, &self.parameter(weight)?, epsilon)
    }

    pub(crate) fn rms_norm_offset(&self, weight: u32, offset: f64, x: &Handle, epsilon: f64) -> Raw {
        fused::rms_norm_offset(x, &self.parameter(weight)?, offset, epsilon)
    }

    pub(crate) fn layer_norm(&self, weight: Option<u32>, bias: Option<u32>, x: &Handle, epsilon: f64) -> Raw {
        let [weight, bias] = [weight, bias].map(|index| index.map(|index| self.parameter(index)).transpose());
        fused::layer_norm(x, weight?.as_ref(), bias?.as_ref(), epsilon)
    }

    pub(crate) fn rope(&self, table: u32, x: &Handle) -> Raw {
        let missing = || swift_tensor::Error::Other(format!("there is no rotary table {table}"));
        fused::rope(x, self.tables.get(table as usize).ok_or_else(missing)?)
    }

    pub(crate) fn attention(
        &self,
        _: u32,
        q: &Handle,
        k: &Handle,
        v: &Handle,
        options: AttentionOptions,
    ) -> Raw {
        fused::attention(q, k, v, &self.lengths, &converted(options))
    }

    pub(crate) fn attention_with_sinks(
        &self,
        _: u32,
        q: &Handle,
        k: &Handle,
        v: &Handle,
        sinks: u32,
        options: AttentionOptions,
    ) -> Raw {
        let sinks = self.parameter(sinks)?;
        let added = fused::HeadScores { sinks: Some(&sinks), slopes: &[] };
        fused::attention_with([q, k, v], added, &self.lengths, &converted(options))
    }

    pub(crate) fn attention_with_slopes(
        &self,
        _: u32,
        q: &Handle,
        k: &Handle,
        v: &Handle,
        slopes: &[f64],
        options: AttentionOptions,
    ) -> Raw {
        let added = fused::HeadScores { sinks: None, slopes };
        fused::attention_with([q, k, v], added, &self.lengths, &converted(options))
    }

    pub(crate) fn grouped_linear(
        &self,
        weights: &[u32],
        biases: &[u32],
        x: &Handle,
        groups: &Handle,
        _: &Handle,
    ) -> Raw {
        let weights = weights.iter().map(|&number| self.parameter(number).map(Into::into));
        let biases = biases.iter().map(|&number| self.parameter(number));
        let (weights, biases): (Result<_, _>, Result<_, _>) = (weights.collect(), biases.collect());
        fused::grouped_linear(x, &fused::GroupedLinear { weights: weights?, biases: biases? }, groups)
    }

    pub(crate) fn swiglu(&self, gate: &Handle, up: &Handle) -> Raw {
        fused::swiglu(gate, up)
    }

    pub(crate) fn attention_projected(
        &self,
        _: u32,
        q: &Handle,
        x: &Handle,
        shared: &Handle,
        weight: u32,
        options: AttentionOptions,
    ) -> Raw {
        let made = self.linear(weight, None, x)?;
        fused::attention_projected(q, &made, shared, &self.lengths, &converted(options))
    }

    pub(crate) fn training(&self) -> bool {
        self.training
    }

    pub(crate) fn hand_over(&self, name: &str, value: &Handle) -> Result<(), swift_tensor::Error> {
        let [_, now] = &mut *self.handed_over.borrow_mut();
        now.push((name.to_owned(), value.clone()));
        Ok(())
    }

    pub(crate) fn handed_over(&self, name: &str) -> Result<Vec<Handle>, swift_tensor::Error> {
        let [before, _] = &*self.handed_over.borrow();
        Ok(before.iter().filter(|(given, _)| given == name).map(|(_, value)| value.clone()).collect())
    }

    pub(crate) fn add_loss(
        &self,
        name: &str,
        value: &Handle,
        weight: f64,
    ) -> Result<(), swift_tensor::Error> {
        let value = Tensor::new(value.clone());
        self.losses.borrow_mut().push(AddedLoss { name: name.to_owned(), value, weight });
        Ok(())
    }
}

fn converted(options: AttentionOptions) -> fused::AttentionOptions {
    fused::AttentionOptions {
        scale: options.scale,
        window: options.window.map(|window| window as usize),
        soft_cap: options.soft_cap,
    }
}
