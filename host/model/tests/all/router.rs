//! What models with experts add to the loss, against transformers and finite differences.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use swift_model::{AddedLoss, ForwardOptions, Model};
use swift_tensor::{DType, Value};

use crate::families::{file, folder, load, with_config};
use crate::golden::{self, Batch, PLAIN, flat, scalar, tensors, worst};

const MODELS: [(&str, &str); 4] =
    [("gpt_oss", "gpt_oss"), ("mixtral", "mixtral"), ("qwen2_moe", "qwen_moe"), ("qwen3_moe", "qwen_moe")];

/// A model all of which is trained, with these settings of the router's loss.
fn model(name: &str, plugin: &str, wanted: bool, coefficient: f64) -> Model {
    let mut config: Json = serde_json::from_str(&file(name, "config.json")).unwrap();
    config["output_router_logits"] = json!(wanted);
    config["router_aux_loss_coef"] = json!(coefficient);
    let mut model = load(with_config(name, &config.to_string()).path(), plugin, DType::F64).unwrap().0;
    model.train_all().unwrap();
    model
}

fn batch(name: &str) -> Batch {
    Batch::from(&tensors(&folder(name).join("golden.safetensors")))
}

fn losses(model: &Model, batch: &Batch, recompute: bool) -> Vec<AddedLoss> {
    model.forward_to_learn(&batch.tokens, ForwardOptions { recompute, ..PLAIN }).unwrap().1
}

#[test]
fn the_loss_of_the_router_and_its_gradients_match_transformers() {
    for (name, plugin) in MODELS {
        let expected: BTreeMap<String, Value> = tensors(&folder(name).join("router.safetensors"));
        let (model, batch) = (model(name, plugin, true, 0.25), batch(name));
        // What is computed again on the way back counts once, and its gradients arrive.
        for recompute in [false, true] {
            let losses = losses(&model, &batch, recompute);
            let [loss] = losses.as_slice() else { panic!("{name} adds {losses:?}") };
            assert_eq!((loss.name.as_str(), loss.weight), ("aux_loss", 0.25));
            // transformers computes it in float32.
            let difference = (scalar(loss.value.value()) - scalar(&expected["aux_loss"])).abs();
            assert!(difference < 1e-6, "{name} is off by {difference:e}");
            let gradients = golden::gradients(&model, &loss.value);
            let mut compared = 0;
            for (parameter, expected) in
                expected.iter().filter_map(|(name, x)| Some((name.strip_prefix("grad.")?, x)))
            {
                let expected = flat(expected);
                let largest = expected.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
                let got = gradients.get(parameter).unwrap_or_else(|| panic!("{name}: {parameter} got none"));
                let difference = worst(got, &expected);
                assert!(difference <= 1e-5 * largest + 1e-9, "{name}: {parameter} is off by {difference:e}");
                compared += 1;
            }
            assert!(compared >= 5, "{name}");
        }
    }
}

#[test]
fn the_gradient_of_the_routers_loss_is_that_of_finite_differences() {
    let (model, batch) = (model("mixtral", "mixtral", true, 1.0), batch("mixtral"));
    let value = |model: &Model| scalar(losses(model, &batch, false)[0].value.value());
    let gradients = golden::gradients(&model, &losses(&model, &batch, true)[0].value);
    let routers = model.parameters().into_iter().filter(|parameter| parameter.name.ends_with("gate.weight"));
    for parameter in routers.take(2) {
        let elements = flat(&parameter.value);
        let gradient = &gradients[&parameter.name];
        for place in [0, 77, 200] {
            let moved = |by: f64| {
                let mut elements = elements.clone();
                elements[place] += by;
                let value_of = Value::from_slice(&elements, parameter.value.dims(), parameter.value.device());
                parameter.value.slice_set(&value_of.unwrap(), 0, 0).unwrap();
                value(&model)
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            moved(0.0);
            let difference = (slope - gradient[place]).abs();
            assert!(
                difference < 1e-6 * (1.0 + slope.abs()),
                "{}: {slope} and {}",
                parameter.name,
                gradient[place]
            );
        }
    }
}

#[test]
fn there_is_no_loss_of_the_router_unless_it_is_wanted_and_something_is_learned() {
    for (name, plugin) in MODELS {
        let batch = batch(name);
        for (wanted, coefficient) in [(false, 0.1), (true, 0.0)] {
            assert!(losses(&model(name, plugin, wanted, coefficient), &batch, false).is_empty(), "{name}");
        }
        let model = model(name, plugin, true, 0.1);
        let with = model.forward_to_learn(&batch.tokens, PLAIN).unwrap().0;
        let without = model.forward(&batch.tokens, PLAIN).unwrap();
        assert_eq!(flat(with.value()), flat(without.value()), "{name}");
    }
}
