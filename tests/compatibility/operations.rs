//! A loss and a callback that were built with the SDK of contract 0.1.0: they call everything that they can, and what comes
//! back is what the formulas say.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use swift_runtime::{
    Action, CallbackPlugin, Event, Input, Limits, LossPlugin, ParameterType, RunState, TrainedParts,
};
use swift_tensor::{DType, GradientSink, ParameterId, Result, Tensor, backward};

use crate::frozen::{arguments, assert_near, message, plugin};
use crate::views::{Batch, HIDDEN, LABELS, LOGPS, Outputs, SEGMENTS, Trained, WEIGHTS};

fn loss(group: &str) -> LossPlugin {
    let arguments = arguments(json!({"group": group, "factor": 3.0}));
    plugin("operations").loss(&arguments, &Limits::default()).unwrap()
}

/// The loss, and its metrics by name.
fn compute(loss: &mut LossPlugin) -> (Tensor, BTreeMap<String, Tensor>) {
    let outputs = |shift| Arc::new(Outputs { shift });
    let report = loss.compute(Arc::new(Batch), outputs(0.0), Some(outputs(-0.25))).unwrap();
    let metrics = report.metrics.into_iter().map(|metric| (metric.name, metric.values));
    (report.loss, metrics.collect())
}

/// Computes a group of operations and compares each with its formula. Every metric must have one.
fn check(group: &str, expected: &[(&str, &[usize], Vec<f64>)]) {
    let (_, metrics) = compute(&mut loss(group));
    assert_eq!(metrics.len(), expected.len(), "{:?}", metrics.keys());
    for (name, shape, values) in expected {
        let got = metrics.get(*name).unwrap_or_else(|| panic!("there is no `{name}`"));
        assert_eq!(got.dims(), *shape, "{name}");
        assert_near(name, &got.to_list().unwrap(), values);
    }
}

struct Gradient(Vec<f64>);

impl GradientSink for Gradient {
    fn accumulate(&mut self, _: ParameterId, gradient: &swift_tensor::Value) -> Result<()> {
        self.0 = gradient.to_dtype(DType::F64)?.to_vec1()?;
        Ok(())
    }
}

#[test]
fn it_says_what_it_is_and_what_it_needs() {
    let plugin = plugin("operations");
    let info = plugin.info();
    assert_eq!((info.name.as_str(), info.version.as_str()), ("operations", "1.0.0"));
    let parameters: Vec<_> = info
        .parameters
        .iter()
        .map(|parameter| (parameter.name.as_str(), parameter.r#type, parameter.default.clone()))
        .collect();
    let expected = [
        ("factor", ParameterType::Number, json!(2.0)),
        ("group", ParameterType::Text, json!("elementwise")),
        ("whole", ParameterType::Integer, json!(3)),
        ("truth", ParameterType::Boolean, json!(true)),
        ("names", ParameterType::List, json!(["a"])),
        ("unset", ParameterType::Number, json!(null)),
    ];
    assert_eq!(parameters, expected);
    let needs = loss("batch").requirements();
    assert_eq!((needs.input, needs.trained_parts), (Input::Groups, TrainedParts::LastRound));
    assert!(needs.reference && needs.teacher && needs.disable_dropout);
    assert_eq!(needs.score_head, Some(3));
}

#[test]
fn its_loss_and_gradient_are_those_of_the_formula() {
    let (loss, _) = compute(&mut loss("elementwise"));
    let sum: f64 = LOGPS.iter().zip(WEIGHTS).map(|(logp, weight)| logp * weight).sum();
    assert_near("loss", &loss.to_list().unwrap(), &[3.0 * sum / 8.0]);
    let mut gradient = Gradient(Vec::new());
    backward(&loss, &mut gradient).unwrap();
    assert_near("gradient", &gradient.0, &WEIGHTS.map(|weight| 3.0 * weight / 8.0));
}

/// The error function by its Taylor series.
fn erf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..60 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}

#[test]
fn operations_on_elements_follow_their_formulas() {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let truth = |x: bool| f64::from(u8::from(x));
    let tanh_form = |x: f64| {
        let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
        0.5 * x * (1.0 + inner.tanh())
    };
    type Formula<'a> = &'a dyn Fn(f64, f64) -> f64;
    let formulas: [(&str, Formula); 33] = [
        ("add", &|x, w| x + w),
        ("sub", &|x, w| x - w),
        ("mul", &|x, w| x * w),
        ("div", &|x, w| w / x),
        ("maximum", &|x, _| x.max(-1.0)),
        ("minimum", &|x, _| x.min(-1.0)),
        ("scale", &|x, _| x * 2.5),
        ("add-scalar", &|x, _| x + 1.5),
        ("pow", &|x, _| x.abs().powf(1.5)),
        ("clamp", &|x, _| x.clamp(-2.0, -0.5)),
        ("neg", &|x, _| -x),
        ("abs", &|x, _| x.abs()),
        ("exp", &|x, _| x.exp()),
        ("log", &|x, _| x.abs().ln()),
        ("sqrt", &|x, _| x.abs().sqrt()),
        ("sin", &|x, _| x.sin()),
        ("cos", &|x, _| x.cos()),
        ("tanh", &|x, _| x.tanh()),
        ("sigmoid", &|x, _| sigmoid(x)),
        ("log-sigmoid", &|x, _| sigmoid(x).ln()),
        ("softplus", &|x, _| x.exp().ln_1p()),
        ("relu", &|x, _| (x + 1.0).max(0.0)),
        ("gelu", &|x, _| x * (1.0 + erf(x / 2f64.sqrt())) / 2.0),
        ("gelu-tanh", &|x, _| tanh_form(x)),
        ("silu", &|x, _| x * sigmoid(x)),
        ("eq", &|x, _| truth(x == -1.0)),
        ("gt", &|x, _| truth(x > -1.0)),
        ("ge", &|x, _| truth(x >= -1.0)),
        ("lt", &|x, _| truth(x < -1.0)),
        ("le", &|x, _| truth(x <= -1.0)),
        ("choose", &|x, w| if x > -1.0 { w } else { x }),
        ("cast", &|x, _| x.trunc()),
        ("detach", &|x, _| x),
    ];
    let values = |formula: Formula| LOGPS.iter().zip(WEIGHTS).map(|(x, w)| formula(*x, w)).collect();
    check("elementwise", &formulas.map(|(name, formula)| (name, &[6][..], values(formula))));
}

fn columns() -> [[f64; 6]; 3] {
    [0, 1, 2].map(|column| HIDDEN.map(|row| row[column]))
}

/// A number for each row of the hidden states.
fn by_row(f: impl Fn([f64; 3]) -> f64) -> Vec<f64> {
    HIDDEN.map(f).to_vec()
}

/// Three numbers for each row.
fn rows(f: impl Fn([f64; 3]) -> [f64; 3]) -> Vec<f64> {
    HIDDEN.map(f).as_flattened().to_vec()
}

/// Which of three numbers is the smallest, the next, and the largest.
fn order(row: [f64; 3]) -> [usize; 3] {
    let mut order = [0, 1, 2];
    order.sort_by(|&a, &b| row[a].total_cmp(&row[b]));
    order
}

#[test]
fn reductions_follow_their_formulas() {
    let log_sum = |row: [f64; 3]| row.iter().map(|x| x.exp()).sum::<f64>().ln();
    let smallest = columns().map(|column| column.into_iter().fold(f64::INFINITY, f64::min));
    let mut running = [0.0; 3];
    let running: Vec<f64> = HIDDEN
        .iter()
        .flat_map(|row| {
            running.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
            running
        })
        .collect();
    check(
        "reductions",
        &[
            ("sum", &[3], columns().map(|column| column.iter().sum()).to_vec()),
            ("mean", &[6, 1], by_row(|row| row.iter().sum::<f64>() / 3.0)),
            ("max", &[6], by_row(|row| row.into_iter().fold(f64::NEG_INFINITY, f64::max))),
            ("min", &[1, 3], smallest.to_vec()),
            ("logsumexp", &[6], by_row(log_sum)),
            ("softmax", &[6, 3], rows(|row| row.map(|x| (x - log_sum(row)).exp()))),
            ("log-softmax", &[6, 3], rows(|row| row.map(|x| x - log_sum(row)))),
            ("cumsum", &[6, 3], running),
            ("argmax", &[6], by_row(|row| order(row)[2] as f64)),
            (
                "sort",
                &[6, 3],
                rows(|row| order(row).map(|place| row[place]))
                    .chunks(3)
                    .flat_map(|row| row.iter().rev().copied().collect::<Vec<_>>())
                    .collect(),
            ),
            ("argsort", &[6, 3], rows(|row| order(row).map(|place| place as f64))),
        ],
    );
}

#[test]
fn shapes_and_indices_follow_their_formulas() {
    let product = |a: [f64; 3], b: [f64; 3]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let segment = |number: usize, column: usize| -> f64 {
        let inside = HIDDEN.iter().zip(SEGMENTS).filter(|(_, segment)| *segment == number);
        inside.map(|(row, _)| row[column]).sum()
    };
    let segments = |divisors: [f64; 3]| -> Vec<f64> {
        (0..3)
            .flat_map(|number| (0..3).map(move |column| segment(number, column) / divisors[number]))
            .collect()
    };
    let places = [2, 0, 1, 1, 0, 2];
    check(
        "shapes",
        &[
            ("matmul", &[6, 6], HIDDEN.iter().flat_map(|a| HIDDEN.map(|b| product(*a, b))).collect()),
            ("gather", &[6, 1], HIDDEN.iter().zip(places).map(|(row, place)| row[place]).collect()),
            ("index-select", &[2, 3], [HIDDEN[4], HIDDEN[0]].as_flattened().to_vec()),
            ("narrow", &[3, 3], HIDDEN[2..5].as_flattened().to_vec()),
            ("reshape", &[2, 9], HIDDEN.as_flattened().to_vec()),
            ("transpose", &[3, 6], columns().as_flattened().to_vec()),
            ("broadcast-to", &[2, 3], [HIDDEN[0], HIDDEN[0]].as_flattened().to_vec()),
            ("segment-sum", &[3, 3], segments([1.0; 3])),
            // The third segment is empty.
            ("segment-mean", &[3, 3], segments([4.0, 2.0, 1.0])),
            ("cat", &[6, 6], HIDDEN.iter().flat_map(|row| [*row, *row]).flatten().collect()),
            ("stack", &[2, 6, 3], [HIDDEN, HIDDEN].as_flattened().as_flattened().to_vec()),
        ],
    );
}

#[test]
fn tensors_are_made_and_read() {
    let (_, metrics) = compute(&mut loss("making"));
    let values = |name: &str| metrics[name].to_list().unwrap();
    for (name, expected) in [
        ("from-list", &[3.0, 4.0][..]),
        ("full", &[7.0, 7.0]),
        ("arange", &[0.0, 1.0, 2.0, 3.0]),
        ("to-list", &[1.0, 2.0]),
        ("shape", &[2.0, 5.0]),
        ("dtype", &[1.0]),
    ] {
        assert_eq!(values(name), expected, "{name}");
    }
    assert_eq!(metrics["from-list"].dims(), [1, 2]);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let uniform = values("uniform");
    assert!(uniform.len() == 1000 && uniform.iter().all(|x| (-1.0..3.0).contains(x)), "{uniform:?}");
    assert!((mean(&uniform) - 1.0).abs() < 0.15, "{}", mean(&uniform));
    let normal = values("normal");
    let squares: Vec<f64> = normal.iter().map(|x| (x - 1.0).powi(2)).collect();
    assert!((mean(&normal) - 1.0).abs() < 0.3 && (mean(&squares).sqrt() - 2.0).abs() < 0.3);
    let (_, again) = compute(&mut loss("making"));
    assert_eq!(again["uniform"].to_list().unwrap(), uniform);
    assert_eq!(metrics.len(), 8);
}

#[test]
fn it_sees_the_whole_batch() {
    let mask = LABELS.map(|label| if label < 0.0 { 0.0 } else { 1.0 });
    check(
        "batch",
        &[
            ("labels", &[6], LABELS.to_vec()),
            ("label-mask", &[6], mask.to_vec()),
            ("loss-weights", &[6], WEIGHTS.to_vec()),
            ("segment-ids", &[6], SEGMENTS.map(|segment| segment as f64).to_vec()),
            ("sequence-lengths", &[2], vec![4.0, 2.0]),
            ("group-lengths", &[1], vec![2.0]),
            ("field", &[1], vec![0.75]),
            ("missing", &[1], vec![1.0]),
            ("token-field", &[6], vec![-1.0, -2.0, 0.0, -3.0, -4.0, 0.0]),
            ("teacher", &[6], LOGPS.map(|logp| logp - 0.5).to_vec()),
            ("global-token-count", &[1], vec![8.0]),
            ("global-sequence-count", &[1], vec![5.0]),
            ("global-row-count", &[1], vec![3.0]),
            ("global-batch-count", &[1], vec![2.0]),
            ("step", &[1], vec![11.0]),
            ("training", &[1], vec![1.0]),
        ],
    );
}

#[test]
fn it_sees_all_outputs_of_the_models() {
    check(
        "outputs",
        &[
            ("token-logps", &[6], LOGPS.to_vec()),
            ("reference", &[6], LOGPS.map(|logp| logp - 0.25).to_vec()),
            ("predictions", &[6], vec![3.0, 2.0, -1.0, 2.0, 1.0, -1.0]),
            ("entropies", &[6], vec![0.5, 0.25, 0.0, 1.5, 1.0, 0.0]),
            ("mean-logits", &[6], vec![-0.5, 0.75, 0.0, 2.0, 1.25, 0.0]),
            ("logits", &[6, 4], vec![2.0; 24]),
            ("vocab-size", &[1], vec![4.0]),
            ("hidden", &[6, 3], HIDDEN.as_flattened().to_vec()),
            ("last-hidden", &[2, 3], [HIDDEN[3], HIDDEN[5]].as_flattened().to_vec()),
            ("scores", &[2, 1], vec![0.5, -0.5]),
            ("token-scores", &[6, 1], vec![0.125; 6]),
        ],
    );
}

#[test]
fn its_errors_and_its_memory_are_as_they_were() {
    let mut wrong = loss("nothing");
    let outputs = Arc::new(Outputs { shift: 0.0 });
    let text = message(wrong.compute(Arc::new(Batch), outputs, None));
    assert!(
        text.starts_with("The plugin `operations` failed in `compute`: there is no group `nothing`"),
        "{text}"
    );

    let mut first = loss("batch");
    compute(&mut first);
    compute(&mut first);
    assert_eq!(first.save_state().unwrap(), "2");
    let mut resumed = loss("batch");
    resumed.restore_state("2").unwrap();
    compute(&mut resumed);
    assert_eq!(resumed.save_state().unwrap(), "3");
    assert!(resumed.restore_state("many").is_err());
}

fn callback() -> CallbackPlugin {
    plugin("operations").callback(&arguments(json!({})), &Limits::default()).unwrap()
}

fn tell(callback: &mut CallbackPlugin, event: Event) -> Vec<Action> {
    let metrics = vec![("loss".to_owned(), 0.75)];
    let state = RunState { step: 3, max_steps: 9, epoch: 0.5, learning_rate: 0.25, metrics };
    callback.on_event(event, &state, Arc::new(Trained)).unwrap()
}

#[test]
fn the_callback_hears_of_every_event_and_its_actions_arrive() {
    let mut callback = callback();
    for (event, actions) in [
        (Event::TrainBegin, vec![Action::Evaluate]),
        (Event::StepEnd, vec![Action::LogMetric("norm".into(), 5.0)]),
        (Event::Log, vec![Action::LogMetric("twice".into(), 1.5)]),
        (Event::Evaluate, vec![Action::Save]),
        (Event::Save, vec![]),
        (Event::EpochEnd, vec![Action::Save, Action::Evaluate]),
    ] {
        assert_eq!(tell(&mut callback, event), actions, "{event:?}");
    }
    let state = callback.save_state().unwrap();
    let mut resumed = self::callback();
    resumed.restore_state(&state).unwrap();
    let reason = "7 events, step 3 of 9, epoch 0.5, rate 0.25";
    assert_eq!(tell(&mut resumed, Event::TrainEnd), [Action::Stop(reason.into())]);
}
