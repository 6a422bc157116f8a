//! Golden files and comparisons with them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use swift_model::{ForwardOptions, LoadOptions, Model, Outputs, Tokens};
use swift_runtime::OutputsView;
use swift_tensor::{DType, Device, GradientSink, ParameterId, Result, Tensor, Value, backward};

use crate::native::NativeLlama;

/// A folder of golden files.
pub(crate) fn path(relative: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden")).join(relative)
}

pub(crate) fn load(folder: &Path, dtype: DType) -> Model {
    try_load(folder, dtype).unwrap()
}

pub(crate) fn try_load(folder: &Path, dtype: DType) -> swift_model::Result<Model> {
    Model::load(
        folder,
        NativeLlama::default(),
        &LoadOptions { dtype, device: Device::Cpu, quantisation: None },
    )
}

/// The tensors of a safetensors file.
pub(crate) fn tensors(file: &Path) -> BTreeMap<String, Value> {
    candle_core::safetensors::load(file, &Device::Cpu).unwrap().into_iter().collect()
}

/// Inputs of a golden file as a packed batch, and where each packed token was.
pub(crate) struct Batch {
    pub(crate) tokens: Tokens,
    /// The token to predict at each position.
    pub(crate) labels: Vec<i64>,
    /// Row and column of each token in the padded batch.
    pub(crate) places: Vec<(usize, usize)>,
}

impl Batch {
    pub(crate) fn from(golden: &BTreeMap<String, Value>) -> Self {
        let rows = |name: &str| golden[name].to_vec2::<i64>().unwrap();
        let (ids, mask, labels) = (rows("input_ids"), rows("attention_mask"), rows("labels"));
        let mut batch = Self { tokens: Tokens::default(), labels: Vec::new(), places: Vec::new() };
        for (row, mask) in mask.iter().enumerate() {
            let length = mask.iter().sum::<i64>() as usize;
            batch.tokens.lengths.push(length as u32);
            for column in 0..length {
                batch.tokens.ids.push(ids[row][column] as u32);
                batch.tokens.position_ids.push(column as u32);
                batch.labels.push(if column + 1 < length { labels[row][column + 1] } else { -100 });
                batch.places.push((row, column));
            }
        }
        batch
    }

    /// The number of labels.
    pub(crate) fn count(&self) -> usize {
        self.labels.iter().filter(|label| **label != -100).count()
    }
}

pub(crate) const PLAIN: ForwardOptions =
    ForwardOptions { adapters: true, dropout_seed: None, recompute: false };

pub(crate) fn outputs(model: &Model, batch: &Batch, options: ForwardOptions) -> Outputs {
    let hidden = model.forward(&batch.tokens, options).unwrap();
    Outputs::new(model, hidden, &batch.labels, &batch.tokens.lengths).unwrap()
}

/// Mean cross entropy over the labels.
pub(crate) fn loss(outputs: &Outputs, batch: &Batch) -> Tensor {
    outputs.token_logps().unwrap().sum(&[], false).unwrap().scale(-1.0 / batch.count() as f64).unwrap()
}

/// Sums gradients by parameter.
#[derive(Default)]
pub(crate) struct Gradients(pub(crate) BTreeMap<ParameterId, Value>);

impl GradientSink for Gradients {
    fn accumulate(&mut self, id: ParameterId, gradient: &Value) -> Result<()> {
        let sum = match self.0.get(&id) {
            Some(sum) => (sum + gradient)?,
            None => gradient.clone(),
        };
        self.0.insert(id, sum);
        Ok(())
    }
}

/// Gradients of `loss` by the names of parameters.
pub(crate) fn gradients(model: &Model, loss: &Tensor) -> BTreeMap<String, Vec<f64>> {
    let mut sink = Gradients::default();
    backward(loss, &mut sink).unwrap();
    let named = model.parameters().into_iter().filter_map(|parameter| {
        let gradient = sink.0.remove(&parameter.id)?;
        assert_eq!(gradient.dims(), parameter.value.dims(), "{}", parameter.name);
        Some((parameter.name, flat(&gradient)))
    });
    named.collect()
}

pub(crate) fn flat(value: &Value) -> Vec<f64> {
    value.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

pub(crate) fn scalar(value: &Value) -> f64 {
    flat(value)[0]
}

pub(crate) fn worst(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    // `max` would pass over a NaN.
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |worst, x| if x <= worst { worst } else { x })
}

/// Compares logits, loss and gradients of `model` with a golden file, at the tolerances stated for float32.
pub(crate) fn compare(model: &Model, golden: &BTreeMap<String, Value>, options: ForwardOptions) {
    let batch = Batch::from(golden);
    let outputs = outputs(model, &batch, options);
    compare_logits(&outputs, &batch, &golden["logits"]);
    let loss = loss(&outputs, &batch);
    let difference = (scalar(loss.value()) - scalar(&golden["loss"])).abs();
    assert!(difference <= 1e-5, "loss is off by {difference:e}");
    let mut gradients = gradients(model, &loss);
    for (name, expected) in
        golden.iter().filter_map(|(name, value)| Some((name.strip_prefix("grad.")?, value)))
    {
        let got = gradients.remove(name).unwrap_or_else(|| panic!("`{name}` got no gradient"));
        let expected = flat(expected);
        let largest = expected.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
        let difference = worst(&got, &expected);
        assert!(
            difference <= 1e-4 * largest + 2e-7,
            "gradient of `{name}` is off by {difference:e} of {largest:e}"
        );
    }
    assert!(gradients.is_empty(), "no golden gradients of {:?}", gradients.keys());
}

pub(crate) fn compare_logits(outputs: &Outputs, batch: &Batch, expected: &Value) {
    let expected = expected.to_vec3::<f32>().unwrap();
    let got = outputs.logits().unwrap().value().to_dtype(DType::F64).unwrap().to_vec2::<f64>().unwrap();
    for (got, &(row, column)) in got.iter().zip(&batch.places) {
        let expected: Vec<f64> = expected[row][column].iter().map(|&x| x.into()).collect();
        let difference = worst(got, &expected);
        assert!(difference <= 1e-4, "logits at {row}, {column} are off by {difference:e}");
    }
}
