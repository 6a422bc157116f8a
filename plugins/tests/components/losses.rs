//! Losses: what the component computes is what the same code computes natively, with the gradient.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use swift_plugin::testing::{Evaluation, ModelOutputs, PackedBatch, evaluate};
use swift_runtime::{BatchView, Limits, LossPlugin, LossReport, OutputsView};
use swift_tensor::{DType, GradientSink, ParameterId, Result, Tensor, backward, from_list};

use crate::plugin;

const LENGTHS: [u32; 4] = [3, 2, 2, 3];
/// 0 at the end of each sequence.
const MASK: [f64; 10] = [1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0];
const POLICY: [f64; 10] = [-1.0, -2.0, 0.0, -4.0, 0.0, -5.0, 0.0, -3.0, -2.5, 0.0];
const REFERENCE: [f64; 10] = [-1.5, -2.4, 0.0, -3.3, 0.0, -4.2, 0.0, -3.1, -3.9, 0.0];

fn float64(values: &[f64]) -> Tensor {
    from_list(values, &[values.len() as u64], DType::F64).unwrap()
}

fn int64(values: &[f64]) -> Tensor {
    from_list(values, &[values.len() as u64], DType::I64).unwrap()
}

struct Batch;

impl BatchView for Batch {
    fn labels(&self) -> Tensor {
        let labels: Vec<f64> =
            (0..).zip(MASK).map(|(i, mask)| if mask == 0.0 { -100.0 } else { i.into() }).collect();
        int64(&labels)
    }
    fn label_mask(&self) -> Tensor {
        float64(&MASK)
    }
    fn loss_weights(&self) -> Tensor {
        float64(&MASK)
    }
    fn segment_ids(&self) -> Tensor {
        int64(&[0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 3.0])
    }
    fn sequence_lengths(&self) -> Vec<u32> {
        LENGTHS.to_vec()
    }
    fn group_lengths(&self) -> Vec<u32> {
        vec![2, 2]
    }
    fn field(&self, _: &str) -> Option<Tensor> {
        None
    }
    fn global_token_count(&self) -> u64 {
        6
    }
    fn global_sequence_count(&self) -> u64 {
        4
    }
    fn global_row_count(&self) -> u64 {
        2
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

struct Outputs(Tensor);

impl OutputsView for Outputs {
    fn token_logps(&self) -> Result<Tensor> {
        Ok(self.0.clone())
    }
    fn predictions(&self) -> Result<Tensor> {
        Ok(int64(&[0.0, 9.0, -1.0, 3.0, -1.0, 9.0, -1.0, 9.0, 9.0, -1.0]))
    }
    fn mean_logits(&self) -> Result<Tensor> {
        Ok(float64(&MASK))
    }
    fn entropies(&self) -> Result<Tensor> {
        unreachable!("no standard loss asks for them")
    }
    fn logits(&self) -> Result<Tensor> {
        unreachable!("no standard loss asks for them")
    }
    fn hidden(&self) -> Result<Tensor> {
        unreachable!("no standard loss asks for them")
    }
    fn last_hidden(&self) -> Result<Tensor> {
        unreachable!("no standard loss asks for them")
    }
}

struct Sink(Vec<f64>);

impl GradientSink for Sink {
    fn accumulate(&mut self, _: ParameterId, gradient: &swift_tensor::Value) -> Result<()> {
        for (sum, part) in self.0.iter_mut().zip(gradient.to_vec1::<f64>()?) {
            *sum += part;
        }
        Ok(())
    }
}

fn compute(loss: &mut LossPlugin, policy: &[f64]) -> LossReport {
    let policy = Tensor::parameter(float64(policy).value().clone(), ParameterId(0));
    let reference: Arc<dyn OutputsView> = Arc::new(Outputs(float64(&REFERENCE)));
    let reference = loss.requirements().reference.then_some(reference);
    loss.compute(Arc::new(Batch), Arc::new(Outputs(policy)), reference).unwrap()
}

fn loss(name: &str, arguments: Value) -> LossPlugin {
    let arguments: Map<String, Value> = serde_json::from_value(arguments).unwrap();
    plugin(name).loss(&arguments, &Limits::default()).unwrap()
}

/// Compares a component with what the same code gave natively, and its gradient with finite differences.
fn check(mut loss: LossPlugin, native: &Evaluation) {
    let report = compute(&mut loss, &POLICY);
    assert_eq!(report.loss.to_list().unwrap(), [native.loss]);
    let mut sink = Sink(vec![0.0; POLICY.len()]);
    backward(&report.loss, &mut sink).unwrap();

    assert_eq!(report.metrics.len(), native.metrics.len());
    for (metric, (name, mean)) in report.metrics.iter().zip(&native.metrics) {
        let values = metric.values.to_list().unwrap();
        let weights =
            metric.weights.as_ref().map_or_else(|| vec![1.0; values.len()], |w| w.to_list().unwrap());
        let sum: f64 = values.iter().zip(&weights).map(|(value, weight)| value * weight).sum();
        assert_eq!((metric.name.as_str(), sum / weights.iter().sum::<f64>()), (name.as_str(), *mean));
        assert!(!metric.values.requires_grad() && metric.values.dtype().is_float(), "{name}");
    }

    for (i, _) in (0..POLICY.len()).zip(MASK).filter(|(_, mask)| *mask == 1.0) {
        let mut moved = |by: f64| {
            let mut policy = POLICY;
            policy[i] += by;
            compute(&mut loss, &policy).loss.to_list().unwrap()[0]
        };
        let numeric = (moved(1e-5) - moved(-1e-5)) / 2e-5;
        assert!((sink.0[i] - numeric).abs() < 1e-8, "gradient {i}: {} is not {numeric}", sink.0[i]);
    }
}

fn native(loss: &impl swift_plugin::Loss) -> Evaluation {
    let policy =
        ModelOutputs::new(&POLICY).predictions(&[0, 9, -1, 3, -1, 9, -1, 9, 9, -1]).mean_logits(&MASK);
    evaluate(loss, &PackedBatch::new(&LENGTHS), &policy, Some(&ModelOutputs::new(&REFERENCE))).unwrap()
}

#[test]
fn sft_computes_what_it_computes_natively() {
    check(loss("sft", json!({})), &native(&plugin_sft::Sft {}));
}

#[test]
fn dpo_computes_what_it_computes_natively() {
    check(loss("dpo", json!({})), &native(&plugin_dpo::Dpo::default()));
    let dpo = plugin_dpo::Dpo { beta: 0.7, label_smoothing: 0.2 };
    check(loss("dpo", json!({"beta": 0.7, "label_smoothing": 0.2})), &native(&dpo));
}

#[test]
fn a_mistake_in_an_operation_names_the_line_of_the_plugin() {
    // Sequences that don't fit the values: the sum by sequence fails, and everything after it passes that on.
    let short = Tensor::constant(float64(&[-1.0; 4]).value().clone());
    let reference: Arc<dyn OutputsView> = Arc::new(Outputs(float64(&REFERENCE)));
    let mut dpo = loss("dpo", json!({}));
    let error =
        dpo.compute(Arc::new(Batch), Arc::new(Outputs(short)), Some(reference)).unwrap_err().to_string();
    assert!(error.contains("`segment_sum`"), "{error}");
    assert!(error.contains("at plugins/losses/dpo/src/lib.rs:"), "{error}");
}
