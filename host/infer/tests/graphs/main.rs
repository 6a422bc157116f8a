//! Steps that are recorded and repeated, as CUDA graphs, give what ordinary ones give. Where nothing can be recorded, as on the CPU
//! unless it stands for a device (`cargo xtask emulation`), that is refused.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may stop at the first surprise; helpers outside of test functions are not recognised"
)]

#[path = "../golden/support.rs"]
mod support;

use std::sync::{Arc, Mutex};

use support::{continues, golden, loaded};
use swift_infer::{Backend as _, Engine, EngineOptions, GraphStatistics, ModelBackend, Request};
use swift_tensor::{Device, Graph};

/// Models whose steps are repeated, and how many times their prompt is continued beside others.
const REPEATED: [(&str, usize); 7] =
    [("gemma2", 1), ("gemma3_text", 1), ("glm4", 1), ("olmo2", 1), ("phi3", 2), ("qwen3", 1), ("qwen2", 3)];
/// Models whose steps are not, and why: tokens are sorted by the experts that they go to, which is read back in the end, and latent
/// attention has candle multiply heads.
const REFUSED: [(&str, &str); 2] = [("mixtral", "softmax"), ("deepseek_v3", "head_linear")];

/// The model's backend with graphs, or none where it is right that there is none.
fn with_graphs(model: &str) -> Option<ModelBackend> {
    let context_length = EngineOptions::default().context_length;
    match ModelBackend::new(loaded(model), 100, 16, context_length).unwrap().with_graphs() {
        Ok(backend) => Some(backend),
        Err(error) => {
            assert!(!Graph::is_for(&Device::Cpu));
            assert_eq!(error.to_string(), "CUDA graphs need a model on a CUDA device");
            None
        }
    }
}

#[test]
fn repeated_steps_continue_as_transformers_does() {
    for (model, copies) in REPEATED {
        let Some(backend) = with_graphs(model) else { return };
        let mut engine = Engine::new(backend, None, Vec::new(), EngineOptions::default());
        let steps = continues(model, copies, &mut engine).steps;
        let GraphStatistics { recorded, repeated, obstacle, .. } = engine.backend().graph_statistics();
        assert_eq!(obstacle, None, "{model}");
        // Prompts are read in at most two steps, and each of at most two shapes is computed once before it is recorded.
        assert!(recorded > 0 && repeated + 4 >= steps, "{model}: {recorded}, {repeated} of {steps}");
    }
}

#[test]
fn steps_that_can_not_be_recorded_continue_as_transformers_does_too() {
    for (model, operation) in REFUSED {
        let Some(backend) = with_graphs(model) else { return };
        let mut engine = Engine::new(backend, None, Vec::new(), EngineOptions::default());
        continues(model, 1, &mut engine);
        let GraphStatistics { recorded, repeated, refused, obstacle } = engine.backend().graph_statistics();
        assert_eq!((recorded, repeated, refused), (0, 0, 1), "{model}");
        assert_eq!(obstacle, Some(format!("`{operation}` has no kernel that is recorded")), "{model}");
    }
}

/// Greedy answers to some prompts, each with the adapter that it names.
fn answers(engine: &mut Engine<ModelBackend>, prompts: &[(Vec<u32>, Option<&str>)]) -> Vec<Vec<u32>> {
    let submit = |(prompt, adapter): &(Vec<u32>, Option<&str>)| {
        let answer = Arc::new(Mutex::new(Vec::new()));
        let kept = answer.clone();
        let mut request = Request::new(prompt.clone(), move |output| {
            kept.lock().unwrap().extend(output.tokens);
            true
        });
        request.adapter = adapter.map(str::to_owned);
        request.sampling.temperature = 0.0;
        request.stop.max_tokens = Some(8);
        request.stop.ignore_eos = true;
        engine.submit(request).unwrap();
        answer
    };
    let given: Vec<_> = prompts.iter().map(submit).collect();
    while !engine.is_idle() {
        engine.step();
    }
    given.iter().map(|answer| std::mem::take(&mut *answer.lock().unwrap())).collect()
}

#[test]
fn adapters_are_repeated_as_they_are_and_forgotten_with_their_names() {
    let Some(mut graphs) = with_graphs("qwen2") else { return };
    let context_length = EngineOptions::default().context_length;
    let mut plain = ModelBackend::new(loaded("qwen2"), 100, 16, context_length).unwrap();
    let lora = |name: &str| support::folder("../lora").join(name);
    for backend in [&mut graphs, &mut plain] {
        backend.load_adapter("a", &lora("lora")).unwrap();
        backend.load_adapter("b", &lora("dora")).unwrap();
    }
    let mut engines =
        [graphs, plain].map(|backend| Engine::new(backend, None, Vec::new(), EngineOptions::default()));
    let (prompt, _) = golden("qwen2");
    let prompts: Vec<_> = [None, Some("a"), Some("b"), Some("a"), None]
        .into_iter()
        .zip(3..)
        .map(|(adapter, length)| (prompt[..length].to_vec(), adapter))
        .collect();
    let before = engines.each_mut().map(|engine| answers(engine, &prompts));
    assert_eq!(before[0], before[1]);
    for engine in &mut engines {
        engine.unload_adapter("a").unwrap();
        engine.backend().load_adapter("a", &lora("all_linear")).unwrap();
    }
    let after = engines.each_mut().map(|engine| answers(engine, &prompts));
    assert_eq!(after[0], after[1]);
    assert_ne!(after[0], before[0], "the other adapter of the same name does something else");
    let GraphStatistics { recorded, repeated, refused, .. } = engines[0].backend().graph_statistics();
    assert!(recorded > 1 && repeated > 8 && refused == 0, "{recorded} {repeated} {refused}");
}
