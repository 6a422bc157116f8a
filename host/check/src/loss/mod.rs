//! Losses.

mod case;
mod gradient;
mod state;

use std::collections::BTreeMap;

use swift_runtime::{Error, Input, LossPlugin, Requirements, Result};
use swift_tensor::{DType, check_finite};

use self::case::{Case, Evaluation};
use crate::Golden;
use crate::bench::Bench;
use crate::seeded::Shape;

/// How far from each other the results in `float32` and `float64` may be, relative to 1 and the loss.
const FLOAT32: f64 = 1e-4;

/// How far a result may be from its golden value, in `float64` and in `float32`.
const GOLDEN: [f64; 2] = [1e-9, 1e-5];

/// A new instance.
fn start(bench: &Bench) -> Result<LossPlugin> {
    bench.plugin.loss(&bench.options.arguments, &bench.options.limits)
}

pub(crate) fn check(bench: &mut Bench) -> Result<()> {
    let requirements = start(bench)?.requirements();
    let cases = cases(bench, requirements)?;
    let dtype = precision(bench, &cases)?;
    let mut measured = Golden::default();
    let mut all_finite = true;
    for case in &cases {
        let evaluation = case.evaluate(&mut start(bench)?, dtype, 0)?;
        let finite = evaluation.loss.is_finite();
        all_finite &= finite;
        match finite {
            true => bench.passed(format!("{}: the loss is {:.6}", case.shape.name, evaluation.loss)),
            false => not_finite(bench, case, dtype)?,
        }
        let wild = evaluation.metrics.iter().filter(|(_, value)| value.is_infinite());
        for (name, value) in wild {
            bench.noted(format!("{}: the metric `{name}` is {value}", case.shape.name), None);
        }
        if finite {
            gradient::check(bench, case, dtype)?;
        }
        record(&mut measured, evaluation);
    }
    let Some(several) = cases.last().filter(|_| all_finite) else { return Ok(()) };
    let first = several.evaluate(&mut start(bench)?, dtype, 0)?;
    let mut second = start(bench)?;
    bench.expect_same(several.evaluate(&mut second, dtype, 0)?.bits() == first.bits());
    bench.handles(second.usage());
    state::check(bench, several, dtype)?;
    if dtype == DType::F64 {
        float32(bench, several, first.loss)?;
    }
    let mut loss = start(bench)?;
    let views = several.views(DType::F32, 0)?;
    bench.measure(|| views.compute(&mut loss).map(drop))?;
    let [exact, coarse] = GOLDEN;
    bench.golden(measured, if dtype == DType::F64 { exact } else { coarse });
    Ok(())
}

/// One row and several. Of groups there are two kinds, and a loss may take only the smaller.
fn cases(bench: &mut Bench, requirements: Requirements) -> Result<Vec<Case>> {
    let cases = Case::all(Shape::both(requirements.input), requirements)?;
    if requirements.input != Input::Groups {
        return Ok(cases);
    }
    let mut refusals = Vec::new();
    for case in &cases {
        refusals.extend(case.compute(&mut start(bench)?, DType::F32, 0).err());
    }
    let Some(refusal) = refusals.into_iter().next() else { return Ok(cases) };
    let pairs = Case::all(Shape::pairs(), requirements)?;
    let taken = pairs
        .iter()
        .all(|case| start(bench).and_then(|mut loss| case.compute(&mut loss, DType::F32, 0)).is_ok());
    if !taken {
        return Err(refusal);
    }
    bench.noted("Takes rows of two texts and not longer ones", refusal.to_string());
    Ok(pairs)
}

/// The element type to check in: `float64` if the loss computes in it.
fn precision(bench: &mut Bench, cases: &[Case]) -> Result<DType> {
    for case in cases {
        case.compute(&mut start(bench)?, DType::F32, 0)?;
        let wide = case.compute(&mut start(bench)?, DType::F64, 0);
        if !wide.is_ok_and(|report| report.loss.dtype() == DType::F64) {
            bench.noted(
                "Computes in `float32` whatever its inputs are, so its gradient is checked less exactly",
                "make tensors in the element type of those that they are combined with".to_owned(),
            );
            return Ok(DType::F32);
        }
    }
    Ok(DType::F64)
}

/// Says which operation gave the first number that is not finite.
fn not_finite(bench: &mut Bench, case: &Case, dtype: DType) -> Result<()> {
    let mut loss = start(bench)?;
    let hint = match check_finite(|| case.compute(&mut loss, dtype, 0)) {
        Err(Error::Tensor { cause, .. }) => cause.to_string(),
        Err(error) => error.to_string(),
        Ok(_) => "no operation gave a number that is not finite; it was made from a list".into(),
    };
    bench.failed(format!("{}: the loss is not finite", case.shape.name), hint);
    Ok(())
}

/// Compares `float32` with the result in `float64`.
fn float32(bench: &mut Bench, case: &Case, expected: f64) -> Result<()> {
    let loss = case.evaluate(&mut start(bench)?, DType::F32, 0)?.loss;
    bench.expect(
        (loss - expected).abs() <= FLOAT32 * (1.0 + expected.abs()),
        "The loss in `float32` is near that in `float64`",
        &format!("The loss is {loss} in `float32` and {expected} in `float64`"),
        "look for differences of large numbers and for `exp` and `log` that can be joined, as in `log-softmax`",
    );
    Ok(())
}

/// Adds what is finite to the numbers for a golden file.
fn record(measured: &mut Golden, evaluation: Evaluation) {
    let metrics: BTreeMap<String, f64> = evaluation.metrics.into_iter().collect();
    measured.loss.extend(Some(evaluation.loss).filter(|loss| loss.is_finite()));
    for (name, value) in metrics.into_iter().filter(|(_, value)| value.is_finite()) {
        measured.metrics.entry(name).or_default().push(value);
    }
}
