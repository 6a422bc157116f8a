//! Greedy continuations of golden models, computed by transformers, token for token, through the engine and the standard
//! model plugin: alone, mixed, cut into parts, from shared beginnings, and with too few blocks.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may stop at the first surprise; helpers outside of test functions are not recognised"
)]

mod support;

use std::sync::{Arc, Mutex};

use serde_json::Value;
use swift_infer::{
    BeamOptions, EarlyStopping, Engine, EngineOptions, GenerationConfig, ModelBackend, Request,
};
use swift_model::{AdapterOptions, ForwardOptions, Outputs, Tokens};
use swift_runtime::OutputsView as _;
use swift_tensor::{no_grad, uniform};

use support::{continues, folder, golden, loaded};

const MODELS: [&str; 16] = [
    "deepseek_v3",
    "gemma",
    "gemma2",
    "gemma3_text",
    "glm4",
    "gpt_oss",
    "llama",
    "llama_tied",
    "mistral",
    "mixtral",
    "olmo2",
    "phi3",
    "qwen2",
    "qwen2_moe",
    "qwen3",
    "qwen3_moe",
];

fn engine(model: &str, blocks: usize, block_size: usize, options: EngineOptions) -> Engine<ModelBackend> {
    let ends = GenerationConfig::read(&folder(model)).unwrap().ends;
    let backend = ModelBackend::new(loaded(model), blocks, block_size, options.context_length).unwrap();
    Engine::new(backend, None, ends, options)
}

#[test]
fn every_model_continues_as_transformers_does() {
    for model in MODELS {
        let mut engine = engine(model, 100, 16, EngineOptions::default());
        continues(model, 1, &mut engine);
    }
}

#[test]
fn continuations_do_not_depend_on_what_else_is_computed() {
    for model in MODELS {
        let mut engine = engine(model, 400, 16, EngineOptions::default());
        let statistics = continues(model, 9, &mut engine);
        assert_eq!(statistics.preemptions, 0);
    }
}

#[test]
fn continuations_do_not_depend_on_how_prompts_are_cut() {
    for max_batch_tokens in 1..=10 {
        let options = EngineOptions { max_batch_tokens, ..Default::default() };
        continues("qwen2", 2, &mut engine("qwen2", 100, 4, options));
    }
}

#[test]
fn continuations_survive_too_few_blocks_and_shared_beginnings() {
    for model in MODELS {
        let (prompt, expected) = golden(model);
        let alone = (prompt.len() + 7 + expected.len()).div_ceil(4);
        let mut engine = engine(model, alone + 5, 4, EngineOptions::default());
        let statistics = continues(model, 6, &mut engine);
        assert!(statistics.preemptions > 0 && statistics.cached_tokens > 0, "{statistics:?}");
    }
}

#[test]
fn beams_are_those_of_transformers() {
    for model in ["qwen2", "llama"] {
        let text = std::fs::read_to_string(folder(model).join("beams.json")).unwrap();
        let file: Value = serde_json::from_str(&text).unwrap();
        let prompt: Vec<u32> = serde_json::from_value(file["prompt_ids"].clone()).unwrap();
        let cases = file["cases"].as_array().unwrap();
        let mut engine = engine(model, 60, 4, EngineOptions::default());
        let mut answers = Vec::new();
        for case in cases {
            let answer = Arc::new(Mutex::new(Vec::new()));
            let kept = answer.clone();
            let mut request = Request::new(prompt.clone(), move |output| {
                kept.lock().unwrap().push(output.tokens);
                true
            });
            request.n = case["n"].as_u64().unwrap() as u32;
            request.beams = Some(BeamOptions {
                width: case["num_beams"].as_u64().unwrap() as u32,
                length_penalty: case["length_penalty"].as_f64().unwrap(),
                early_stopping: match &case["early_stopping"] {
                    Value::Bool(true) => EarlyStopping::Always,
                    Value::Bool(false) => EarlyStopping::Heuristic,
                    _ => EarlyStopping::Never,
                },
            });
            request.stop.max_tokens = Some(case["max_new_tokens"].as_u64().unwrap() as usize);
            request.stop.token_ids = serde_json::from_value(case["stop_token_ids"].clone()).unwrap();
            request.stop.ignore_eos = true;
            engine.submit(request).unwrap();
            answers.push(answer);
        }
        while !engine.is_idle() {
            engine.step();
        }
        for (case, answer) in cases.iter().zip(answers) {
            let expected: Vec<Vec<u32>> = serde_json::from_value(case["sequences"].clone()).unwrap();
            assert_eq!(*answer.lock().unwrap(), expected, "{model}: {case}");
        }
        let statistics = engine.statistics();
        assert_eq!(statistics.free_blocks, statistics.total_blocks);
    }
}

/// The greedy answer to a prompt.
fn answer(engine: &mut Engine<ModelBackend>, prompt: &[u32], length: usize) -> Vec<u32> {
    let answer = Arc::new(Mutex::new(Vec::new()));
    let kept = answer.clone();
    let mut request = Request::new(prompt.to_vec(), move |output| {
        kept.lock().unwrap().extend(output.tokens);
        true
    });
    request.sampling.temperature = 0.0;
    request.stop.max_tokens = Some(length);
    request.stop.ignore_eos = true;
    engine.submit(request).unwrap();
    while !engine.is_idle() {
        engine.step();
    }
    std::mem::take(&mut *answer.lock().unwrap())
}

#[test]
fn a_model_answers_with_the_adapter_that_is_trained_as_it_is_at_the_moment() {
    let mut model = loaded("qwen2");
    let options = AdapterOptions {
        rank: 4,
        alpha: 4.0,
        dropout: 0.0,
        rslora: false,
        dora: false,
        target_modules: vec!["all-linear".into()],
        target_parameters: vec![],
        seed: 1,
    };
    model.attach_adapter(&options).unwrap();
    let backend = ModelBackend::new(model.share(), 64, 8, EngineOptions::default().context_length).unwrap();
    let mut engine = Engine::new(backend, None, Vec::new(), EngineOptions::default());
    let (prompt, expected) = golden("qwen2");
    assert_eq!(answer(&mut engine, &prompt, expected.len()), expected, "a new adapter changes nothing");

    for parameter in model.parameters().iter().filter(|parameter| parameter.adapter_b) {
        let shape: Vec<u64> = parameter.value.dims().iter().map(|&size| size as u64).collect();
        let values = uniform(-2.0, 2.0, &shape, parameter.value.dtype(), 7).unwrap();
        parameter.value.slice_set(values.value(), 0, 0).unwrap();
    }
    model.parameters_changed();
    engine.forget_cached();
    let adapted = answer(&mut engine, &prompt, expected.len());
    assert_ne!(adapted, expected);
    let ids = [prompt.as_slice(), &adapted].concat();
    let count = ids.len() as u32;
    let tokens = Tokens { ids: ids.clone(), position_ids: (0..count).collect(), lengths: vec![count] };
    let forward = ForwardOptions { adapters: true, dropout_seed: None, recompute: false };
    let hidden = no_grad(|| model.forward(&tokens, forward)).unwrap();
    let labels: Vec<i64> = ids.iter().map(|id| i64::from(*id)).collect();
    let predictions = Outputs::new(&model, hidden, &labels, &[count]).unwrap().predictions().unwrap();
    let predicted = predictions.value().to_vec1::<i64>().unwrap();
    let from = prompt.len() - 1;
    let adapted: Vec<i64> = adapted.iter().map(|id| i64::from(*id)).collect();
    assert_eq!(predicted[from..from + adapted.len()], adapted);
}
