//! How much memory it takes to load a model. A process of its own, whose peak nothing else has raised.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may stop at the first surprise, helpers of tests too"
)]
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;

use swift_model::{Definition, LoadOptions, Model, Quantisation, Result};
use swift_runtime::{Architecture, Head, NnContext, Parameter, Role};
use swift_tensor::{DType, Device, Tensor};

const SHARDS: u64 = 4;
const TENSORS_OF_A_SHARD: u64 = 4;
/// 16 MiB in `float32`.
const SHAPE: [u64; 2] = [4096, 1024];
const MIB: f64 = (1 << 20) as f64;
/// What small models may take besides: memory that threads work in.
const ROOM: f64 = 4.0 * MIB;

fn names() -> impl Iterator<Item = (u64, String)> {
    (0..SHARDS * TENSORS_OF_A_SHARD)
        .map(|index| (index / TENSORS_OF_A_SHARD, format!("layers.{index}.weight")))
}

/// Weights and nothing to compute with them.
struct Weights;

impl Definition for Weights {
    fn supports(&mut self, _architecture: &str, _model_type: &str) -> Result<bool> {
        Ok(true)
    }

    fn load(&mut self, _config_json: &str) -> Result<Architecture> {
        let parameter = |(_, name)| Parameter { name, shape: SHAPE.to_vec(), role: Role::Column, stage: 0 };
        Ok(Architecture {
            name: "weights".into(),
            hidden_size: SHAPE[1],
            vocab_size: SHAPE[0],
            stages: 1,
            parameters: names().map(parameter).collect(),
            ignored: vec![],
            rotary_tables: vec![],
            untrained: Vec::new(),
            full_precision: Vec::new(),
            longest_sequence: None,
            stacks: Vec::new(),
            head: Head { weight: 0, bias: None, soft_cap: None, normalised: false },
            cache_layers: 0,
            kv_heads: 1,
            head_dim: 2,
            cached_values: None,
        })
    }

    fn forward(
        &mut self,
        _stage: u32,
        _input: Option<&Tensor>,
        _context: Arc<dyn NnContext>,
    ) -> Result<Tensor> {
        panic!("nothing is computed")
    }
}

/// Writes the shards without holding them in memory.
fn write(folder: &Path) {
    let bytes = SHAPE.iter().product::<u64>() * 4;
    let mut map = Vec::new();
    for shard in 0..SHARDS {
        let file = format!("model-{shard}.safetensors");
        let mut header = Vec::new();
        for (place, (_, name)) in (0u64..).zip(names().filter(|(of, _)| *of == shard)) {
            let (start, end) = (place * bytes, (place + 1) * bytes);
            header.push(format!(
                r#""{name}":{{"dtype":"F32","shape":{SHAPE:?},"data_offsets":[{start},{end}]}}"#
            ));
            map.push(format!(r#""{name}":"{file}""#));
        }
        let header = format!("{{{}}}", header.join(","));
        let mut out = BufWriter::new(File::create(folder.join(&file)).unwrap());
        out.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
        out.write_all(header.as_bytes()).unwrap();
        for index in 0..TENSORS_OF_A_SHARD * bytes / 4 {
            out.write_all(&(index as f32).to_le_bytes()).unwrap();
        }
        out.flush().unwrap();
    }
    let index = format!(r#"{{"weight_map":{{{}}}}}"#, map.join(","));
    fs::write(folder.join("model.safetensors.index.json"), index).unwrap();
    fs::write(folder.join("config.json"), r#"{"architectures":["Weights"]}"#).unwrap();
}

/// The value of a line of `/proc/self/status`, in bytes.
fn status(key: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<f64>().unwrap() * 1024.0
}

/// All loads are in one test, since a process has one peak: the smallest goes first.
#[test]
fn a_model_in_shards_is_loaded_with_a_tenth_more_memory_than_it_takes() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let elements = (SHARDS * TENSORS_OF_A_SHARD * SHAPE.iter().product::<u64>()) as f64;
    let kinds =
        [(DType::BF16, Some(Quantisation::Nf4 { double: true })), (DType::BF16, None), (DType::F32, None)];
    for (dtype, quantisation) in kinds {
        let before = status("VmRSS:");
        let options = LoadOptions { dtype, device: Device::Cpu, quantisation };
        let model = Model::load(folder.path(), Weights, &options).unwrap();
        let (taken, size) = (status("VmHWM:") - before, model.weight_bytes() as f64);
        println!("{dtype:?} {quantisation:?}: {:.0} MiB at most for {:.0} MiB", taken / MIB, size / MIB);
        assert!(taken >= 0.9 * size, "{taken} bytes cannot hold {size}");
        assert!(taken <= 1.1 * size + ROOM, "{:.0} MiB for {:.0}", taken / MIB, size / MIB);
        let bytes = match quantisation {
            Some(Quantisation::Nf4 { .. }) => 0.5 + 1.0 / 64.0 + 4.0 / (64.0 * 256.0),
            _ => dtype.size_in_bytes() as f64,
        };
        assert!((size - elements * bytes).abs() < 1.0, "{size} bytes for {elements} elements");
        drop(model);
    }
}
