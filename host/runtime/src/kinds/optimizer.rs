use swift_tensor::{DType, Tensor};

use crate::Result;
use crate::bindings::optimizer::exports::swift::plugin::optimizer as contract;
use crate::guest::Guest;
use crate::instance::Rejection;
use crate::store::{State, Usage, Views};

/// A trained parameter, as an optimiser sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizedParameter {
    /// As in the checkpoint.
    pub name: String,
    /// Its shape.
    pub shape: Vec<u64>,
    /// Weight decay, 0 for parameters that are not decayed.
    pub weight_decay: f64,
}

/// A tensor that an optimiser keeps for a parameter between steps, zero at first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptimizerSlot {
    /// Its name in checkpoints.
    pub name: String,
    /// Its shape.
    pub shape: Vec<u64>,
}

/// A plugin at work as an optimiser.
pub struct OptimizerPlugin {
    guest: Guest<contract::Guest>,
}

impl OptimizerPlugin {
    pub(crate) fn new(guest: Guest<contract::Guest>) -> Self {
        Self { guest }
    }

    /// The plugin's name.
    pub fn name(&self) -> &str {
        self.guest.name()
    }

    /// What the last call took.
    pub fn usage(&self) -> Usage {
        self.guest.usage()
    }

    /// The tensors to keep for a parameter.
    ///
    /// # Errors
    /// If the plugin crashes or takes too much, or names two alike.
    pub fn slots(&mut self, parameter: &OptimizedParameter) -> Result<Vec<OptimizerSlot>> {
        self.guest.call(
            "slots",
            Views::default(),
            |optimizer, store| optimizer.call_slots(store, &parameter.into()),
            |slots, _| {
                let slots: Vec<OptimizerSlot> = slots
                    .into_iter()
                    .map(|slot| OptimizerSlot { name: slot.name, shape: slot.shape })
                    .collect();
                let twice = slots
                    .iter()
                    .enumerate()
                    .find(|(place, slot)| slots.iter().take(*place).any(|earlier| earlier.name == slot.name));
                match twice {
                    Some((_, slot)) => Err(Rejection::Wrong(format!("two slots are called `{}`", slot.name))),
                    None => Ok(slots),
                }
            },
        )
    }

    /// Takes step `number` (counted from 1) with one parameter: gives its new value and its new slots, in their order.
    /// `value` and `gradient` are `float32` in the parameter's shape.
    ///
    /// # Errors
    /// If the plugin fails, crashes, takes too much, or gives tensors of other shapes or types.
    pub fn update(
        &mut self,
        parameter: &OptimizedParameter,
        value: &Tensor,
        gradient: &Tensor,
        slots: &[Tensor],
        number: u64,
        learning_rate: f64,
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let expected: Vec<Vec<usize>> = slots.iter().map(|slot| slot.dims().to_vec()).collect();
        let shape = value.dims().to_vec();
        self.guest.call(
            "update",
            Views::default(),
            |optimizer, store| {
                let scope = &mut store.data_mut().scope;
                let (value, gradient) = (scope.borrow(value.detach()), scope.borrow(gradient.detach()));
                let slots: Vec<_> = slots.iter().map(|slot| scope.lend(slot.detach())).collect();
                let step = contract::Step { number, learning_rate };
                optimizer.call_update(store, &parameter.into(), value, gradient, &slots, step)
            },
            |update, state| {
                let contract::Updated { value, slots } = update?;
                let value = taken(state, &value, &shape, "the value")?;
                if slots.len() != expected.len() {
                    let (got, expected) = (slots.len(), expected.len());
                    return Err(Rejection::Wrong(format!("{got} slots came back of {expected}")));
                }
                let slots =
                    slots.iter().zip(&expected).map(|(slot, shape)| taken(state, slot, shape, "a slot"));
                Ok((value, slots.collect::<std::result::Result<_, _>>()?))
            },
        )
    }
}

fn taken(
    state: &mut State,
    handle: &wasmtime::component::Resource<crate::bindings::tensor::Tensor>,
    shape: &[usize],
    what: &str,
) -> std::result::Result<Tensor, Rejection> {
    let tensor = state.scope.take(handle).map_err(Rejection::Wrong)?;
    if tensor.dims() != shape || tensor.dtype() != DType::F32 {
        let (got, dtype) = (tensor.dims(), tensor.dtype().as_str());
        return Err(Rejection::Wrong(format!("{what} is `{dtype}` {got:?} and not `f32` {shape:?}")));
    }
    Ok(tensor)
}

impl From<&OptimizedParameter> for contract::Parameter {
    fn from(parameter: &OptimizedParameter) -> Self {
        let OptimizedParameter { name, shape, weight_decay } = parameter.clone();
        Self { name, shape, weight_decay }
    }
}
