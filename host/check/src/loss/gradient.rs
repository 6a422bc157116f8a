//! The gradient of a loss and central finite differences, in which what the loss detaches keeps its values.

use swift_runtime::{LossPlugin, Result};
use swift_tensor::DType;

use super::case::{Case, Evaluation, scalar};
use super::start;
use crate::bench::Bench;
use crate::seeded::parameter;

/// Elements of an output that are compared, spread evenly over it.
const SAMPLE: usize = 32;

/// How an element is moved, and how far the gradient may be from the difference: as a share of the output's largest, and
/// whatever that is.
struct Precision {
    step: f64,
    relative: f64,
    absolute: f64,
}

/// The error of the difference is about `step^2` (of the formula) plus the rounding of the loss by `step`.
const FLOAT64: Precision = Precision { step: 1e-5, relative: 1e-6, absolute: 1e-9 };
const FLOAT32: Precision = Precision { step: 1e-2, relative: 2e-2, absolute: 1e-4 };

/// The element of an output at which the two are farthest apart.
#[derive(Clone, Copy, Debug, Default)]
struct Worst {
    element: usize,
    gradient: f64,
    difference: f64,
    /// Larger than 1 if that is too far.
    error: f64,
}

/// Compares the gradient by each output that the loss asks for.
pub(crate) fn check(bench: &mut Bench, case: &Case, dtype: DType) -> Result<()> {
    bench.recorder.take();
    bench.held.keep();
    let evaluation = match case.evaluate(&mut start(bench)?, dtype, 0) {
        Ok(evaluation) => evaluation,
        Err(error) => {
            bench.failed(format!("{}: {error}", case.shape.name), error.hint());
            return Ok(());
        }
    };
    bench.held.give_again();
    let asked = bench.recorder.take();
    if !case.policy.iter().any(|column| asked.has(&column.operation())) {
        bench.failed(
            format!("{}: the loss depends on no output of the model", case.shape.name),
            "ask for `token-logps` or another differentiable output; nothing is learnt otherwise".to_owned(),
        );
    }
    for (number, column) in (0..).zip(case.policy.iter()) {
        if !asked.has(&column.operation()) {
            continue;
        }
        let worst = worst(bench, case, dtype, number, &evaluation)?;
        let place = format!("{}: the gradient by `{}`", case.shape.name, column.name);
        let numbers = format!(
            "at element {}: it is {:.6e}, and the difference {:.6e}",
            worst.element, worst.gradient, worst.difference
        );
        if worst.error <= 1.0 {
            bench.passed(format!("{place} is that of finite differences"));
        } else {
            let hint = match asked.has("to-list") {
                true => {
                    "no gradient flows through values that were read with `to-list`; use operations on tensors"
                }
                false => {
                    "the loss may jump or bend here; see which operations it asks for with `--trace-plugin`"
                }
            };
            bench.failed(format!("{place} is not that of finite differences {numbers}"), hint.to_owned());
        }
    }
    bench.held.forget();
    Ok(())
}

fn worst(bench: &Bench, case: &Case, dtype: DType, number: u32, evaluation: &Evaluation) -> Result<Worst> {
    let precision = if dtype == DType::F64 { FLOAT64 } else { FLOAT32 };
    let elements = case.policy.get(number as usize).map_or(&[][..], |column| &column.elements);
    let gradient = evaluation.gradient.get(&parameter(number));
    let mut instances = Instances { bench, reused: reusable(bench, case, dtype)? };
    let mut pairs = Vec::new();
    for element in sample(elements) {
        let mut moved = |by: f64| -> Result<f64> { instances.loss(&case.moved(number, element, by), dtype) };
        let difference = (moved(precision.step)? - moved(-precision.step)?) / (2.0 * precision.step);
        let gradient = gradient.and_then(|gradient| gradient.get(element)).copied().unwrap_or_default();
        pairs.push((element, gradient, difference));
    }
    let largest = pairs.iter().flat_map(|pair| [pair.1.abs(), pair.2.abs()]).fold(0.0, f64::max);
    let allowed = precision.relative * largest + precision.absolute;
    let compared = pairs.into_iter().map(|(element, gradient, difference)| {
        let error = (gradient - difference).abs() / allowed;
        let error = if error.is_nan() { f64::INFINITY } else { error };
        Worst { element, gradient, difference, error }
    });
    Ok(compared.max_by(|a, b| a.error.total_cmp(&b.error)).unwrap_or_default())
}

/// At most [`SAMPLE`] elements, spread evenly.
fn sample(elements: &[usize]) -> impl Iterator<Item = usize> {
    let count = elements.len().min(SAMPLE);
    (0..count).filter_map(move |place| elements.get(place * elements.len() / count).copied())
}

/// Instances to compute moved cases with: always the same one if it remembers nothing, which saves time.
struct Instances<'a, 'b> {
    bench: &'a Bench<'b>,
    reused: Option<LossPlugin>,
}

impl Instances<'_, '_> {
    fn loss(&mut self, case: &Case, dtype: DType) -> Result<f64> {
        let mut new = None;
        let loss = match &mut self.reused {
            Some(loss) => loss,
            None => new.insert(start(self.bench)?),
        };
        self.bench.held.give_again();
        scalar(&case.compute(loss, dtype, 0)?.loss)
    }
}

/// An instance whose results don't depend on earlier calls, if it is such a loss.
fn reusable(bench: &Bench, case: &Case, dtype: DType) -> Result<Option<LossPlugin>> {
    let mut loss = start(bench)?;
    let mut value = || Ok(scalar(&case.compute(&mut loss, dtype, 0)?.loss)?.to_bits());
    let results: [Result<u64>; 2] = [value(), value()];
    let [first, second] = results;
    Ok((first? == second?).then_some(loss))
}
