//! What commands that generate are told of the model and the engine, and the engine that comes of it.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::Args;
use swift_data::{Renderer, Template, TemplateOptions, Tokenizer};
use swift_infer::{Backend as _, Engine, EngineOptions, GenerationConfig, ModelBackend};
use swift_model::{LoadOptions, Model, ModelConfig};
use swift_runtime::{Kind, Limits, Plugin};
use swift_tensor::Graph;

use crate::arguments::{DeviceArguments, Dtype, QuantisationArguments};
use crate::console::Console;
use crate::definition::definition;
use crate::plugins::Plugins;
use crate::registry::{DefaultTemplate, read_config};
use crate::report::UsageError;
use crate::template::ChatTemplates;

/// The model and the engine.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model and engine")]
pub(crate) struct EngineArguments {
    /// Folder of the model: `config.json`, `*.safetensors`, tokeniser files
    #[arg(long, value_name = "DIR", required = true)]
    pub(crate) model: PathBuf,
    /// Adapters that requests may name
    #[arg(long, value_name = "NAME=DIR", num_args = 1..)]
    pub(crate) adapters: Vec<String>,
    /// Plugins by name, path or reference, of the kinds model and template, besides the standard ones
    #[arg(long, value_name = "NAME|PATH|REFERENCE", value_delimiter = ',')]
    pub(crate) plugin: Vec<String>,
    /// Element type that is computed with [default: as in `config.json`]
    #[arg(long, alias = "torch-dtype", value_enum, value_name = "NAME")]
    pub(crate) dtype: Option<Dtype>,
    #[command(flatten)]
    pub(crate) quantisation: QuantisationArguments,
    #[command(flatten)]
    pub(crate) device: DeviceArguments,
    /// Chat template by its name [default: the model's own, or else the registry's]
    #[arg(long, value_name = "NAME")]
    pub(crate) template: Option<String>,
    /// Number of CPU threads; the results do not depend on it [default: one per core]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// The most tokens of prompt and answer together [default: as many as the model has positions for; where it rotates long
    /// sequences otherwise than short ones, those that it rotates as short ones, and with more all are rotated as long ones]
    #[arg(long, value_name = "TOKENS")]
    pub(crate) max_model_len: Option<NonZeroUsize>,
    /// The most sequences that are computed at once
    #[arg(long, value_name = "N", default_value = "256")]
    pub(crate) max_num_seqs: NonZeroUsize,
    /// The most tokens of a step; longer prompts are read in parts
    #[arg(long, value_name = "TOKENS", default_value = "2048")]
    pub(crate) max_num_batched_tokens: NonZeroUsize,
    /// The most requests that wait
    #[arg(long, value_name = "N", default_value = "1024")]
    pub(crate) max_num_waiting: NonZeroUsize,
    /// Bytes of the cache of keys and values; no more is taken than all sequences could use
    #[arg(long, value_name = "BYTES", default_value = "4294967296", conflicts_with = "num_blocks")]
    pub(crate) kv_cache_bytes: NonZeroUsize,
    /// Blocks of the cache, instead of its bytes
    #[arg(long, value_name = "N")]
    pub(crate) num_blocks: Option<NonZeroU32>,
    /// Tokens of a block
    #[arg(long, value_name = "TOKENS", default_value = "16")]
    pub(crate) block_size: NonZeroUsize,
    /// Whether beginnings of prompts that the cache still has are taken from there
    #[arg(long, value_name = "BOOL", default_value = "true", num_args = 0..=1, default_missing_value = "true",
          action = clap::ArgAction::Set)]
    pub(crate) enable_prefix_caching: bool,
    /// Whether steps that differ in their numbers alone are recorded and repeated on a CUDA device, as CUDA graphs. No GPU has run this
    #[arg(long, value_name = "BOOL", default_value = "false", num_args = 0..=1, default_missing_value = "true",
          action = clap::ArgAction::Set)]
    pub(crate) cuda_graphs: bool,
}

/// An engine that is ready, and what belongs to its model.
pub(crate) struct Ready {
    pub(crate) engine: Engine<ModelBackend>,
    pub(crate) tokenizer: Option<Tokenizer>,
    /// None if the model has no template and none was named.
    pub(crate) template: Option<Template>,
    /// What the model's folder says of generation.
    pub(crate) generation: GenerationConfig,
}

impl Ready {
    /// Says if sequences may be longer than the model has positions for.
    pub(crate) fn note_length(&self, console: &Console) {
        let length = self.engine.context_length();
        if let Some(known) = self.generation.context_length.filter(|known| length > *known) {
            console.note(&format!(
                "`--max-model-len` allows {length} tokens, and the model has positions for {known}: it was not trained beyond these"
            ));
        }
    }
}

impl EngineArguments {
    /// Loads everything.
    pub(crate) fn start(&self, plugins: &Plugins) -> anyhow::Result<Ready> {
        self.start_with(plugins, TemplateOptions::default())
    }

    /// Loads everything, with what is said of the template.
    pub(crate) fn start_with(&self, plugins: &Plugins, said: TemplateOptions) -> anyhow::Result<Ready> {
        if self.cuda_graphs && !Graph::is_for(&swift_tensor::current_device()) {
            return Err(UsageError::new("`--cuda-graphs` needs a CUDA device")
                .hint("give `--device cuda`, which needs a build for CUDA and a GPU, or leave it out")
                .into());
        }
        let config = read_config(&self.model)?;
        let mut generation = GenerationConfig::read(&self.model)?;
        let tokenizer = self.model.join("tokenizer.json").exists();
        let tokenizer = tokenizer.then(|| Tokenizer::load(&self.model)).transpose()?;
        if generation.ends.is_empty()
            && let Some(tokenizer) = &tokenizer
        {
            generation.ends = tokenizer
                .special_token("eos_token")
                .and_then(|end| tokenizer.token_id(end))
                .into_iter()
                .collect();
        }
        let chosen =
            self.plugin.iter().map(|name| plugins.resolve(name)).collect::<anyhow::Result<Vec<_>>>()?;
        let standard = plugins.of_kinds(&[Kind::Template])?;
        let others =
            standard.iter().filter(|plugin| !chosen.iter().any(|other| other.name() == plugin.name()));
        let templates = chosen.iter().chain(others).filter(|plugin| plugin.kinds().contains(&Kind::Template));
        let template = self.template(&config, tokenizer.as_ref(), templates, said)?;
        let options = LoadOptions {
            dtype: self.dtype.unwrap_or_else(|| Dtype::of(&config)).into(),
            device: swift_tensor::current_device(),
            quantisation: self.quantisation.quantisation()?,
        };
        let (_, definition) = definition(&config, &chosen, plugins, |_| Limits::default())?;
        let model = Model::load(config.folder(), definition, &options)?;
        let architecture = model.architecture();
        let [longest, short] = [architecture.longest_sequence, architecture.short_sequence()]
            .map(|tokens| tokens.map_or(usize::MAX, |tokens| usize::try_from(tokens).unwrap_or(usize::MAX)));
        let known = generation.context_length.unwrap_or(EngineOptions::default().context_length);
        let context = self.max_model_len.map_or(known.min(short), NonZeroUsize::get);
        let options = EngineOptions {
            max_batch_tokens: self.max_num_batched_tokens.get(),
            max_sequences: self.max_num_seqs.get(),
            max_waiting: self.max_num_waiting.get(),
            context_length: context.min(longest),
            prefix_caching: self.enable_prefix_caching,
        };
        let blocks = self.blocks(&model, options.context_length)?;
        let mut backend = ModelBackend::new(model, blocks, self.block_size.get(), options.context_length)?;
        if self.cuda_graphs {
            backend = backend.with_graphs()?;
        }
        for adapter in &self.adapters {
            let Some((name, folder)) = adapter.split_once('=') else {
                return Err(UsageError::new(format!("`--adapters {adapter}` has no `=`"))
                    .hint("requests call an adapter by its name: `--adapters NAME=DIR`")
                    .into());
            };
            backend.load_adapter(name, folder.as_ref())?;
        }
        let engine = Engine::new(backend, tokenizer.clone(), generation.ends.clone(), options);
        Ok(Ready { engine, tokenizer, template, generation })
    }

    fn blocks(&self, model: &Model, context_length: usize) -> Result<usize, UsageError> {
        if let Some(blocks) = self.num_blocks {
            return Ok(blocks.get() as usize);
        }
        let block_size = self.block_size.get();
        let bytes = model.cache_shape(1, block_size).block_bytes(model.dtype()).max(1);
        let useful = self.max_num_seqs.get().saturating_mul(context_length.div_ceil(block_size));
        match (self.kv_cache_bytes.get() / bytes).min(useful) {
            0 => {
                Err(UsageError::new(format!("A block of the cache takes {bytes} bytes, more than there are"))
                    .hint("give more as `--kv-cache-bytes`, or make `--block-size` smaller"))
            }
            blocks => Ok(blocks),
        }
    }

    fn template<'a>(
        &self,
        config: &ModelConfig,
        tokenizer: Option<&Tokenizer>,
        plugins: impl Iterator<Item = &'a Plugin>,
        said: TemplateOptions,
    ) -> anyhow::Result<Option<Template>> {
        let Some(tokenizer) = tokenizer else {
            return match &self.template {
                None => Ok(None),
                Some(_) => {
                    Err(UsageError::new("`--template` needs a tokeniser, which the model's folder lacks")
                        .into())
                }
            };
        };
        let now = || jiff::ZonedDateTime::now().datetime();
        let options = TemplateOptions { now: Some(said.now.unwrap_or_else(now)), ..said };
        let name = match &self.template {
            Some(name) => Some(name.clone()),
            None => DefaultTemplate::of(config, tokenizer, false)?.name(),
        };
        let Some(name) = &name else {
            let has_own = tokenizer.chat_template().is_some();
            return Ok(has_own.then(|| Template::of_model(tokenizer, options)).transpose()?);
        };
        let renderers = plugins.map(|plugin| {
            Ok(Box::new(ChatTemplates::start(plugin, &Limits::default())?) as Box<dyn Renderer>)
        });
        let renderers = renderers.collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Some(Template::new(name, renderers, None, tokenizer, options)?))
    }
}
