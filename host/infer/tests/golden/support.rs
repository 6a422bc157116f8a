//! Golden models, and what they continue prompts with.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use swift_infer::{Engine, ModelBackend, Request, Statistics};
use swift_model::{LoadOptions, Model, ModelConfig, find_model_plugin};
use swift_runtime::{Kind, Limits, Registry};
use swift_standard_plugins::STANDARD;
use swift_tensor::{DType, Device};

pub(crate) fn folder(model: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/models")).join(model)
}

/// Prompt and continuation.
pub(crate) fn golden(model: &str) -> (Vec<u32>, Vec<u32>) {
    let text = std::fs::read_to_string(folder(model).join("generate.json")).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let ids = |name: &str| serde_json::from_value(file[name].clone()).unwrap();
    (ids("prompt_ids"), ids("greedy_ids"))
}

pub(crate) fn loaded(model: &str) -> Model {
    let cache_directory = Some(concat!(env!("CARGO_TARGET_TMPDIR"), "/cache/plugins").into());
    let options_of_plugins = swift_runtime::EngineOptions { cache_directory, ..Default::default() };
    let registry = Registry::new(swift_runtime::Engine::new(options_of_plugins).unwrap(), STANDARD);
    let candidates = STANDARD.iter().filter_map(|(name, _)| {
        let plugin = registry.resolve(name).unwrap();
        let is_model = plugin.kinds().contains(&Kind::Model);
        is_model.then(|| (name.to_string(), move || Ok(plugin.model(&Limits::default())?)))
    });
    let (_, definition) = find_model_plugin(&ModelConfig::read(&folder(model)).unwrap(), candidates).unwrap();
    let load = LoadOptions { dtype: DType::F32, device: Device::Cpu, quantisation: None };
    Model::load(&folder(model), definition, &load).unwrap()
}

/// The golden prompt `copies` times among other prompts, each with the golden continuation.
pub(crate) fn continues(model: &str, copies: usize, engine: &mut Engine<ModelBackend>) -> Statistics {
    let (prompt, expected) = golden(model);
    let mut answers = Vec::new();
    let submit = |engine: &mut Engine<ModelBackend>, prompt: Vec<u32>| {
        let answer = Arc::new(Mutex::new(Vec::new()));
        let kept = answer.clone();
        let mut request = Request::new(prompt, move |output| {
            kept.lock().unwrap().extend(output.tokens);
            true
        });
        request.sampling.temperature = 0.0;
        request.stop.max_tokens = Some(expected.len());
        engine.submit(request).unwrap();
        answer
    };
    for copy in 0..copies {
        for other in 0..copy as u32 % 3 {
            submit(engine, [prompt.as_slice(), &[5 + other; 7]].concat());
        }
        answers.push(submit(engine, prompt.clone()));
        if copy % 4 == 1 {
            engine.step();
        }
    }
    while !engine.is_idle() {
        engine.step();
    }
    for answer in answers {
        assert_eq!(*answer.lock().unwrap(), expected, "{model}");
    }
    let statistics = engine.statistics();
    assert_eq!(statistics.free_blocks, statistics.total_blocks);
    statistics
}
