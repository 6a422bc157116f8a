//! Losses: what the components compute is what ms-swift and TRL compute, with metrics and gradients.

use std::sync::Arc;

use serde_json::{Map, json};
use swift_runtime::{Input, Limits, LossPlugin, LossReport};
use swift_tensor::{DType, GradientSink, ParameterId, Result, backward};

use crate::golden::check::Worst;
use crate::golden::{Case, Golden};
use crate::plugin;
use crate::views::View;

/// The gradient by the only parameter.
struct Sink(Vec<f64>);

impl GradientSink for Sink {
    fn accumulate(&mut self, _: ParameterId, gradient: &swift_tensor::Value) -> Result<()> {
        for (sum, part) in
            self.0.iter_mut().zip(gradient.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?)
        {
            *sum += part;
        }
        Ok(())
    }
}

fn loss(name: &str, parameters: &Map<String, serde_json::Value>) -> LossPlugin {
    plugin(name).loss(parameters, &Limits::default()).unwrap()
}

fn compute(loss: &mut LossPlugin, case: &Case, dtype: DType) -> LossReport {
    let input = loss.requirements().input;
    let view = View { case: Arc::new(case.clone()), dtype, input };
    loss.compute(Arc::new(view.clone()), view.policy(), view.reference()).unwrap()
}

fn metric(report: &LossReport, name: &str) -> f64 {
    let Some(metric) = report.metrics.iter().find(|metric| metric.name == name) else { return f64::NAN };
    assert!(!metric.values.requires_grad() && metric.values.dtype().is_float(), "{name}");
    let values = metric.values.to_list().unwrap();
    let weights = metric.weights.as_ref().map_or_else(|| vec![1.0; values.len()], |w| w.to_list().unwrap());
    let sum: f64 = values.iter().zip(&weights).map(|(value, weight)| value * weight).sum();
    sum / weights.iter().sum::<f64>()
}

/// Computes all cases of a loss by its component, in both precisions.
fn check(name: &str, cases: &[Case], gradients: usize) {
    let precisions = [(DType::F64, 1e-3, 1e-10), (DType::F32, 0.1, 1e-5)];
    for (dtype, floor, tolerance) in precisions {
        let mut worst = Worst::relative_to(floor);
        let mut current = None;
        for case in cases {
            let loss = match current.take().filter(|_| case.continues) {
                Some(loss) => current.insert(loss),
                None => current.insert(loss(name, &case.parameters)),
            };
            let report = compute(loss, case, dtype);
            let (_, expected) = case.gradient.clone().unwrap_or_default();
            let mut sink = Sink(vec![0.0; expected.len()]);
            backward(&report.loss, &mut sink).unwrap();
            worst.compare(case, report.loss.to_list().unwrap()[0], |name| metric(&report, name), &sink.0);
        }
        worst.assert(&format!("{name} in {dtype:?}"), cases.len(), gradients, tolerance);
    }
}

#[test]
fn fine_tuning_agrees_with_every_case() {
    check("sft", &Golden::sft(), 5);
}

#[test]
fn preference_losses_agree_with_every_case() {
    check("dpo", &Golden::dpo(), 86);
    check("cpo", &Golden::cpo(), 12);
    check("simpo", &Golden::simpo(), 10);
    check("orpo", &Golden::orpo(), 4);
    check("kto", &Golden::kto(), 20);
    check("rm", &Golden::rm(), 8);
}

#[test]
fn distillation_agrees_with_every_case() {
    check("gkd", &Golden::gkd(), 10);
}

#[test]
fn losses_of_groups_agree_with_every_case() {
    check("embedding", &Golden::embedding(), 18);
    check("reranker", &Golden::reranker(), 3);
}

#[test]
fn losses_of_rollouts_agree_with_every_case() {
    check("grpo", &Golden::grpo(), 56);
    check("ppo", &Golden::ppo(), 20);
}

#[test]
fn pre_training_is_fine_tuning_without_options() {
    let mut cases = Golden::sft();
    cases.retain(|case| case.parameters["enable_dft_loss"] == false);
    cases.iter_mut().for_each(|case| case.parameters.clear());
    let gradients = cases.iter().filter(|case| case.gradient.is_some()).count();
    check("pt", &cases, gradients);
}

#[test]
fn classification_learns_the_label() {
    let case = Case {
        lengths: vec![1, 1],
        labels: vec![-100, -100],
        fields: vec![("label", vec![1.0, 0.0])],
        policy: vec![("scores", vec![0.5, 2.0, 0.25, 0.75])],
        // The cross entropies of leads of +1.5 and -0.5, their slopes halved.
        loss: ((-1.5f64).exp().ln_1p() + 0.5f64.exp().ln_1p()) / 2.0,
        metrics: vec![("acc".into(), 0.5)],
        gradient: Some(("scores", {
            let [first, second] = [1.5f64, -0.5].map(|lead| 0.5 / (1.0 + lead.exp()));
            vec![first, -first, -second, second]
        })),
        ..Case::default()
    };
    check("classification", &[case], 1);
}

#[test]
fn what_a_loss_needs_depends_on_its_parameters() {
    let requirements =
        |name: &str, parameters| loss(name, &serde_json::from_value(parameters).unwrap()).requirements();
    let kto = requirements("kto", json!({}));
    assert_eq!((kto.input, kto.reference), (Input::UnpairedPreferenceWithMismatches, true));
    let apo = requirements("kto", json!({"loss_type": "apo_zero_unpaired"}));
    assert_eq!(apo.input, Input::UnpairedPreference);
    assert!(requirements("gkd", json!({})).teacher);
    assert_eq!(requirements("rm", json!({})).score_head, Some(1));
    assert_eq!(requirements("classification", json!({})).score_head, Some(0));
}

#[test]
fn a_running_mean_goes_on_in_another_component() {
    let cases: Vec<Case> = Golden::dpo().into_iter().filter(|case| case.continues).collect();
    let first = Golden::dpo();
    for case in cases {
        let before =
            first.iter().find(|first| first.parameters == case.parameters && !first.continues).unwrap();
        let mut stopped = loss("dpo", &before.parameters);
        compute(&mut stopped, before, DType::F64);
        let mut resumed = loss("dpo", &case.parameters);
        resumed.restore_state(&stopped.save_state().unwrap()).unwrap();
        let report = compute(&mut resumed, &case, DType::F64);
        assert!((report.loss.to_list().unwrap()[0] - case.loss).abs() < 1e-12);
    }
}

#[test]
fn a_mistake_in_an_operation_names_the_line_of_the_plugin() {
    // Values that don't fit the sequences: the sum by sequence fails, and everything after it passes that on.
    let case = Arc::new(Golden::dpo().swap_remove(0));
    let mut shorter = (*case).clone();
    shorter.labels.truncate(4);
    shorter.policy = vec![("token_logps", vec![-1.0; 4]), ("mean_logits", vec![0.0; 4])];
    let view = |case: Arc<Case>| View { case, dtype: DType::F64, input: Input::PreferencePairs };
    let (whole, short) = (view(case), view(Arc::new(shorter)));
    let mut dpo = loss("dpo", &Map::new());
    let error =
        dpo.compute(Arc::new(whole.clone()), short.policy(), whole.reference()).unwrap_err().to_string();
    assert!(error.contains("`segment_sum`"), "{error}");
    assert!(error.contains("at plugins/losses/dpo/src/comparison.rs:"), "{error}");
}
