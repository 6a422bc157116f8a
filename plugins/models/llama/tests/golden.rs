//! Logits of every member of the family, against those of transformers.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may stop at the first surprise; helpers outside of test functions are not recognised"
)]

use std::path::Path;

use plugin_llama::Llama;
use safetensors::{SafeTensors, tensor::TensorView};
use swift_plugin::testing::{Tokens, forward};

fn floats(view: &TensorView<'_>) -> Vec<f64> {
    let (values, _) = view.data().as_chunks::<4>();
    values.iter().map(|bytes| f32::from_le_bytes(*bytes).into()).collect()
}

fn integers(view: &TensorView<'_>) -> Vec<i64> {
    let (values, _) = view.data().as_chunks::<8>();
    values.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect()
}

/// Runs the model of a golden folder on the two packed sequences of its file; the largest difference of the logits.
fn difference(model: &str, config: &str) -> f64 {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/golden/models")).join(model);
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let (weights, golden) = (read("model.safetensors"), read("golden.safetensors"));
    let (weights, golden) =
        (SafeTensors::deserialize(&weights).unwrap(), SafeTensors::deserialize(&golden).unwrap());

    let ids = integers(&golden.tensor("input_ids").unwrap());
    let mask = integers(&golden.tensor("attention_mask").unwrap());
    let ids = ids.iter().zip(&mask).filter(|(_, mask)| **mask == 1).map(|(id, _)| *id as u32).collect();
    let lengths = mask.chunks(24).map(|row| row.iter().sum::<i64>() as u32).collect();
    let config = String::from_utf8(read(config)).unwrap();
    let logits = forward(&Llama {}, &config, &Tokens { ids, lengths }, |parameter| {
        let view = weights.tensor(&parameter.name)?;
        assert_eq!(view.shape().iter().map(|&size| size as u64).collect::<Vec<_>>(), parameter.shape);
        Ok(floats(&view))
    });
    let logits = logits.unwrap().to_list().unwrap();

    let expected = floats(&golden.tensor("logits").unwrap());
    let vocabulary = expected.len() / mask.len();
    let expected =
        expected.chunks(vocabulary).zip(&mask).filter(|(_, mask)| **mask == 1).flat_map(|(row, _)| row);
    assert_eq!(logits.len(), mask.iter().sum::<i64>() as usize * vocabulary);
    logits.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn logits_are_those_of_transformers_whichever_way_the_configuration_is_spelt() {
    for model in ["llama", "llama_tied", "mistral", "qwen2", "qwen3"] {
        for config in ["config.json", "config_v4.json"] {
            let difference = difference(model, config);
            assert!(difference < 1e-4, "{model} with {config}: {difference}");
        }
    }
}
