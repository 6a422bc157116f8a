//! Models: what the component computes is what the same code computes natively.

use std::sync::Arc;

use plugin_llama::Llama;
use swift_plugin::testing::{Tokens, forward};
use swift_runtime::{Architecture, AttentionOptions, Limits, NnContext};
use swift_tensor::fused::{self, RotaryTable};
use swift_tensor::{DType, HostNumbers, Result, Tensor, uniform};

use crate::plugin;

/// Qwen3 has everything that the others have, but biases.
const CONFIG: &str = r#"{"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": 8,
    "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6,
    "vocab_size": 10, "attention_bias": true, "rope_theta": 100.0}"#;
const IDS: [u32; 7] = [3, 1, 4, 1, 5, 9, 2];
const LENGTHS: [u32; 2] = [4, 3];

/// The weights of a parameter, the same wherever they are asked for.
fn weights(index: u64, shape: &[u64]) -> Tensor {
    uniform(-0.5, 0.5, shape, DType::F64, index).unwrap()
}

struct Context {
    parameters: Vec<Tensor>,
    table: RotaryTable,
    lengths: Arc<[usize]>,
}

impl Context {
    fn new(architecture: &Architecture) -> Self {
        let table = &architecture.rotary_tables[0];
        let positions: Vec<u32> = LENGTHS.iter().flat_map(|&length| 0..length).collect();
        let parameters =
            (0..).zip(&architecture.parameters).map(|(i, parameter)| weights(i, &parameter.shape));
        Self {
            parameters: parameters.collect(),
            table: RotaryTable::new(
                &table.inverse_frequencies,
                &positions,
                table.scale,
                table.interleaved,
                DType::F64,
            ),
            lengths: LENGTHS.map(|length| length as usize).into(),
        }
    }
}

impl NnContext for Context {
    fn token_count(&self) -> u64 {
        IDS.len() as u64
    }
    fn embedding(&self, parameter: u32) -> Result<Tensor> {
        fused::embedding(&self.parameters[parameter as usize], &HostNumbers::new(IDS.to_vec()))
    }
    fn linear(&self, weight: u32, bias: Option<u32>, x: &Tensor) -> Result<Tensor> {
        let parameter = |index: u32| self.parameters[index as usize].clone();
        fused::linear(
            x,
            &fused::Linear { weight: parameter(weight).into(), bias: bias.map(parameter), adapter: None },
        )
    }
    fn rms_norm(&self, weight: u32, x: &Tensor, epsilon: f64) -> Result<Tensor> {
        fused::rms_norm(x, &self.parameters[weight as usize], epsilon)
    }
    fn rope(&self, _: u32, x: &Tensor) -> Result<Tensor> {
        fused::rope(x, &self.table)
    }
    fn attention(
        &self,
        _: u32,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        options: &AttentionOptions,
    ) -> Result<Tensor> {
        fused::attention(q, k, v, &self.lengths, options)
    }
    fn swiglu(&self, gate: &Tensor, up: &Tensor) -> Result<Tensor> {
        fused::swiglu(gate, up)
    }
}

#[test]
fn llama_computes_what_it_computes_natively() {
    let mut model = plugin("llama").model(&Limits::default()).unwrap();
    assert!(model.supports("Qwen3ForCausalLM", "qwen3").unwrap());
    let architecture = model.load(CONFIG).unwrap();
    let context = Arc::new(Context::new(&architecture));
    let mut hidden: Option<Tensor> = None;
    for stage in 0..architecture.stages {
        hidden = Some(model.forward(stage, hidden.as_ref(), context.clone()).unwrap());
    }
    let logits = context.linear(architecture.head.weight, None, &hidden.unwrap()).unwrap();

    let tokens = Tokens { ids: IDS.to_vec(), lengths: LENGTHS.to_vec() };
    let mut indices = 0..;
    let native = forward(&Llama {}, CONFIG, &tokens, |parameter| {
        Ok(weights(indices.next().unwrap(), &parameter.shape).to_list()?)
    });
    assert_eq!(logits.to_list().unwrap(), native.unwrap().to_list().unwrap());
}

#[test]
fn what_a_configuration_asks_for_in_vain_reaches_the_user() {
    let mut model = plugin("llama").model(&Limits::default()).unwrap();
    let error = model
        .load(&CONFIG.replace("\"vocab_size\": 10", "\"vocab_size\": 10, \"hidden_act\": \"relu\""))
        .unwrap_err();
    assert!(
        error.to_string().contains(
            "`hidden_act` is `relu`, and only `silu`, `gelu` and `gelu_pytorch_tanh` are supported"
        ),
        "{error}"
    );
}
