//! `swift-host run`: everything that takes part is put together, checked, and set going.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;
use jiff::ZonedDateTime;
use swift_data::{Adapter, BatchPlan, Dataset, DatasetSpec, Template, Tokenizer};
use swift_infer::GenerationConfig;
use swift_model::{LoadOptions, Model, ModelConfig};
use swift_runtime::{Kind, ModelPlugin, Plugin};
use swift_train::{
    Callback, Ending, Metric, Output, Reward, RolloutOptions, Rollouts, ScheduleRule, Summary, Training,
    UpdateRule,
};

use crate::arguments::{RunArguments, Tuner};
use crate::command_line::Run;
use crate::console::Console;
use crate::dataset_adapter::DatasetAdapter;
use crate::definition::definition;
use crate::directories;
use crate::grants::{self, Allowances};
use crate::lock::{self, Parts};
use crate::model_files::ModelFiles;
use crate::pins::Pins;
use crate::plugins::{Plugins, Selection};
use crate::progress::Progress;
use crate::registry::{DefaultTemplate, read_config};
use crate::report::UsageError;
use crate::reward::PluginReward;
use crate::settings::{self, Settings};
use crate::template::TemplateSource;

/// Files that a whole model needs besides its weights and `config.json`.
const COMPANIONS: [&str; 9] = [
    "added_tokens.json",
    "chat_template.jinja",
    "generation_config.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
];

/// Kinds that take part in a run whenever they are named.
const ALWAYS: [Kind; 5] = [Kind::Loss, Kind::Callback, Kind::Metric, Kind::Schedule, Kind::Optimizer];

/// Trains, and gives what came of it and the run directory.
pub(crate) fn run(
    run: Run,
    plugins: &Plugins,
    console: &Console,
    interrupt: Arc<AtomicBool>,
) -> anyhow::Result<(Summary, PathBuf)> {
    let Run { mut arguments, selection, values, grants, said, notes } = run;
    notes.iter().for_each(|note| console.note(note));
    settings::check(&arguments)?;
    let config = read_config(&arguments.model.model)?;
    let (folder, resume_from) = place(&arguments, console)?;
    arguments.output.output_dir = Some(folder.clone());
    let acts_always = |plugin: &Plugin| plugin.kinds().iter().any(|kind| ALWAYS.contains(kind));
    let pins = Pins::read(&arguments.plugins, resume_from.as_deref())?;
    // Before anything is started; which of the others act is known when everything is read.
    pins.check(selection.plugins().filter(|plugin| acts_always(plugin)))?;

    let allowances = Allowances { limits: settings::limits(&arguments)?, grants: &grants };
    let no_values = serde_json::Map::new();
    let values_of = |plugin: &Plugin| values.get(plugin.name()).unwrap_or(&no_values);
    let loss = selection.of_kind(Kind::Loss).next().context("No loss takes part in this run")?;
    let loss = loss.loss(values_of(loss), &allowances.of(loss))?;
    let requirements = loss.requirements();
    let mut settings = Settings::resolve(arguments, &config, requirements)?;
    let reference = reference_folder(&settings.arguments).filter(|_| settings.with_reference(requirements));
    let reference = reference.map(read_config).transpose()?;
    let teacher = settings.arguments.model.teacher_model.as_deref().map(read_config).transpose()?;
    let roles = [("model", Some(&config)), ("reference", reference.as_ref()), ("teacher", teacher.as_ref())];
    let files = ModelFiles::of(roles, settings.arguments.adapter.adapters.as_deref());
    let tokenizer = Tokenizer::load(config.folder())?;
    if settings.arguments.data.template.is_none() {
        let needs_name =
            settings.needs_named_template() || selection.of_kind(Kind::LossScale).next().is_some();
        let default = DefaultTemplate::of(&config, &tokenizer, needs_name)?;
        default.note().iter().for_each(|note| console.line(note));
        settings.arguments.data.template = default.name();
    }
    let callbacks = start_all(&selection, Kind::Callback, |plugin| {
        Ok(Box::new(plugin.callback(values_of(plugin), &allowances.of(plugin))?) as Box<dyn Callback>)
    })?;
    let metrics = start_all(&selection, Kind::Metric, |plugin| {
        Ok(Box::new(plugin.metric(values_of(plugin), &allowances.of(plugin))?) as Box<dyn Metric>)
    })?;
    let schedule = start_all(&selection, Kind::Schedule, |plugin| {
        Ok(Box::new(plugin.schedule(values_of(plugin), &allowances.of(plugin))?) as Box<dyn ScheduleRule>)
    })?;
    let optimizer = start_all(&selection, Kind::Optimizer, |plugin| {
        Ok(Box::new(plugin.optimizer(values_of(plugin), &allowances.of(plugin))?) as Box<dyn UpdateRule>)
    })?;

    let learns_from_rewards = settings.rollouts.is_some();
    let rewards = match learns_from_rewards {
        false => Vec::new(),
        true => start_all(&selection, Kind::Reward, |plugin| {
            let reward = PluginReward::new(plugin, values_of(plugin), allowances.of(plugin))?;
            Ok(Box::new(reward) as Box<dyn Reward>)
        })?,
    };
    let rollouts = rollouts(&settings, rewards, &tokenizer, config.folder())?;

    let mut kinds = vec![Kind::Dataset];
    if settings.arguments.data.template.is_some() {
        kinds.push(Kind::Template);
    }
    if !settings.loss_scale_rules.is_empty() {
        kinds.push(Kind::LossScale);
    }
    let standard = plugins.of_kinds(&kinds)?;
    let candidates = |kind| selection.candidates(kind, &standard);
    let template = TemplateSource {
        settings: &settings,
        selection: &selection,
        standard: &standard,
        allowances: &allowances,
    };
    let mut template = template.template(&tokenizer, values_of)?;
    let (dataset, validation) =
        datasets(&settings, &mut template, candidates(Kind::Dataset), &allowances, console)?;
    let plan = BatchPlan::new(&dataset, settings.plan.clone())?;
    let Models { model, reference, teacher, definitions } =
        models(&settings, &config, (reference, teacher), |config| {
            definition(config, selection.plugins(), plugins, |plugin| allowances.of(plugin))
        })?;

    if settings.quantisation.is_some() {
        let mebibytes = model.weight_bytes() as f64 / f64::from(1 << 20);
        console.line(&format!("linear layers are quantised: weights take {mebibytes:.1} MiB"));
    }

    let sources =
        [Some(&dataset), validation.as_ref()].into_iter().flatten().flat_map(|set| &set.report().sources);
    let mut used: BTreeSet<&str> = sources.map(|source| source.adapter.as_str()).collect();
    let of_template = template.plugins();
    used.extend(of_template.iter().map(String::as_str));
    used.extend(definitions.iter().map(Plugin::name));
    let judges = |plugin: &Plugin| learns_from_rewards && plugin.kinds().contains(&Kind::Reward);
    let acts = |plugin: &Plugin| used.contains(plugin.name()) || acts_always(plugin) || judges(plugin);
    for plugin in selection.plugins().filter(|plugin| !acts(plugin)) {
        console.note(&format!("`{}` takes no part: nothing in this run has a use for it", plugin.name()));
    }
    let others = standard.iter().chain(&definitions);
    let others = others.filter(|plugin| used.contains(plugin.name()) && !selection.has(plugin.name()));
    let others: BTreeMap<&str, &Plugin> = others.map(|plugin| (plugin.name(), plugin)).collect();
    let parts = Parts {
        plugins: selection.plugins().filter(|plugin| acts(plugin)).chain(others.into_values()).collect(),
        values: &values,
        grants: &grants,
        dataset: &dataset,
        validation: validation.as_ref(),
    };
    pins.check(parts.plugins.iter().copied())?;
    for plugin in &parts.plugins {
        if let Some(granted) = grants.of(plugin) {
            console.line(&format!("`{}` may {}", plugin.name(), grants::sentence(granted)));
        }
    }
    let output = Output {
        folder: folder.clone(),
        arguments: lock::arguments(&settings, &parts)?,
        lock: lock::lock(&settings, &parts, files.digests()?)?,
        companions: companions(&settings.arguments),
    };
    let (loss, options) = (Box::new(loss), settings.trainer);
    let training = Training {
        model,
        reference,
        teacher,
        loss,
        callbacks,
        metrics,
        schedule: schedule.into_iter().next(),
        optimizer: optimizer.into_iter().next(),
        dataset,
        plan,
        rollouts,
        validation,
        options,
        output,
        resume_from,
        interrupt,
    };
    let summary = training.run(&mut Progress::new(console.clone(), said.to_string()));
    console.end();
    Ok((summary?, folder))
}

/// What a loss that learns from answers of the model needs besides.
fn rollouts(
    settings: &Settings,
    rewards: Vec<Box<dyn Reward>>,
    tokenizer: &Tokenizer,
    folder: &Path,
) -> anyhow::Result<Option<Rollouts>> {
    let Some(options) = &settings.rollouts else { return Ok(None) };
    if rewards.is_empty() {
        return Err(UsageError::new("The loss learns from rewards, but no reward takes part in this run")
            .hint("name one or more with `--reward-plugin`")
            .into());
    }
    let reward_weights = match options.reward_weights.as_slice() {
        [] => vec![1.0; rewards.len()],
        weights if weights.len() == rewards.len() => weights.to_vec(),
        weights => {
            let names: Vec<&str> = rewards.iter().map(|reward| reward.name()).collect();
            let counts = format!("{} weights for {} rewards", weights.len(), rewards.len());
            return Err(UsageError::new(format!("`--reward-weights` gives {counts}"))
                .hint(format!("the rewards are `{}`, in this order", names.join("`, `")))
                .into());
        }
    };
    let mut ends = GenerationConfig::read(folder)?.ends;
    if ends.is_empty() {
        let end = tokenizer.special_token("eos_token").and_then(|end| tokenizer.token_id(end));
        ends.extend(end);
    }
    let options = RolloutOptions { ends, reward_weights, ..options.clone() };
    Ok(Some(Rollouts { options, rewards, tokenizer: tokenizer.clone() }))
}

/// Starts the chosen plugins of a kind, in their order.
fn start_all<T>(
    selection: &Selection,
    kind: Kind,
    start: impl Fn(&Plugin) -> anyhow::Result<T>,
) -> anyhow::Result<Vec<T>> {
    selection.of_kind(kind).map(start).collect()
}

/// The training set and the validation set.
fn datasets<'a>(
    settings: &Settings,
    template: &mut Template,
    plugins: impl Iterator<Item = &'a Plugin> + Clone,
    allowances: &Allowances<'_>,
    console: &Console,
) -> anyhow::Result<(Dataset, Option<Dataset>)> {
    let data = &settings.arguments.data;
    let mut options = settings.data.clone();
    // What an adapter finds outside of its sandbox may change, and the cache knows nothing of it.
    if plugins.clone().any(|plugin| allowances.grants.of(plugin).is_some()) {
        options.cache_directory = None;
    }
    let mut adapters = plugins
        .map(
            |plugin| Ok(Box::new(DatasetAdapter::start(plugin, &allowances.of(plugin))?) as Box<dyn Adapter>),
        )
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut load = |files: &[String]| {
        let specifications =
            files.iter().map(|file| file.parse()).collect::<Result<Vec<DatasetSpec>, _>>()?;
        let dataset = Dataset::load(&specifications, &mut adapters, template, &options)?;
        console.line(&dataset.report().to_string());
        anyhow::Ok(dataset)
    };
    let training = load(&data.dataset)?;
    let validation = if data.val_dataset.is_empty() { None } else { Some(load(&data.val_dataset)?) };
    Ok((training, validation))
}

/// The models of a run.
struct Models {
    /// Ready to be trained.
    model: Model,
    /// If it is another one.
    reference: Option<Model>,
    teacher: Option<Model>,
    /// The plugins that define them.
    definitions: Vec<Plugin>,
}

fn models(
    settings: &Settings,
    config: &ModelConfig,
    (reference, teacher): (Option<ModelConfig>, Option<ModelConfig>),
    definition: impl Fn(&ModelConfig) -> anyhow::Result<(Plugin, ModelPlugin)>,
) -> anyhow::Result<Models> {
    let Settings { dtype, float8, quantisation, .. } = *settings;
    let options = LoadOptions { dtype, device: swift_tensor::current_device(), quantisation };
    let load = |config: ModelConfig| {
        let (plugin, definition) = definition(&config)?;
        let mut model = Model::load_as(config, definition, &options)?;
        if float8 {
            model.use_float8()?;
        }
        anyhow::Ok((model, plugin))
    };
    let coefficient = settings.arguments.training.router_aux_loss_coef;
    let (mut model, plugin) = load(with_router_loss(config.clone(), coefficient))?;
    let adapter = &settings.arguments.adapter;
    match (adapter.tuner_type, &adapter.adapters) {
        (Tuner::Full, _) => model.train_all()?,
        (Tuner::Lora, Some(folder)) => model.load_adapter(folder, true)?,
        (Tuner::Lora, None) => model.attach_adapter(&settings.adapter)?,
    }
    if let Some(outputs) = settings.score_outputs {
        model.attach_score_head(outputs as usize, adapter.adapters.as_deref(), settings.adapter.seed)?;
    }
    let (reference, reference_plugin) = reference.map(load).transpose()?.unzip();
    let (teacher, teacher_plugin) = teacher.map(load).transpose()?.unzip();
    let definitions = [plugin].into_iter().chain(reference_plugin).chain(teacher_plugin).collect();
    Ok(Models { model, reference, teacher, definitions })
}

/// A configuration with the factor on the loss of routers, by the names that transformers has for it. Whatever the file says, there
/// is no such loss unless it is asked for.
fn with_router_loss(config: ModelConfig, coefficient: f64) -> ModelConfig {
    const FACTOR: &str = "router_aux_loss_coef";
    const WANTED: &str = "output_router_logits";
    match config.get(WANTED).and_then(serde_json::Value::as_bool) {
        Some(true) => config.with(FACTOR, coefficient.into()),
        _ if coefficient == 0.0 => config,
        _ => config.with(WANTED, true.into()).with(FACTOR, coefficient.into()),
    }
}

/// The run directory, and the checkpoint that the run goes on from.
fn place(arguments: &RunArguments, console: &Console) -> anyhow::Result<(PathBuf, Option<PathBuf>)> {
    let given = arguments.output.output_dir.as_deref();
    let runs = directories::runs_of(&arguments.model.model)?;
    let new_run = |runs: &Path| directories::new_run(runs, ZonedDateTime::now().datetime());
    let checkpoint = match arguments.training.resume_from_checkpoint.as_deref() {
        None => {
            let folder = given.map_or_else(|| new_run(&runs), Path::to_owned);
            swift_train::require_empty(&folder)?;
            return Ok((folder, None));
        }
        Some("last") => {
            let newest = || {
                directories::versions(&runs).into_iter().find(|run| swift_train::last_checkpoint(run).is_ok())
            };
            let run = given.map(Path::to_owned).or_else(newest).unwrap_or(runs);
            let last = swift_train::last_checkpoint(&run)?;
            last.skipped.iter().for_each(|error| console.note(&error.to_string()));
            last.path
        }
        Some(checkpoint) => PathBuf::from(checkpoint),
    };
    let folder = given.or_else(|| checkpoint.parent()).unwrap_or(Path::new(".")).to_owned();
    Ok((folder, Some(checkpoint)))
}

/// Where the reference model lies if it is not the trained one without its adapter.
fn reference_folder(arguments: &RunArguments) -> Option<&Path> {
    let own = (arguments.adapter.tuner_type == Tuner::Full).then_some(&arguments.model.model);
    arguments.model.ref_model.as_ref().or(own).map(PathBuf::as_path)
}

/// What is copied into checkpoints of whole models.
fn companions(arguments: &RunArguments) -> Vec<PathBuf> {
    if arguments.adapter.tuner_type != Tuner::Full {
        return Vec::new();
    }
    let files = COMPANIONS.iter().map(|name| arguments.model.model.join(name));
    files.filter(|file| file.is_file()).collect()
}

/// Prints what a program may want to know, and says how the run ended.
pub(crate) fn conclude(summary: &Summary, folder: &Path, console: &Console) {
    match &summary.ending {
        Ending::Completed => {}
        Ending::Stopped { by, reason } => {
            console.line(&format!("`{by}` ended the run after step {}: {reason}", summary.step));
        }
        Ending::Interrupted => {
            console.line(&format!("interrupted after step {} of {}", summary.step, summary.max_steps));
            if summary.last_checkpoint.is_some() {
                console
                    .line("hint: the same command with `--resume-from-checkpoint last` goes on from there");
            }
        }
    }
    if summary.images.is_dir() {
        console.line(&format!("curves are in `{}`", summary.images.display()));
    }
    if let Some(checkpoint) = &summary.last_checkpoint {
        println!("checkpoint: {}", checkpoint.display());
    }
    if let Some(checkpoint) = &summary.best_checkpoint {
        println!("best checkpoint: {}", checkpoint.display());
    }
    println!("run: {}", folder.display());
}
