use std::collections::BTreeMap;

use swift_plugin::testing::{Tokens, forward};

use super::*;

const HIDDEN: usize = 8;
const HEAD_DIM: usize = 4;

fn config(member: &str, members: &str) -> String {
    format!(
        r#"{{"architectures": ["Cohere{member}ForCausalLM"], "model_type": "cohere{member}", "hidden_size": {HIDDEN},
            "intermediate_size": 6, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
            "vocab_size": 10, "layer_norm_eps": 1e-5, "logit_scale": 0.25, "rope_theta": 100.0{members}}}"#
    )
}

fn load(member: &str, members: &str) -> Result<(Architecture, Network)> {
    Cohere {}.load(&config(member, members))
}

/// Elements that follow from the name.
fn elements(parameter: &ModelParameter) -> Vec<f64> {
    let seed =
        parameter.name.bytes().fold(7u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
    let count = parameter.shape.iter().product::<u64>();
    (0..count).map(|i| ((seed % 1000 + 13 * i) as f64).sin() * 0.7).collect()
}

/// The model written out with plain loops: one norm for both parts of a layer, neighbours
/// rotated, causal attention with a window. `layers` has the window of each layer and whether it rotates.
struct ByHand {
    parameters: BTreeMap<String, Vec<f64>>,
    layers: [(Option<usize>, bool); 2],
}

impl ByHand {
    fn new(member: &str, members: &str, layers: [(Option<usize>, bool); 2]) -> Self {
        let (architecture, _) = load(member, members).unwrap();
        let parameters = architecture.parameters.iter();
        Self { parameters: parameters.map(|each| (each.name.clone(), elements(each))).collect(), layers }
    }

    fn norm(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
        x.iter().zip(&self.parameters[name]).map(|(x, w)| (x - mean) / (variance + 1e-5).sqrt() * w).collect()
    }

    fn linear(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let rows = self.parameters[name].chunks(x.len());
        rows.map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
    }

    fn rotate(x: &mut [f64], position: usize) {
        for head in x.chunks_mut(HEAD_DIM) {
            for (pair, frequency) in [1.0, 0.1].into_iter().enumerate() {
                let (sin, cos) = (position as f64 * frequency).sin_cos();
                let (a, b) = (head[2 * pair], head[2 * pair + 1]);
                (head[2 * pair], head[2 * pair + 1]) = (a * cos - b * sin, b * cos + a * sin);
            }
        }
    }

    fn layer(&self, index: usize, hidden: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let (window, rotates) = self.layers[index];
        let name = |part: &str| format!("model.layers.{index}.{part}.weight");
        let x: Vec<_> = hidden.iter().map(|x| self.norm(&name("input_layernorm"), x)).collect();
        let projected = |part: &str, rotates: bool| -> Vec<Vec<f64>> {
            let mut all: Vec<_> = x.iter().map(|x| self.linear(&name(part), x)).collect();
            all.iter_mut()
                .enumerate()
                .filter(|_| rotates)
                .for_each(|(position, x)| Self::rotate(x, position));
            all
        };
        let (q, k) = (projected("self_attn.q_proj", rotates), projected("self_attn.k_proj", rotates));
        let v = projected("self_attn.v_proj", false);
        let token = |t: usize| {
            let first = window.map_or(0, |window| (t + 1).saturating_sub(window));
            let heads = q[t].chunks(HEAD_DIM).flat_map(|q| {
                let score = |s: usize| q.iter().zip(&k[s]).map(|(a, b)| a * b).sum::<f64>() / 2.0;
                let shares: Vec<f64> = (first..=t).map(|s| score(s).exp()).collect();
                let total: f64 = shares.iter().sum();
                let mixed =
                    |i: usize| (first..=t).zip(&shares).map(|(s, share)| share * v[s][i]).sum::<f64>();
                (0..HEAD_DIM).map(|i| mixed(i) / total).collect::<Vec<_>>()
            });
            let mixed = self.linear(&name("self_attn.o_proj"), &heads.collect::<Vec<_>>());
            let (gate, up) =
                (self.linear(&name("mlp.gate_proj"), &x[t]), self.linear(&name("mlp.up_proj"), &x[t]));
            let active: Vec<f64> = gate.iter().zip(up).map(|(g, up)| g / (1.0 + (-g).exp()) * up).collect();
            let output = self.linear(&name("mlp.down_proj"), &active);
            (0..HIDDEN).map(|i| hidden[t][i] + mixed[i] + output[i]).collect()
        };
        (0..hidden.len()).map(token).collect()
    }

    fn logits(&self, ids: &[u32]) -> Vec<f64> {
        let table = &self.parameters["model.embed_tokens.weight"];
        let hidden: Vec<_> = ids.iter().map(|&id| table[id as usize * HIDDEN..][..HIDDEN].to_vec()).collect();
        let hidden = self.layer(1, &self.layer(0, &hidden));
        let last = hidden.iter().map(|x| self.norm("model.norm.weight", x));
        last.flat_map(|x| self.linear("model.embed_tokens.weight", &x)).map(|logit| 0.25 * logit).collect()
    }
}

fn compare(member: &str, members: &str, layers: [(Option<usize>, bool); 2]) {
    let ids = [3, 1, 4, 1, 5];
    let tokens = Tokens { ids: ids.to_vec(), lengths: vec![ids.len() as u32] };
    let got = forward(&Cohere {}, &config(member, members), &tokens, |parameter| Ok(elements(parameter)));
    let (got, want) = (got.unwrap().to_list().unwrap(), ByHand::new(member, members, layers).logits(&ids));
    assert_eq!(got.len(), want.len());
    let worst = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(worst < 1e-10, "{worst:e}");
}

#[test]
fn the_first_generation_computes_what_its_formulas_say() {
    compare("", "", [(None, true), (None, true)]);
}

#[test]
fn the_second_generation_has_windows_and_does_not_rotate_in_full_layers() {
    let members = r#", "sliding_window": 2, "sliding_window_pattern": 2"#;
    compare("2", members, [(Some(2), true), (None, false)]);
    let types = r#", "sliding_window": 3, "layer_types": ["full_attention", "sliding_attention"]"#;
    compare("2", types, [(None, false), (Some(3), true)]);
}

#[test]
fn heads_are_tied_and_what_is_not_implemented_is_named() {
    assert_eq!(load("", "").unwrap().0.head.weight, 0);
    let error = |members: &str| load("2", members).err().unwrap().message().to_owned();
    assert_eq!(error(r#", "use_qk_norm": true"#), "`use_qk_norm` is true, which is not supported");
    assert_eq!(error(r#", "sliding_window": -1"#), "`sliding_window` is -1, not above 0");
    assert_eq!(error(r#", "sliding_window_pattern": 0"#), "`sliding_window_pattern` is 0");
}
