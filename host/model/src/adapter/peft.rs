//! Adapters on disk, as PEFT reads and writes them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;
use swift_runtime::Architecture;
use swift_tensor::{DType, Device};

use super::Adapter;
use super::config::AdapterConfig;
use super::layer::{A, B, Layer, MAGNITUDE, Matrices};
use super::target::{self, Module};
use crate::config::{read_object, require_folder};
use crate::score_head::{Place, ScoreHead};
use crate::weights::{Expected, read_tensors};
use crate::write::{write_file, write_tensors};
use crate::{Error, Result};

const CONFIG_FILE: &str = "adapter_config.json";
const WEIGHTS_FILE: &str = "adapter_model.safetensors";
/// What PEFT puts before the names of a model.
pub(crate) const PREFIX: &str = "base_model.model.";
/// What ms-swift writes besides.
const ADDITIONAL_FILE: &str = "additional_config.json";
const ADDITIONAL_TEXT: &str = r#"{"lora_dtype": null, "lorap_lr_ratio": null, "lorap_emb_lr": 1e-06}"#;

/// The file with the weights of the adapter in `folder`.
pub(crate) fn adapter_weights(folder: &Path) -> PathBuf {
    folder.join(WEIGHTS_FILE)
}

/// The name of a parameter of an adapter in PEFT's files.
pub(crate) fn name_of(module: &Module, end: &str) -> String {
    format!("{PREFIX}{}.{end}", module.name)
}

impl Adapter {
    /// Reads the adapter in `folder`, which must be one of a model with this architecture.
    ///
    /// # Errors
    /// If a file is missing or broken, or the adapter is of a kind that is not supported or does not fit the model.
    pub(crate) fn read(
        folder: &Path,
        trainable: bool,
        architecture: &Architecture,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        // Whoever wants the head asks for it.
        let (config, _) = Self::read_config(folder, false)?;
        Self::read_layers(folder, config, trainable, architecture, dtype, device, &[Place::Adapter.name()])
    }

    /// Reads `adapter_config.json`, and which modules it says are saved whole beside the adapter. Where those are not
    /// wanted, only a score head may be.
    ///
    /// # Errors
    /// If the file is missing or broken, or the adapter is of a kind that is not supported.
    pub(crate) fn read_config(folder: &Path, with_modules: bool) -> Result<(AdapterConfig, Vec<String>)> {
        require_folder(folder)?;
        let path = folder.join(CONFIG_FILE);
        let mut entries = read_object(&path)?;
        let mut modules = Vec::new();
        if with_modules && let Some(Value::Array(names)) = entries.remove("modules_to_save") {
            modules = names.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        }
        Ok((AdapterConfig::from_entries(&path, &entries)?, modules))
    }

    /// Reads the layers that `config` says; `besides` are patterns of names of other tensors that may be in the file.
    ///
    /// # Errors
    /// If the file is missing or broken, or does not fit the model.
    pub(crate) fn read_layers(
        folder: &Path,
        config: AdapterConfig,
        trainable: bool,
        architecture: &Architecture,
        dtype: DType,
        device: &Device,
        besides: &[String],
    ) -> Result<Self> {
        let modules = target::select(architecture, &config)?;
        let expected: Vec<Expected> = modules.iter().flat_map(|module| shapes(&config, module)).collect();
        let path = adapter_weights(folder);
        let mut values =
            read_tensors(&path, std::slice::from_ref(&path), &expected, besides, dtype, device)?.into_iter();
        let mut next = || values.next().ok_or_else(|| Error::AdapterSetting("tensors are incomplete".into()));
        let dora = config.dora;
        Self::assemble(config, trainable, architecture, modules, |_| {
            Ok(Matrices { a: next()?, b: next()?, magnitude: dora.then(&mut next).transpose()? })
        })
    }

    /// Writes the adapter into `folder`, with the head on top of it if there is one. `base_model` is the name under which
    /// PEFT finds the base model.
    ///
    /// # Errors
    /// If a file can't be written.
    pub(crate) fn write(
        &self,
        folder: &Path,
        architecture: &Architecture,
        base_model: &str,
        head: Option<&ScoreHead>,
    ) -> Result<()> {
        let named = |layer: &Layer| {
            let parameters =
                layer.parameters().map(|(_, end, value)| (name_of(layer.module(), end), value.clone()));
            parameters.collect::<Vec<_>>()
        };
        let head_weight = head.map(|head| (Place::Adapter.name(), head.weight.clone()));
        let tensors: BTreeMap<_, _> = self.layers.iter().flat_map(named).chain(head_weight).collect();
        write_tensors(&adapter_weights(folder), &tensors)?;
        let modules = self.layers.iter().map(Layer::module).filter(|module| !module.by_parameter);
        let modules: BTreeSet<&str> = modules.map(|module| module.name.as_str()).collect();
        let targets = target::describe(architecture, &modules);
        let config = self.config.to_text(base_model, &targets, head.is_some());
        write_file(&folder.join(CONFIG_FILE), |file| file.write_all(config.as_bytes()))?;
        write_file(&folder.join(ADDITIONAL_FILE), |file| file.write_all(ADDITIONAL_TEXT.as_bytes()))
    }
}

/// The tensors of one layer, in the order of [`Matrices`].
fn shapes(config: &AdapterConfig, module: &Module) -> Vec<Expected> {
    let rank = config.rank_of(module.key()) * module.layers();
    let magnitude = config.dora.then(|| (MAGNITUDE, vec![module.outputs]));
    let shapes =
        [(A, vec![rank, module.inputs]), (B, vec![module.outputs, rank])].into_iter().chain(magnitude);
    shapes.map(|(end, shape)| Expected { name: name_of(module, end), shape }).collect()
}
