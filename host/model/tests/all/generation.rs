//! Sequences that continue from a cache get what they would get whole.

use std::path::Path;
use std::sync::Arc;

use swift_model::{AdapterOptions, Continuation, Model, ServedAdapter, Tokens};
use swift_tensor::fused::{PagedBatch, PagedTokens};
use swift_tensor::{DType, uniform};

use crate::adapters;
use crate::families::{self, folder};
use crate::golden::{self, PLAIN, flat, path, worst};

const BLOCK_SIZE: usize = 4;

/// As many tokens as no sequence here has.
const LONGEST: usize = 1000;

/// A sequence by its tokens and adapter.
pub(crate) struct Sequence<'a> {
    pub(crate) ids: Vec<u32>,
    pub(crate) adapter: Option<&'a ServedAdapter>,
}

fn ids(seed: u32, count: u32) -> Vec<u32> {
    (0..count).map(|i| (i * i * 7 + seed * i * 3 + seed) % 300 + 3).collect()
}

/// Hidden states of all tokens, in steps of at most `most` tokens of each sequence.
pub(crate) fn in_steps(
    model: &Model,
    sequences: &[Sequence<'_>],
    most: usize,
    longest: usize,
) -> Vec<Vec<f64>> {
    let cache = model.new_cache(64, BLOCK_SIZE).unwrap();
    let mut free: Vec<u32> = (0..64).collect();
    let tables: Vec<Vec<u32>> = sequences
        .iter()
        .map(|sequence| (0..sequence.ids.len().div_ceil(BLOCK_SIZE)).map(|_| free.pop().unwrap()).collect())
        .collect();
    let mut done = vec![0; sequences.len()];
    let mut hidden = vec![Vec::new(); sequences.len()];
    while sequences.iter().zip(&done).any(|(sequence, done)| *done < sequence.ids.len()) {
        let mut step =
            Continuation { ids: Vec::new(), sequences: PagedBatch::default(), adapters: Vec::new(), longest };
        let mut parts = Vec::new();
        for (index, sequence) in sequences.iter().enumerate() {
            let count = most.min(sequence.ids.len() - done[index]);
            let length = done[index] + count;
            step.ids.extend(&sequence.ids[done[index]..length]);
            step.sequences.sequences.push(PagedTokens { count, length, blocks: tables[index].clone() });
            step.adapters.push((count, sequence.adapter));
            parts.push(count);
            done[index] = length;
        }
        let states = flat(model.forward_cached(&cache, step).unwrap().value());
        let width = states.len() / parts.iter().sum::<usize>();
        let mut rest = states.as_slice();
        for (hidden, count) in hidden.iter_mut().zip(parts) {
            let (part, after) = rest.split_at(count * width);
            hidden.extend(part);
            rest = after;
        }
    }
    hidden
}

/// Hidden states of one sequence as training computes them.
pub(crate) fn whole(model: &Model, ids: &[u32]) -> Vec<f64> {
    let count = ids.len() as u32;
    let tokens = Tokens { ids: ids.to_vec(), position_ids: (0..count).collect(), lengths: vec![count] };
    flat(model.forward(&tokens, PLAIN).unwrap().value())
}

#[test]
fn hidden_states_do_not_depend_on_steps() {
    for folder in ["models/llama", "models/mistral", "models/qwen3"] {
        let model = golden::load(&path(folder), DType::F64);
        let sequences =
            [(1, 13), (2, 1), (3, 30)].map(|(seed, count)| Sequence { ids: ids(seed, count), adapter: None });
        for most in [1, 2, 5, 64] {
            for (got, sequence) in in_steps(&model, &sequences, most, LONGEST).iter().zip(&sequences) {
                assert!(worst(got, &whole(&model, &sequence.ids)) < 1e-10, "{folder} {most}");
            }
        }
    }
}

#[test]
fn all_keys_of_a_cache_are_rotated_as_those_of_its_longest_sequence_are() {
    // Both rotate sequences of up to 14 tokens as short ones.
    for (name, plugin) in [("phi3_longrope", "phi3"), ("llama_dynamic", "llama")] {
        let (model, _) = families::load(&folder(name), plugin, DType::F64).unwrap();
        assert_eq!(model.architecture().short_sequence(), Some(14));
        let tokens = ids(4, 20).into_iter().map(|id| id % 64).collect::<Vec<_>>();
        let one = |count: usize| [Sequence { ids: tokens[..count].to_vec(), adapter: None }];
        for (count, longest) in [(14, 14), (20, 20)] {
            let expected = whole(&model, &tokens[..count]);
            for most in [1, 7, 64] {
                let got = in_steps(&model, &one(count), most, longest);
                assert!(worst(&got[0], &expected) < 1e-10, "{name} {count} {most}");
            }
        }
        // A short sequence beside longer ones is another than one alone.
        let beside = in_steps(&model, &one(14), 64, 20);
        assert!(worst(&beside[0], &whole(&model, &tokens[..14])) > 1e-3, "{name}");
    }
}

fn adapted(adapter: Option<&Path>) -> Model {
    let mut model = golden::load(&path("models/qwen2"), DType::F64);
    if let Some(adapter) = adapter {
        model.load_adapter(adapter, false).unwrap();
    }
    model
}

#[test]
fn each_sequence_of_a_step_gets_its_own_adapter() {
    let folders = [None, Some("lora/lora"), Some("lora/dora"), Some("lora/all_linear"), None];
    let folders = folders.map(|folder| folder.map(path));
    let base = adapted(None);
    let read =
        folders.each_ref().map(|folder| folder.as_ref().map(|folder| base.read_adapter(folder).unwrap()));
    let sequences: Vec<_> = read
        .iter()
        .zip(1..)
        .map(|(adapter, seed)| Sequence { ids: ids(seed, 5 + 3 * seed), adapter: adapter.as_ref() })
        .collect();
    for most in [1, 64] {
        let got = in_steps(&base, &sequences, most, LONGEST);
        for ((got, sequence), folder) in got.iter().zip(&sequences).zip(&folders) {
            let expected = whole(&adapted(folder.as_deref()), &sequence.ids);
            assert!(worst(got, &expected) < 1e-10, "{folder:?} {most}");
        }
    }
    let plain = whole(&base, &sequences[1].ids);
    assert!(worst(&in_steps(&base, &sequences, 64, LONGEST)[1], &plain) > 1e-3, "the adapter does nothing");
}

#[test]
fn a_step_that_does_not_fit_is_refused() {
    let model = adapted(None);
    let cache = model.new_cache(2, BLOCK_SIZE).unwrap();
    let run = |count, length, blocks: &[u32], adapted| {
        let sequences = vec![PagedTokens { count, length, blocks: blocks.to_vec() }];
        let step = Continuation {
            ids: vec![3; count],
            sequences: PagedBatch { sequences },
            adapters: vec![(adapted, None)],
            longest: LONGEST,
        };
        model.forward_cached(&cache, step).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(run(3, 3, &[0], 3), Ok(()));
    let short = run(5, 5, &[0], 5).unwrap_err();
    assert!(short.contains("a sequence has more tokens than its blocks hold"), "{short}");
    let absent = run(1, 1, &[2], 1).unwrap_err();
    assert!(absent.contains("the cache has 2 blocks"), "{absent}");
    let adapters = run(3, 3, &[0], 2).unwrap_err();
    assert!(adapters.ends_with("names adapters for another number of tokens than it has"), "{adapters}");
    assert!(Arc::strong_count(&cache) == 1);
}

fn latent() -> Model {
    families::load(&folder("deepseek_v3"), "deepseek", DType::F64).unwrap().0
}

#[test]
fn a_cache_of_what_keys_and_values_are_made_of_gives_what_keys_and_values_give() {
    let model = latent();
    let sequences =
        [(1, 13), (2, 1), (3, 30)].map(|(seed, count)| Sequence { ids: ids(seed, count), adapter: None });
    for most in [1, 5, 64] {
        for (got, sequence) in in_steps(&model, &sequences, most, LONGEST).iter().zip(&sequences) {
            assert!(worst(got, &whole(&model, &sequence.ids)) < 1e-10, "{most}");
        }
    }
}

#[test]
fn a_token_takes_as_much_of_the_cache_as_what_its_keys_and_values_are_made_of() {
    let bytes = |model: &Model| model.cache_shape(1, 1).block_bytes(DType::F32);
    // Three layers of 16 components for all heads and 8 rotated ones. Keys and values would be 4 heads of 20 and 14.
    assert_eq!(bytes(&latent()), 3 * (16 + 8) * 4);
    // Two layers of two heads, whose keys and values are 16 wide.
    let architecture = golden::load(&path("models/llama"), DType::F32);
    let architecture = architecture.architecture();
    let head = (architecture.cache_layers * architecture.kv_heads * architecture.head_dim) as usize;
    assert_eq!(bytes(&golden::load(&path("models/llama"), DType::F32)), 2 * head * 4);
}

#[test]
fn adapters_work_on_what_the_cache_does_not_hold() {
    let trained = |options: Option<AdapterOptions>| {
        let mut model = latent();
        if let Some(options) = options {
            model.attach_adapter(&options).unwrap();
            for parameter in model.parameters().iter().filter(|parameter| parameter.adapter_b) {
                let shape: Vec<u64> = parameter.value.dims().iter().map(|&size| size as u64).collect();
                let values = uniform(-0.1, 0.1, &shape, parameter.value.dtype(), 7).unwrap();
                parameter.value.slice_set(values.value(), 0, 0).unwrap();
            }
            model.parameters_changed();
        }
        model
    };
    let models = [Some(adapters::options(false)), None, Some(adapters::options(true))].map(trained);
    let served = models.each_ref().map(Model::own_adapter);
    let sequences: Vec<_> = served
        .iter()
        .zip(1..)
        .map(|(adapter, seed)| Sequence { ids: ids(seed, 9), adapter: adapter.as_ref() })
        .collect();
    for most in [1, 64] {
        for ((got, sequence), model) in
            in_steps(&models[1], &sequences, most, LONGEST).iter().zip(&sequences).zip(&models)
        {
            assert!(worst(got, &whole(model, &sequence.ids)) < 1e-9, "{most}");
        }
    }
    let plain = whole(&models[1], &sequences[0].ids);
    assert!(
        worst(&in_steps(&models[1], &sequences, 64, LONGEST)[0], &plain) > 1e-3,
        "the adapter does nothing"
    );
}
