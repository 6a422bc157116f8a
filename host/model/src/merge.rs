//! A model and an adapter as one model that needs no adapter.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use safetensors::Dtype;
use swift_runtime::Architecture;
use swift_tensor::{DType, Device, Tensor, Value};

use crate::adapter::{Adapter, PREFIX, adapter_weights};
use crate::config::CONFIG_FILE;
use crate::network::validate;
use crate::save::{copy_companions, write_index};
use crate::score_head;
use crate::weights::{Stored, WEIGHTS_FILE, open, tensors_of, weight_files};
use crate::write::{Planned, stored_type, write_elements, write_file, write_planned};
use crate::{Definition, Error, ModelConfig, Result};

/// How a merged model is written.
#[derive(Clone, Debug)]
pub struct MergeOptions {
    /// The element type of all weights; each keeps its own when none.
    pub dtype: Option<DType>,
    /// The most bytes of one weights file.
    pub shard_bytes: usize,
}

impl Default for MergeOptions {
    /// As transformers and ms-swift write models: types are kept, and files have at most 5 GB.
    fn default() -> Self {
        Self { dtype: None, shard_bytes: 5_000_000_000 }
    }
}

/// What came of merging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merged {
    /// Weights that the adapter changed.
    pub changed: usize,
    /// Weights that lie whole beside the adapter and took the place of the model's own.
    pub replaced: usize,
    /// All tensors.
    pub tensors: usize,
    /// Bytes of all tensors.
    pub bytes: usize,
}

/// Where a tensor of the merged model comes from.
enum Source<'a> {
    /// The model, maybe changed by the adapter.
    Model(&'a Stored<'a>),
    /// The adapter's file.
    Adapter(&'a Stored<'a>),
}

/// Writes the model in `folder` with the adapter in `adapter` in its weights into the new folder `output`, with the
/// tokeniser's files: `W + s B A`, for DoRA with rows scaled (Hu et al. 2021, section 4.1; Liu et al. 2024, equation 5). What
/// PEFT saved whole (`modules_to_save`) takes the place of the model's own. Sums are formed in `float32`, or in `float64` if
/// the weight is, and rounded once. One matrix at a time is in memory, and `output` is there as a whole or not at all.
///
/// # Errors
/// If a file is missing or broken, the adapter does not fit, `output` is there already, or it can't be written.
pub fn merge_adapter(
    folder: &Path,
    adapter: &Path,
    mut definition: impl Definition,
    output: &Path,
    options: &MergeOptions,
) -> Result<Merged> {
    let config = ModelConfig::read(folder)?;
    let architecture = definition.load(config.text())?;
    validate(&architecture)?;
    if std::fs::read_dir(output).is_ok_and(|mut entries| entries.next().is_some()) || output.is_file() {
        let cause = std::io::Error::new(std::io::ErrorKind::AlreadyExists, "it is there already");
        return Err(Error::Write { path: output.into(), cause });
    }
    let mut name = output.file_name().unwrap_or_default().to_os_string();
    name.push(".partial");
    let beside = output.with_file_name(name);
    // What an earlier attempt left, which did not come to its end.
    if beside.exists() {
        std::fs::remove_dir_all(&beside).map_err(Error::write(&beside))?;
    }
    std::fs::create_dir_all(&beside).map_err(Error::write(&beside))?;
    let written = write_merged(&config, adapter, &architecture, &beside, options).and_then(|merged| {
        std::fs::rename(&beside, output).map_err(Error::write(output))?;
        Ok(merged)
    });
    if written.is_err() {
        // The first error is the one that matters.
        let _ = std::fs::remove_dir_all(&beside);
    }
    written
}

fn write_merged(
    config: &ModelConfig,
    adapter_folder: &Path,
    architecture: &Architecture,
    output: &Path,
    options: &MergeOptions,
) -> Result<Merged> {
    let (adapter_config, modules) = Adapter::read_config(adapter_folder, true)?;
    let saved: Vec<String> =
        modules.iter().flat_map(|module| [format!("*{module}.weight"), format!("*{module}.bias")]).collect();
    let files = weight_files(config.folder())?;
    let maps = files.iter().map(|path| open(path)).collect::<Result<Vec<_>>>()?;
    let mut base = BTreeMap::new();
    for (path, map) in files.iter().zip(&maps) {
        base.extend(tensors_of(path, map)?);
    }
    // One that is more precise than the model costs little.
    let wide = base.values().any(|stored| stored.dtype() == Dtype::F64);
    let compute = if wide { DType::F64 } else { DType::F32 };
    let adapter = Adapter::read_layers(
        adapter_folder,
        adapter_config,
        false,
        architecture,
        compute,
        &Device::Cpu,
        &saved,
    )?;
    let changes: BTreeMap<String, _> = adapter.changes(architecture).collect();
    for (name, (layer, member)) in &changes {
        let stored = base.get(name).ok_or_else(|| missing(config.folder(), name))?;
        require_shape(config.folder(), name, stored, &layer.module().shape_of(*member))?;
    }
    let file = adapter_weights(adapter_folder);
    let map = open(&file)?;
    let beside = tensors_of(&file, &map)?;
    let mut sources: BTreeMap<String, Source<'_>> =
        base.iter().map(|(name, stored)| (name.clone(), Source::Model(stored))).collect();
    let (mut replaced, mut head) = (0, None);
    for (name, stored) in beside.iter().filter(|(name, _)| !name.contains(".lora_")) {
        let own = name.strip_prefix(PREFIX).unwrap_or(name);
        match base.get(own) {
            _ if own == score_head::NAME => head = stored.shape().first().copied(),
            Some(before) => require_shape(&file, name, stored, before.shape())?,
            None => {
                return Err(Error::TensorUnexpected { path: file.clone(), name: name.clone(), more: 0 });
            }
        }
        sources.insert(own.to_owned(), Source::Adapter(stored));
        replaced += 1;
    }
    let own_head = || base.get(score_head::NAME).and_then(|stored| stored.shape().first().copied());
    let outputs = head.or_else(own_head);

    let mut plans = Vec::with_capacity(sources.len());
    for (name, source) in &sources {
        let (Source::Model(stored) | Source::Adapter(stored)) = source;
        // What the adapter brings is of the type of what it replaces.
        let kept = base.get(name).map_or(stored.dtype(), Stored::dtype);
        let dtype = match options.dtype.filter(|_| stored.is_readable()) {
            Some(dtype) => stored_type(dtype)?,
            None => kept,
        };
        plans.push(Planned { name: name.clone(), dtype, shape: stored.shape().to_vec() });
    }
    let bytes = plans.iter().map(Planned::bytes).sum();
    let merged = Merged { changed: changes.len(), replaced, tensors: plans.len(), bytes };
    let shards = shards(plans, options.shard_bytes);
    let mut index = BTreeMap::new();
    for (shard, number) in shards.iter().zip(1..) {
        let file = match shards.len() {
            1 => WEIGHTS_FILE.to_owned(),
            count => format!("model-{number:05}-of-{count:05}.safetensors"),
        };
        let path = output.join(&file);
        write_planned(&path, shard, |writer, plan| {
            let Some(source) = sources.get(&plan.name) else { return Ok(()) };
            let (Source::Model(stored) | Source::Adapter(stored)) = source;
            let layer = changes.get(&plan.name).filter(|_| matches!(source, Source::Model(_)));
            if layer.is_none() && stored.dtype() == plan.dtype {
                return stored.copy(writer).map_err(Error::write(&path));
            }
            let value = stored.value(&plan.name, compute, &Device::Cpu)?;
            let merged = layer.map(|(layer, member)| layer.merged(&value, *member)).transpose()?;
            let value = merged.unwrap_or(value);
            write_elements(writer, &rounded(value, plan)?).map_err(Error::write(&path))
        })?;
        index.extend(shard.iter().map(|plan| (plan.name.clone(), file.clone())));
    }
    if shards.len() > 1 {
        write_index(output, bytes, &index)?;
    }
    let text = match (options.dtype, head) {
        // As it is, with what `ModelConfig` does not tell apart.
        (None, None) => {
            let path = config.folder().join(CONFIG_FILE);
            std::fs::read_to_string(&path).map_err(Error::read(path))?
        }
        (dtype, _) => config.text_for(dtype, outputs),
    };
    write_file(&output.join(CONFIG_FILE), |file| file.write_all(text.as_bytes()))?;
    copy_companions(config.folder(), output)?;
    Ok(merged)
}

/// The elements in the type in which they are written.
///
/// # Errors
/// If a number is too great for it.
fn rounded(value: Value, plan: &Planned) -> Result<Value> {
    let dtype = match plan.dtype {
        Dtype::F64 => DType::F64,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        _ => DType::F32,
    };
    let value = value.to_dtype(dtype)?;
    if dtype == DType::F16 {
        let most = Tensor::constant(value.to_dtype(DType::F32)?.abs()?.flatten_all()?.max(0)?);
        if !most.to_list()?.iter().all(|most| most.is_finite()) {
            let what = format!("`{}` as float16, which has no numbers above 65504", plan.name);
            return Err(swift_tensor::Error::Unsupported { op: "save", what }.into());
        }
    }
    Ok(value)
}

/// The tensors of each file. One that alone is more than `most` bytes has its own.
fn shards(plans: Vec<Planned>, most: usize) -> Vec<Vec<Planned>> {
    let mut shards: Vec<Vec<Planned>> = vec![Vec::new()];
    let mut room = most;
    for plan in plans {
        let bytes = plan.bytes();
        if bytes > room && shards.last().is_some_and(|shard| !shard.is_empty()) {
            shards.push(Vec::new());
            room = most;
        }
        room = room.saturating_sub(bytes);
        if let Some(shard) = shards.last_mut() {
            shard.push(plan);
        }
    }
    shards
}

fn missing(path: &Path, name: &str) -> Error {
    Error::TensorMissing { path: path.into(), name: name.to_owned(), more: 0 }
}

fn require_shape(path: &Path, name: &str, stored: &Stored<'_>, expected: &[usize]) -> Result<()> {
    if stored.shape() == expected {
        return Ok(());
    }
    Err(Error::TensorShape {
        path: path.into(),
        name: name.to_owned(),
        got: stored.shape().to_vec(),
        expected: expected.to_vec(),
        more: 0,
    })
}
