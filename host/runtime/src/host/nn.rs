use swift_tensor::{Error as TensorError, Result as TensorResult, Tensor};
use wasmtime::Result;
use wasmtime::component::Resource;

use crate::NnContext;
use crate::bindings::nn::{AttentionOptions, Host, HostContext};
use crate::state::{ContextHandle, State, TensorHandle, released};

type TensorOutcome = std::result::Result<Resource<TensorHandle>, TensorError>;

impl Host for State {}

impl State {
    fn compute<const N: usize>(
        &mut self,
        context: &Resource<ContextHandle>,
        inputs: [&Resource<TensorHandle>; N],
        f: impl FnOnce(&dyn NnContext, [&Tensor; N]) -> TensorResult<Tensor>,
    ) -> TensorOutcome {
        self.on_host(|state| {
            let context = state.contexts.get(context.rep()).ok_or_else(released)?;
            let mut tensors = Vec::with_capacity(N);
            for input in inputs {
                tensors.push(state.tensor(input)?);
            }
            let tensors = <[&Tensor; N]>::try_from(tensors).map_err(|_| released())?;
            let result = f(&**context, tensors)?;
            state.lend(result)
        })
    }
}

impl HostContext for State {
    fn token_count(&mut self, this: Resource<ContextHandle>) -> Result<u64> {
        Ok(self.contexts.get(this.rep()).ok_or_else(released)?.token_count())
    }

    fn embedding(&mut self, this: Resource<ContextHandle>, parameter: u32) -> TensorOutcome {
        self.compute(&this, [], |context, []| context.embedding(parameter))
    }

    fn linear(
        &mut self,
        this: Resource<ContextHandle>,
        weight: u32,
        bias: Option<u32>,
        x: Resource<TensorHandle>,
    ) -> TensorOutcome {
        self.compute(&this, [&x], |context, [x]| context.linear(weight, bias, x))
    }

    fn rms_norm(
        &mut self,
        this: Resource<ContextHandle>,
        weight: u32,
        x: Resource<TensorHandle>,
        epsilon: f64,
    ) -> TensorOutcome {
        self.compute(&this, [&x], |context, [x]| context.rms_norm(weight, x, epsilon))
    }

    fn rope(
        &mut self,
        this: Resource<ContextHandle>,
        table: u32,
        x: Resource<TensorHandle>,
    ) -> TensorOutcome {
        self.compute(&this, [&x], |context, [x]| context.rope(table, x))
    }

    fn attention(
        &mut self,
        this: Resource<ContextHandle>,
        layer: u32,
        q: Resource<TensorHandle>,
        k: Resource<TensorHandle>,
        v: Resource<TensorHandle>,
        options: AttentionOptions,
    ) -> TensorOutcome {
        let options = crate::AttentionOptions {
            scale: options.scale,
            window: options.window.map(|window| window as usize),
            soft_cap: options.soft_cap,
        };
        self.compute(&this, [&q, &k, &v], |context, [q, k, v]| context.attention(layer, q, k, v, &options))
    }

    fn swiglu(
        &mut self,
        this: Resource<ContextHandle>,
        gate: Resource<TensorHandle>,
        up: Resource<TensorHandle>,
    ) -> TensorOutcome {
        self.compute(&this, [&gate, &up], |context, [gate, up]| context.swiglu(gate, up))
    }

    fn drop(&mut self, handle: Resource<ContextHandle>) -> Result<()> {
        self.contexts.take(handle.rep());
        Ok(())
    }
}
