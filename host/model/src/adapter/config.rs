//! PEFT's `adapter_config.json`.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::AdapterOptions;
use super::target::names;
use crate::{Error, Result, score_head};

/// The version of PEFT whose keys are written.
const PEFT_VERSION: &str = "0.20.0";

/// Entries that change nothing about what a finished adapter computes.
const WITHOUT_EFFECT: [&str; 13] = [
    "auto_mapping",
    "base_model_name_or_path",
    "corda_config",
    "eva_config",
    "inference_mode",
    "layers_pattern",
    "loftq_config",
    "lora_ga_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "task_type",
];

/// How the layers of an adapter are made, as `adapter_config.json` says it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AdapterConfig {
    pub(crate) rank: usize,
    pub(crate) alpha: f64,
    pub(crate) dropout: f64,
    pub(crate) rslora: bool,
    pub(crate) dora: bool,
    pub(crate) target_modules: Vec<String>,
    /// Names of weights, or their last parts.
    pub(crate) target_parameters: Vec<String>,
    /// Other ranks for some layers, by the last parts of their names; the first that fits counts.
    rank_pattern: Vec<(String, usize)>,
    /// The same for `alpha`.
    alpha_pattern: Vec<(String, f64)>,
}

impl AdapterConfig {
    /// The configuration of a new adapter.
    ///
    /// # Errors
    /// If the rank is zero or the dropout rate is not in `0 .. 1`.
    pub(crate) fn new(options: &AdapterOptions) -> Result<Self> {
        let AdapterOptions { rank, alpha, dropout, rslora, dora, .. } = *options;
        let (target_modules, target_parameters) =
            (options.target_modules.clone(), options.target_parameters.clone());
        let (rank_pattern, alpha_pattern) = (Vec::new(), Vec::new());
        let config = Self {
            rank,
            alpha,
            dropout,
            rslora,
            dora,
            target_modules,
            target_parameters,
            rank_pattern,
            alpha_pattern,
        };
        config.checked()
    }

    /// Target parameters have what PEFT's have: no dropout, and no magnitudes.
    ///
    /// # Errors
    /// If there is one of both.
    pub(crate) fn fits_parameters(&self) -> Result<()> {
        let setting = match (self.dropout > 0.0, self.dora) {
            (true, _) => format!("dropout is {}, and target parameters have none", self.dropout),
            (_, true) => "weights are decomposed (DoRA), and target parameters are not".to_owned(),
            _ => return Ok(()),
        };
        Err(Error::AdapterSetting(setting))
    }

    fn checked(self) -> Result<Self> {
        if self.rank == 0 || self.rank_pattern.iter().any(|(_, rank)| *rank == 0) {
            return Err(Error::AdapterSetting("rank is 0".into()));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::AdapterSetting(format!("dropout is {}, which is not in 0..1", self.dropout)));
        }
        Ok(self)
    }

    /// Takes the entries of the file at `path`.
    ///
    /// # Errors
    /// If an entry asks for something that does not exist here, or is not of its type.
    pub(crate) fn from_entries(path: &Path, entries: &Map<String, Value>) -> Result<Self> {
        let reader = Reader { path, entries };
        reader.refuse_unknown()?;
        let patterns = |key| reader.patterns(key);
        let list = |value: &Value| -> Option<Vec<String>> {
            value.as_array()?.iter().map(|name| Some(name.as_str()?.to_owned())).collect()
        };
        let config = Self {
            rank: reader.get("r", 8, |value| value.as_u64().map(|rank| rank as usize))?,
            alpha: reader.get("lora_alpha", 8.0, Value::as_f64)?,
            dropout: reader.get("lora_dropout", 0.0, Value::as_f64)?,
            rslora: reader.get("use_rslora", false, Value::as_bool)?,
            dora: reader.get("use_dora", false, Value::as_bool)?,
            target_modules: reader.get("target_modules", Vec::new(), |value| match value {
                // Any other string is a regular expression.
                Value::String(name) => (name == "all-linear").then(|| vec![name.clone()]),
                _ => list(value),
            })?,
            target_parameters: reader.get("target_parameters", Vec::new(), list)?,
            rank_pattern: patterns("rank_pattern")?
                .into_iter()
                .map(|(key, rank)| (key, rank as usize))
                .collect(),
            alpha_pattern: patterns("alpha_pattern")?,
        };
        config.checked()
    }

    /// The rank of a layer.
    pub(crate) fn rank_of(&self, module: &str) -> usize {
        let own = self.rank_pattern.iter().find(|(target, _)| names(target, module));
        own.map_or(self.rank, |(_, rank)| *rank)
    }

    /// The numerator of the scale of a layer.
    pub(crate) fn alpha_of(&self, module: &str) -> f64 {
        let own = self.alpha_pattern.iter().find(|(target, _)| names(target, module));
        own.map_or(self.alpha, |(_, alpha)| *alpha)
    }

    /// The scale of a layer: `alpha / rank`, or `alpha / sqrt(rank)` if rank-stabilised.
    pub(crate) fn scale_of(&self, module: &str) -> f64 {
        let rank = self.rank_of(module) as f64;
        self.alpha_of(module) / if self.rslora { rank.sqrt() } else { rank }
    }

    /// The file's text, with the keys and in the manner of PEFT. `with_head` says whether a score head lies beside it.
    pub(crate) fn to_text(&self, base_model: &str, target_modules: &[String], with_head: bool) -> String {
        let pattern = |entries: Vec<(&String, Value)>| {
            Value::Object(entries.into_iter().map(|(key, value)| (key.clone(), value)).collect())
        };
        let rank_pattern = self.rank_pattern.iter().map(|(key, rank)| (key, json!(rank))).collect();
        let alpha_pattern = self.alpha_pattern.iter().map(|(key, alpha)| (key, number(*alpha))).collect();
        let entries = json!({
            "alora_invocation_tokens": null,
            "alpha_pattern": pattern(alpha_pattern),
            "arrow_config": null,
            "auto_mapping": null,
            "base_model_name_or_path": base_model,
            "bias": "none",
            "corda_config": null,
            "ensure_weight_tying": false,
            "eva_config": null,
            "exclude_modules": null,
            "fan_in_fan_out": false,
            "inference_mode": true,
            "init_lora_weights": true,
            "layer_replication": null,
            "layers_pattern": null,
            "layers_to_transform": null,
            "loftq_config": {},
            "lora_alpha": number(self.alpha),
            "lora_bias": false,
            "lora_dropout": self.dropout,
            "lora_ga_config": null,
            "megatron_config": null,
            "megatron_core": "megatron.core",
            "modules_to_save": with_head.then_some([score_head::MODULE]),
            "monteclora_config": null,
            "peft_type": "LORA",
            "peft_version": PEFT_VERSION,
            "qalora_group_size": 16,
            "r": self.rank,
            "rank_pattern": pattern(rank_pattern),
            "revision": null,
            "target_modules": target_modules,
            "target_parameters": (!self.target_parameters.is_empty()).then_some(&self.target_parameters),
            "task_type": if with_head { "SEQ_CLS" } else { "CAUSAL_LM" },
            "trainable_token_indices": null,
            "use_bdlora": null,
            "use_dora": self.dora,
            "use_qalora": false,
            "use_rslora": self.rslora,
            "velora_config": null,
        });
        format!("{entries:#}")
    }
}

/// A number without a fraction as an integer, which is what PEFT takes `lora_alpha` for.
fn number(x: f64) -> Value {
    if x.fract() == 0.0 && x.abs() < 1e15 { json!(x as i64) } else { json!(x) }
}

struct Reader<'a> {
    path: &'a Path,
    entries: &'a Map<String, Value>,
}

impl Reader<'_> {
    fn unsupported(&self, field: &str, value: &Value) -> Error {
        Error::AdapterField { path: self.path.into(), field: field.into(), value: value.to_string() }
    }

    /// The value of an entry, or its default if it is not there or null.
    fn get<T>(&self, field: &str, default: T, convert: impl FnOnce(&Value) -> Option<T>) -> Result<T> {
        match self.entries.get(field) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => convert(value).ok_or_else(|| self.unsupported(field, value)),
        }
    }

    /// Keys are regular expressions that match the end of a name; those of plain characters are supported, with or without
    /// anything and a full stop before them.
    fn patterns(&self, field: &str) -> Result<Vec<(String, f64)>> {
        let plain = |key: &str| key.chars().all(|c| c.is_alphanumeric() || "_.-".contains(c));
        self.get(field, Vec::new(), |value| {
            value
                .as_object()?
                .iter()
                .map(|(key, value)| {
                    let key = key.strip_prefix(r".*\.").unwrap_or(key);
                    plain(key).then_some((key.to_owned(), value.as_f64()?))
                })
                .collect()
        })
    }

    /// Whatever is set and not known may change what the adapter computes.
    fn refuse_unknown(&self) -> Result<()> {
        let read = ["r", "lora_alpha", "lora_dropout", "use_rslora", "use_dora"];
        let read_lists = ["target_modules", "target_parameters", "rank_pattern", "alpha_pattern"];
        for (field, value) in self.entries {
            let fine = match field.as_str() {
                "peft_type" => value == "LORA",
                "bias" => value == "none",
                // Other ways of initialising leave their mark in the base model's weights.
                "init_lora_weights" => value.is_boolean() || value == "gaussian" || value.is_null(),
                "modules_to_save" => is_neutral(value) || is_head(value),
                field if read.contains(&field) || read_lists.contains(&field) => true,
                field if WITHOUT_EFFECT.contains(&field) => true,
                _ => is_neutral(value),
            };
            if !fine {
                return Err(self.unsupported(field, value));
            }
        }
        Ok(())
    }
}

/// Whether nothing but a score head is saved whole. PEFT lists the names that it may have.
fn is_head(modules: &Value) -> bool {
    let names = modules.as_array().map(Vec::as_slice).unwrap_or_default();
    names.iter().all(|name| name == score_head::MODULE || name == "classifier")
}

fn is_neutral(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        Value::Number(_) => false,
    }
}
