//! What the boundary costs in each language: the worked example of the SDKs, a focal loss, as a component made of each and
//! natively. All take turns, so that they meet the same disturbances.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Map;
use swift_runtime::{
    BatchView, Engine, EngineOptions, Limits, LossPlugin, Operation, OutputsView, Registry, Trace,
};
use swift_tensor::{DType, Tensor, normal};

use crate::{Given, Pairs};

/// Calls of each loss; the first tenth is left out.
const ROUNDS: usize = 2000;

/// The loss in one language.
struct Guest<'a> {
    language: &'a str,
    loss: LossPlugin,
    /// Operations that a call asks the host for.
    operations: usize,
    megabytes: f64,
}

/// Prints a table of the components, given as `LANGUAGE=PATH`.
pub(crate) fn compare(components: &[String]) -> Result<()> {
    let batch: Arc<dyn BatchView> = Arc::new(Pairs { sequences: 4, length: 60 });
    let outputs: Arc<dyn OutputsView> = Arc::new(Given(normal(-2.0, 0.5, &[240], DType::F32, 1)?));
    let mut guests =
        components.iter().map(|given| guest(given, &batch, &outputs)).collect::<Result<Vec<_>>>()?;
    let expected = native(&*batch, &*outputs)?.to_list()?;
    let mut times = vec![Vec::new(); guests.len() + 1];
    for _ in 0..ROUNDS {
        let mut slots = times.iter_mut();
        let mut record = |time| slots.next().map(|slot| slot.push(time)).context("there is a place for each");
        let started = Instant::now();
        native(&*batch, &*outputs)?;
        record(started.elapsed())?;
        for guest in &mut guests {
            let started = Instant::now();
            let report = guest.loss.compute(batch.clone(), outputs.clone(), None)?;
            record(started.elapsed())?;
            let got = report.loss.to_list()?;
            ensure!(got == expected, "the loss in {} is {got:?} and not {expected:?}", guest.language);
        }
    }
    let mut medians = times.into_iter().map(|times| micros(median(times)));
    let native = medians.next().context("there is the native one")?;
    println!("focal loss with a metric, 240 tokens; medians of {ROUNDS} calls in turns");
    println!(
        "{:12} {:>12} {:>12} {:>10} {:>18} {:>10}",
        "", "a call", "beyond", "operations", "beyond, for each", "component"
    );
    println!("{:12} {native:9.1} µs", "native");
    for (guest, time) in guests.iter().zip(medians) {
        let Guest { language, operations, megabytes, .. } = guest;
        let beyond = time - native;
        let each = beyond / *operations as f64;
        println!(
            "{language:12} {time:9.1} µs {beyond:9.1} µs {operations:10} {each:15.2} µs {megabytes:7.2} MB"
        );
    }
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.drain(..times.len() / 10);
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Counts operations.
#[derive(Debug, Default)]
struct Counter(AtomicUsize);

impl Trace for Counter {
    fn operation(&self, _: &str, _: &Operation) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Loads a component twice: to be watched, and to be measured.
fn guest<'a>(
    given: &'a str,
    batch: &Arc<dyn BatchView>,
    outputs: &Arc<dyn OutputsView>,
) -> Result<Guest<'a>> {
    let Some((language, path)) = given.split_once('=') else { bail!("`{given}` is not LANGUAGE=PATH") };
    let counter = Arc::new(Counter::default());
    let load = |trace: Option<Arc<dyn Trace>>| -> Result<LossPlugin> {
        let engine = Engine::new(EngineOptions { trace, ..EngineOptions::default() })?;
        Ok(Registry::new(engine, &[]).resolve(path)?.loss(&Map::new(), &Limits::default())?)
    };
    let mut watched = load(Some(counter.clone()))?;
    watched.compute(batch.clone(), outputs.clone(), None)?;
    let size = Path::new(path).metadata()?.len();
    Ok(Guest {
        language,
        loss: load(None)?,
        operations: counter.0.load(Ordering::Relaxed),
        megabytes: size as f64 / 1e6,
    })
}

/// What the components compute, the metric included.
fn native(batch: &dyn BatchView, outputs: &dyn OutputsView) -> Result<Tensor> {
    const GAMMA: f64 = 2.0;
    let logps = outputs.token_logps()?;
    let focus = logps.exp()?.neg()?.add_scalar(1.0)?.clamp(1e-12, 1.0)?.pow(GAMMA)?;
    let losses = focus.mul(&logps)?.mul(&batch.loss_weights())?.neg()?;
    let _metric = (focus.detach(), batch.label_mask());
    Ok(losses.sum(&[], false)?.scale(1.0 / batch.global_token_count() as f64)?)
}
