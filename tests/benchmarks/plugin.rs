//! What the plugin boundary costs: the DPO loss and the llama model as components against the same operations called
//! natively, in one process; and a loss in several languages. `cargo xtask bench plugin` prepares all this and runs it.

#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first surprise, as a test does")]

#[path = "../../host/model/tests/all/native.rs"]
#[expect(clippy::indexing_slicing, reason = "shared with the tests of the model crate")]
mod native;

mod languages;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use native::NativeLlama;
use serde_json::Map;
use swift_model::{ForwardOptions, LoadOptions, Model, Tokens};
use swift_runtime::{BatchView, Engine, EngineOptions, Limits, OutputsView, Registry};
use swift_tensor::{DType, Device, Tensor, arange, from_list, full, no_grad, normal};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Components in several languages, or folders of models.
    if arguments.iter().any(|argument| argument.contains('=')) {
        return languages::compare(&arguments);
    }
    let folders: Vec<PathBuf> = arguments.into_iter().map(PathBuf::from).collect();
    let engine = Engine::new(EngineOptions::default())?;
    let registry = Registry::new(engine, swift_standard_plugins::STANDARD);
    println!("{:48} {:>12} {:>12} {:>9}", "", "native", "component", "overhead");
    for pairs in [2, 64] {
        loss(&registry, pairs, 60)?;
    }
    let [wiring, small, large] = folders.as_slice() else {
        bail!("usage: bench-plugin WIRING SMALL LARGE | LANGUAGE=COMPONENT…")
    };
    // Arithmetic varies by more than the boundary costs; next to none of it is left in this model of as many layers.
    let [native, component] = forward(&registry, wiring, &tokens(1, 4))?;
    let overhead = component.saturating_sub(native);
    forward(&registry, small, &tokens(4, 230))?;
    let [native, _] = forward(&registry, large, &tokens(4, 230))?;
    let share = overhead.as_secs_f64() / native.as_secs_f64() * 100.0;
    let microseconds = overhead.as_secs_f64() * 1e6;
    println!(
        "The llama component costs {microseconds:.0} µs a forward of 24 layers: {share:.4}% of the large one."
    );
    Ok(())
}

fn print(what: &str, native: Duration, component: Duration) {
    let share = component.as_secs_f64() / native.as_secs_f64() - 1.0;
    let overhead = component.saturating_sub(native).as_secs_f64() * 1e6;
    let [native, component] = [native, component].map(|time| time.as_secs_f64() * 1e6);
    println!("{what:48} {native:9.1} µs {component:9.1} µs {:>8.2}%  ({overhead:.1} µs)", share * 100.0);
}

/// The medians of two alternating measurements, so that both meet the same disturbances.
fn compare(
    rounds: usize,
    mut a: impl FnMut() -> Result<()>,
    mut b: impl FnMut() -> Result<()>,
) -> Result<[Duration; 2]> {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        let [first, second] = &mut times;
        let started = Instant::now();
        a()?;
        first.push(started.elapsed());
        let started = Instant::now();
        b()?;
        second.push(started.elapsed());
    }
    let medians = times.map(|mut times| {
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    });
    Ok(medians)
}

/// A batch of pairs of answers of equal length, all of whose tokens count.
struct Pairs {
    sequences: u64,
    length: u64,
}

impl BatchView for Pairs {
    fn labels(&self) -> Tensor {
        self.segment_ids()
    }
    fn label_mask(&self) -> Tensor {
        full(1.0, &[self.sequences * self.length], DType::F32).unwrap()
    }
    fn loss_weights(&self) -> Tensor {
        self.label_mask()
    }
    fn segment_ids(&self) -> Tensor {
        let ids: Vec<f64> = (0..self.sequences * self.length).map(|i| (i / self.length) as f64).collect();
        from_list(&ids, &[ids.len() as u64], DType::I64).unwrap()
    }
    fn sequence_lengths(&self) -> Vec<u32> {
        vec![self.length as u32; self.sequences as usize]
    }
    fn group_lengths(&self) -> Vec<u32> {
        vec![2; self.sequences as usize / 2]
    }
    fn field(&self, _: &str) -> Option<Tensor> {
        None
    }
    fn global_token_count(&self) -> u64 {
        self.sequences * self.length
    }
    fn global_sequence_count(&self) -> u64 {
        self.sequences
    }
    fn global_row_count(&self) -> u64 {
        self.sequences / 2
    }
    fn global_batch_count(&self) -> u64 {
        1
    }
    fn step(&self) -> u64 {
        0
    }
    fn training(&self) -> bool {
        true
    }
}

/// Outputs that are there already.
struct Given(Tensor);

impl OutputsView for Given {
    fn token_logps(&self) -> swift_tensor::Result<Tensor> {
        Ok(self.0.clone())
    }
    fn predictions(&self) -> swift_tensor::Result<Tensor> {
        arange(self.0.elem_count() as u64)
    }
    fn entropies(&self) -> swift_tensor::Result<Tensor> {
        Ok(self.0.clone())
    }
    fn mean_logits(&self) -> swift_tensor::Result<Tensor> {
        Ok(self.0.clone())
    }
    fn logits(&self) -> swift_tensor::Result<Tensor> {
        Ok(self.0.clone())
    }
    fn hidden(&self) -> swift_tensor::Result<Tensor> {
        Ok(self.0.clone())
    }
    fn last_hidden(&self) -> swift_tensor::Result<Tensor> {
        Ok(self.0.clone())
    }
}

fn loss(registry: &Registry, pairs: u64, length: u64) -> Result<()> {
    let mut component = registry.resolve("dpo")?.loss(&Map::new(), &Limits::default())?;
    let batch: Arc<dyn BatchView> = Arc::new(Pairs { sequences: 2 * pairs, length });
    let draw = |seed| normal(-2.0, 0.5, &[2 * pairs * length], DType::F32, seed);
    let policy: Arc<dyn OutputsView> = Arc::new(Given(draw(1)?));
    let reference: Arc<dyn OutputsView> = Arc::new(Given(draw(2)?));
    let expected = native_dpo(&*batch, &*policy, &*reference, pairs)?.to_list()?;
    let got = component.compute(batch.clone(), policy.clone(), Some(reference.clone()))?.loss.to_list()?;
    ensure!(expected.iter().zip(&got).all(|(a, b)| (a - b).abs() < 1e-5), "{expected:?} is not {got:?}");
    let [native, component] = compare(
        400,
        || native_dpo(&*batch, &*policy, &*reference, pairs).map(drop),
        || Ok(component.compute(batch.clone(), policy.clone(), Some(reference.clone())).map(drop)?),
    )?;
    print(&format!("DPO loss with metrics, {pairs} pairs, {} tokens", 2 * pairs * length), native, component);
    Ok(())
}

/// What the component computes, metrics included, in the same operations.
fn native_dpo(
    batch: &dyn BatchView,
    policy: &dyn OutputsView,
    reference: &dyn OutputsView,
    pairs: u64,
) -> Result<Tensor> {
    const BETA: f64 = 0.1;
    let segments = batch.segment_ids();
    let sums = |outputs: &dyn OutputsView| -> Result<[Tensor; 2]> {
        let sums = outputs.token_logps()?.segment_sum(&segments, 2 * pairs)?;
        Ok([sums.narrow(0, 0, pairs)?, sums.narrow(0, pairs, pairs)?])
    };
    let ([chosen, rejected], [reference_chosen, reference_rejected]) = (sums(policy)?, sums(reference)?);
    let chosen_reward = chosen.sub(&reference_chosen)?.scale(BETA)?;
    let rejected_reward = rejected.sub(&reference_rejected)?.scale(BETA)?;
    let margin = chosen_reward.sub(&rejected_reward)?;
    let agreement = margin.log_sigmoid()?.scale(1.0)?;
    let disagreement = margin.neg()?.log_sigmoid()?.scale(0.0)?;
    let loss = agreement.add(&disagreement)?.sum(&[], false)?.neg()?.scale(1.0 / pairs as f64)?;
    let half = batch.global_token_count() / 2;
    let (mask, logits) = (batch.label_mask(), policy.mean_logits()?);
    for start in [0, half] {
        let [mask, logits] = [mask.narrow(0, start, half)?, logits.narrow(0, start, half)?];
        logits.sum(&[], false)?.div(&mask.sum(&[], false)?)?;
    }
    chosen_reward.gt(&rejected_reward)?;
    Ok(loss)
}

/// Compares the definitions on one model, and gives the times of the native one and the component.
fn forward(registry: &Registry, folder: &Path, tokens: &Tokens) -> Result<[Duration; 2]> {
    let options = LoadOptions { dtype: DType::F32, device: Device::Cpu, quantisation: None };
    let plugin = registry.resolve("llama")?.model(&Limits::default())?;
    let run = |model: &Model| -> Result<Tensor> {
        Ok(no_grad(|| {
            model.forward(tokens, ForwardOptions { adapters: false, dropout_seed: None, recompute: false })
        })?)
    };
    let native = Model::load(folder, NativeLlama::default(), &options)?;
    let component = Model::load(folder, plugin, &options)?;
    let [a, b] = [run(&native)?.to_list()?, run(&component)?.to_list()?];
    ensure!(a == b, "the component's hidden states are not the native ones");
    let started = Instant::now();
    run(&native)?;
    let rounds = (20.0 / started.elapsed().as_secs_f64()).clamp(4.0, 2000.0) as usize;
    let [native, component] = compare(rounds, || run(&native).map(drop), || run(&component).map(drop))?;
    let name = folder.file_name().context("a model folder has a name")?.to_string_lossy();
    print(&format!("llama forward, {name}, {} tokens", tokens.ids.len()), native, component);
    Ok([native, component])
}

/// Sequences of token ids below 256.
fn tokens(sequences: u32, length: u32) -> Tokens {
    Tokens {
        ids: (0..sequences * length).map(|i| (i * 7 + 3) % 256).collect(),
        position_ids: (0..sequences).flat_map(|_| 0..length).collect(),
        lengths: vec![length; sequences as usize],
    }
}
