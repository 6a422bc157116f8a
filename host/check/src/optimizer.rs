//! Optimisers.

use swift_runtime::{OptimizedParameter, OptimizerPlugin, Result};
use swift_tensor::{DType, Tensor, full, uniform};

use crate::bench::Bench;

/// Steps that are taken.
const STEPS: u64 = 4;

/// A parameter's value and its slots.
#[derive(Clone)]
struct State {
    value: Tensor,
    slots: Vec<Tensor>,
}

pub(crate) fn check(bench: &mut Bench) -> Result<()> {
    let (plugin, options) = (bench.plugin.clone(), bench.options);
    let start = || plugin.optimizer(&options.arguments, &options.limits);
    let parameters = [("matrix", vec![3, 4], 0.1), ("vector", vec![5], 0.0), ("single", vec![1], 0.0)];
    for (name, shape, weight_decay) in parameters {
        let parameter = OptimizedParameter { name: name.into(), shape, weight_decay };
        let mut whole = start()?;
        let begin = begin(&mut whole, &parameter)?;
        let middle = steps(&mut whole, &parameter, begin.clone(), 1..=STEPS / 2)?;
        let end = steps(&mut whole, &parameter, middle.clone(), STEPS / 2 + 1..=STEPS)?;
        let resumed = steps(&mut start()?, &parameter, middle, STEPS / 2 + 1..=STEPS)?;

        let shape = &parameter.shape;
        let finite = bits(&end)?.into_iter().all(|bits| f64::from_bits(bits).is_finite());
        bench.expect(
            finite,
            &format!("A parameter of shape {shape:?} and its {} slots stay finite", end.slots.len()),
            &format!("A parameter of shape {shape:?} is not finite after {STEPS} steps"),
            "slots are zero at first; a division by one needs something added",
        );
        bench.expect(
            bits(&resumed)? == bits(&end)?,
            "Another instance goes on with the slots to the same bits",
            "Another instance that goes on with the slots gives other values",
            "what is remembered from step to step must be in the slots, for a checkpoint has only these",
        );
        let moved = begin.value.to_list()? != end.value.to_list()?;
        bench.expect(moved, "The parameter changes", "The parameter does not change", "nothing is learnt");
    }
    let parameter = OptimizedParameter { name: "matrix".into(), shape: vec![3, 4], weight_decay: 0.1 };
    let mut optimizer = start()?;
    let state = begin(&mut optimizer, &parameter)?;
    bench.measure(|| steps(&mut optimizer, &parameter, state.clone(), 1..=1).map(drop))?;
    bench.handles(optimizer.usage());
    Ok(())
}

fn begin(optimizer: &mut OptimizerPlugin, parameter: &OptimizedParameter) -> Result<State> {
    let slots = optimizer.slots(parameter)?;
    let slots = slots.iter().map(|slot| Ok(full(0.0, &slot.shape, DType::F32)?)).collect::<Result<_>>()?;
    Ok(State { value: uniform(-1.0, 1.0, &parameter.shape, DType::F32, 1)?, slots })
}

/// Takes steps with a seeded gradient each.
fn steps(
    optimizer: &mut OptimizerPlugin,
    parameter: &OptimizedParameter,
    mut state: State,
    numbers: impl Iterator<Item = u64>,
) -> Result<State> {
    for number in numbers {
        let gradient = uniform(-1.0, 1.0, &parameter.shape, DType::F32, 1 + number)?;
        let (value, slots) =
            optimizer.update(parameter, &state.value, &gradient, &state.slots, number, 1e-2)?;
        state = State { value, slots };
    }
    Ok(state)
}

/// Everything, to the last bit.
fn bits(state: &State) -> Result<Vec<u64>> {
    let mut bits = Vec::new();
    for tensor in std::iter::once(&state.value).chain(&state.slots) {
        bits.extend(tensor.to_list()?.iter().map(|value| value.to_bits()));
    }
    Ok(bits)
}
