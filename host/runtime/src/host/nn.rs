//! `nn`: what a model definition computes with.

use std::sync::Arc;

use swift_tensor::Tensor;
use swift_tensor::fused::{self, LongerSequences};
use wasmtime::component::Resource;

use super::{Failure, Result, view};
use crate::architecture::Stack;
use crate::bindings::nn::{AttentionOptions, Context, Host, HostContext};
use crate::bindings::tensor::Tensor as Handle;
use crate::scope::Scope;
use crate::store::State;
use crate::views::{AddedLoss, NnContext};

/// The handle to the context of a call.
pub(crate) const CONTEXT: u32 = 0;

impl Host for State {
    fn head_soft_cap(&mut self, cap: f64) -> Result<()> {
        if self.function != "load" {
            return Err(Failure::InvalidArgument("`head-soft-cap` can only be called in `load`".into()));
        }
        if !(cap > 0.0 && cap.is_finite()) {
            return Err(Failure::InvalidArgument(format!("the soft cap of the head is {cap}, not above 0")));
        }
        self.declared.head_soft_cap = Some(cap);
        Ok(())
    }

    fn normalised_head(&mut self) -> Result<()> {
        if self.function != "load" {
            return Err(Failure::InvalidArgument("`normalised-head` can only be called in `load`".into()));
        }
        self.declared.normalised_head = true;
        Ok(())
    }

    fn longest_sequence(&mut self, tokens: u64) -> Result<()> {
        if self.function != "load" {
            return Err(Failure::InvalidArgument("`longest-sequence` can only be called in `load`".into()));
        }
        if tokens == 0 {
            return Err(Failure::InvalidArgument("the longest sequence has 0 tokens".into()));
        }
        self.declared.longest_sequence = Some(tokens);
        Ok(())
    }

    fn untrained(&mut self, parameters: Vec<u32>) -> Result<()> {
        if self.function != "load" {
            return Err(Failure::InvalidArgument("`untrained` can only be called in `load`".into()));
        }
        self.declared.untrained = parameters;
        Ok(())
    }

    fn full_precision(&mut self, parameters: Vec<u32>) -> Result<()> {
        if self.function != "load" {
            return Err(Failure::InvalidArgument("`full-precision` can only be called in `load`".into()));
        }
        self.declared.full_precision = parameters;
        Ok(())
    }

    fn cached_values(&mut self, components: u32) -> Result<()> {
        if self.function != "load" {
            return Err(Failure::InvalidArgument("`cached-values` can only be called in `load`".into()));
        }
        self.declared.cached_values = Some(components);
        Ok(())
    }

    fn longer_sequences(
        &mut self,
        table: u32,
        tokens: u64,
        inverse_frequencies: Vec<f64>,
        growth: f64,
    ) -> Result<()> {
        let refused = |message: &str| Err(Failure::InvalidArgument(message.into()));
        if self.function != "load" {
            return refused("`longer-sequences` can only be called in `load`");
        }
        if tokens == 0 || !growth.is_finite() || growth < 0.0 {
            return refused(
                "longer sequences have no tokens before them, or a growth that is not 0 or above",
            );
        }
        if self.declared.longer_sequences.iter().any(|(other, _)| *other == table) {
            return refused("longer sequences of a rotary table are declared twice");
        }
        let longer = LongerSequences { tokens, inverse_frequencies, growth };
        self.declared.longer_sequences.push((table, longer));
        Ok(())
    }

    fn stacked(&mut self, name: String, parts: Vec<Vec<u32>>) -> Result<()> {
        if self.function != "load" {
            return Err(Failure::InvalidArgument("`stacked` can only be called in `load`".into()));
        }
        self.declared.stacks.push(Stack { name, parts });
        Ok(())
    }
}

impl State {
    fn context(&self) -> wasmtime::Result<Arc<dyn NnContext>> {
        view(&self.views.context)
    }

    fn of_context(
        &mut self,
        name: &str,
        inputs: &[&Resource<Handle>],
        f: impl FnOnce(&dyn NnContext, &Scope) -> Result<Tensor>,
    ) -> Result<Resource<Handle>> {
        let context = self.context()?;
        self.operate(name, inputs, |state| f(&*context, &state.scope))
    }

    /// Gives the context a tensor that it keeps.
    fn give(
        &mut self,
        tensor: &Resource<Handle>,
        f: impl FnOnce(&dyn NnContext, Tensor) -> swift_tensor::Result<()>,
    ) -> Result<()> {
        self.count()?;
        let context = self.context()?;
        Ok(f(&*context, self.scope.keep(tensor)?.clone())?)
    }
}

impl HostContext for State {
    fn token_count(&mut self, _: Resource<Context>) -> wasmtime::Result<u64> {
        Ok(self.context()?.token_count())
    }

    fn embedding(&mut self, _: Resource<Context>, parameter: u32) -> Result<Resource<Handle>> {
        self.of_context("context.embedding", &[], |context, _| Ok(context.embedding(parameter)?))
    }

    fn linear(
        &mut self,
        _: Resource<Context>,
        weight: u32,
        bias: Option<u32>,
        x: Resource<Handle>,
    ) -> Result<Resource<Handle>> {
        self.of_context("context.linear", &[&x], |context, scope| {
            Ok(context.linear(weight, bias, scope.get(&x)?)?)
        })
    }

    fn rms_norm(
        &mut self,
        _: Resource<Context>,
        weight: u32,
        x: Resource<Handle>,
        epsilon: f64,
    ) -> Result<Resource<Handle>> {
        self.of_context("context.rms_norm", &[&x], |context, scope| {
            Ok(context.rms_norm(weight, scope.get(&x)?, epsilon)?)
        })
    }

    fn rms_norm_offset(
        &mut self,
        _: Resource<Context>,
        weight: u32,
        offset: f64,
        x: Resource<Handle>,
        epsilon: f64,
    ) -> Result<Resource<Handle>> {
        self.of_context("context.rms_norm_offset", &[&x], |context, scope| {
            Ok(context.rms_norm_offset(weight, offset, scope.get(&x)?, epsilon)?)
        })
    }

    fn layer_norm(
        &mut self,
        _: Resource<Context>,
        weight: Option<u32>,
        bias: Option<u32>,
        x: Resource<Handle>,
        epsilon: f64,
    ) -> Result<Resource<Handle>> {
        self.of_context("context.layer_norm", &[&x], |context, scope| {
            Ok(context.layer_norm(weight, bias, scope.get(&x)?, epsilon)?)
        })
    }

    fn rope(&mut self, _: Resource<Context>, table: u32, x: Resource<Handle>) -> Result<Resource<Handle>> {
        self.of_context("context.rope", &[&x], |context, scope| Ok(context.rope(table, scope.get(&x)?)?))
    }

    fn attention(
        &mut self,
        _: Resource<Context>,
        layer: u32,
        q: Resource<Handle>,
        k: Resource<Handle>,
        v: Resource<Handle>,
        options: AttentionOptions,
    ) -> Result<Resource<Handle>> {
        let options = converted(options);
        self.of_context("context.attention", &[&q, &k, &v], |context, scope| {
            Ok(context.attention(layer, scope.get(&q)?, scope.get(&k)?, scope.get(&v)?, &options)?)
        })
    }

    fn parameter(&mut self, _: Resource<Context>, parameter: u32) -> Result<Resource<Handle>> {
        self.of_context("context.parameter", &[], |context, _| Ok(context.parameter(parameter)?))
    }

    fn attention_with_sinks(
        &mut self,
        _: Resource<Context>,
        layer: u32,
        q: Resource<Handle>,
        k: Resource<Handle>,
        v: Resource<Handle>,
        sinks: u32,
        options: AttentionOptions,
    ) -> Result<Resource<Handle>> {
        let options = converted(options);
        self.of_context("context.attention_with_sinks", &[&q, &k, &v], |context, scope| {
            let qkv = [scope.get(&q)?, scope.get(&k)?, scope.get(&v)?];
            Ok(context.attention_with_sinks(layer, qkv, sinks, &options)?)
        })
    }

    fn attention_with_slopes(
        &mut self,
        _: Resource<Context>,
        layer: u32,
        q: Resource<Handle>,
        k: Resource<Handle>,
        v: Resource<Handle>,
        slopes: Vec<f64>,
        options: AttentionOptions,
    ) -> Result<Resource<Handle>> {
        let options = converted(options);
        self.of_context("context.attention_with_slopes", &[&q, &k, &v], |context, scope| {
            let qkv = [scope.get(&q)?, scope.get(&k)?, scope.get(&v)?];
            Ok(context.attention_with_slopes(layer, qkv, &slopes, &options)?)
        })
    }

    fn grouped_linear(
        &mut self,
        _: Resource<Context>,
        weights: Vec<u32>,
        biases: Vec<u32>,
        x: Resource<Handle>,
        groups: Resource<Handle>,
        tokens: Resource<Handle>,
    ) -> Result<Resource<Handle>> {
        self.of_context("context.grouped_linear", &[&x, &groups, &tokens], |context, scope| {
            let [x, groups, tokens] = [scope.get(&x)?, scope.get(&groups)?, scope.get(&tokens)?];
            Ok(context.grouped_linear(&weights, &biases, x, groups, tokens)?)
        })
    }

    fn swiglu(
        &mut self,
        _: Resource<Context>,
        gate: Resource<Handle>,
        up: Resource<Handle>,
    ) -> Result<Resource<Handle>> {
        self.of_context("context.swiglu", &[&gate, &up], |context, scope| {
            Ok(context.swiglu(scope.get(&gate)?, scope.get(&up)?)?)
        })
    }

    fn attention_projected(
        &mut self,
        _: Resource<Context>,
        layer: u32,
        q: Resource<Handle>,
        x: Resource<Handle>,
        shared: Resource<Handle>,
        weight: u32,
        options: AttentionOptions,
    ) -> Result<Resource<Handle>> {
        let options = converted(options);
        self.of_context("context.attention_projected", &[&q, &x, &shared], |context, scope| {
            let inputs = [scope.get(&q)?, scope.get(&x)?, scope.get(&shared)?];
            Ok(context.attention_projected(layer, inputs, weight, &options)?)
        })
    }

    fn training(&mut self, _: Resource<Context>) -> wasmtime::Result<bool> {
        Ok(self.context()?.training())
    }

    fn hand_over(&mut self, _: Resource<Context>, name: String, value: Resource<Handle>) -> Result<()> {
        self.give(&value, |context, value| context.hand_over(name, value))
    }

    fn handed_over(&mut self, _: Resource<Context>, name: String) -> Result<Vec<Resource<Handle>>> {
        let given = self.context()?.handed_over(&name)?;
        given.into_iter().map(|tensor| Ok(self.lend(tensor)?)).collect()
    }

    fn add_loss(
        &mut self,
        _: Resource<Context>,
        name: String,
        value: Resource<Handle>,
        weight: f64,
    ) -> Result<()> {
        self.give(&value, |context, value| context.add_loss(AddedLoss::new(name, value, weight)?))
    }

    /// Contexts are only lent.
    fn drop(&mut self, _: Resource<Context>) -> wasmtime::Result<()> {
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
