//! Metrics.

use std::sync::Arc;

use swift_runtime::{Input, MetricPlugin, Result};
use swift_tensor::DType;

use crate::Golden;
use crate::bench::Bench;
use crate::seeded::{Batch, Computed, Shape, columns};

/// How far a number may be from its golden value: it is made of `float32`.
const GOLDEN: f64 = 1e-5;

type Numbers = Vec<(String, f64)>;

pub(crate) fn check(bench: &mut Bench) -> Result<()> {
    let (plugin, options) = (bench.plugin.clone(), bench.options);
    let start = || plugin.metric(&options.arguments, &options.limits);
    let (mut first, mut second) = (start()?, start()?);
    let numbers = measured(&mut first)?;
    let usage = first.usage();
    let again = measured(&mut first)?;
    let same = bits(&measured(&mut second)?) == bits(&numbers);

    let wild: Vec<&str> =
        numbers.iter().filter(|(_, number)| !number.is_finite()).map(|(name, _)| name.as_str()).collect();
    bench.expect(
        wild.is_empty(),
        &format!("Its numbers are finite: {}", shown(&numbers)),
        &format!("`{}` is not finite", wild.join("`, `")),
        "a batch may be a single row, and a label may be unlikely",
    );
    bench.expect(
        bits(&again) == bits(&numbers),
        "What was observed is forgotten after `finish`",
        "The same batches give other numbers the second time",
        "`finish` must forget what was observed",
    );
    bench.expect_same(same);
    bench.handles(usage);
    bench.measure(|| observe(&mut first, &shapes()))?;
    let finite = numbers.into_iter().filter(|(_, number)| number.is_finite());
    let metrics = finite.map(|(name, number)| (name, vec![number])).collect();
    bench.golden(Golden { metrics, ..Golden::default() }, GOLDEN);
    Ok(())
}

fn shapes() -> Vec<Arc<Shape>> {
    Shape::both(Input::Causal).into_iter().map(Arc::new).collect()
}

/// The numbers of a validation set of two batches.
fn measured(metric: &mut MetricPlugin) -> Result<Numbers> {
    observe(metric, &shapes())?;
    metric.finish()
}

fn observe(metric: &mut MetricPlugin, shapes: &[Arc<Shape>]) -> Result<()> {
    for shape in shapes {
        let batch = Batch::new(shape, Input::Causal, DType::F32, 0, None)?;
        let policy = Computed::new(&columns(shape, None, 0)?, shape, DType::F32, false)?;
        metric.observe(Arc::new(batch), Arc::new(policy))?;
    }
    Ok(())
}

fn bits(numbers: &Numbers) -> Vec<(&str, u64)> {
    numbers.iter().map(|(name, number)| (name.as_str(), number.to_bits())).collect()
}

fn shown(numbers: &Numbers) -> String {
    numbers.iter().map(|(name, number)| format!("`{name}` {number:.6}")).collect::<Vec<_>>().join(", ")
}
