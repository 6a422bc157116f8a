//! Plugins: compiled, checked and described, and not yet at work.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use wasmtime::Store;
use wasmtime::component::{Component, Instance, InstancePre};

use crate::arguments::Info;
use crate::bindings::meta::exports::swift::plugin::meta;
use crate::engine::Engine;
use crate::exports::{self, Exports};
use crate::grants::Want;
use crate::guest::Guest;
use crate::held::HeldConstants;
use crate::instance::{self, Rejection};
use crate::limits::Limits;
use crate::store::{State, Views};
use crate::{
    CallbackPlugin, DatasetPlugin, Error, Kind, LossPlugin, LossScalePlugin, MetricPlugin, ModelPlugin,
    OptimizerPlugin, Result, RewardPlugin, SamplerPlugin, SchedulePlugin, TemplatePlugin, ToolParserPlugin,
    Trace, contract,
};

/// Where a plugin came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is part of the host.
    Standard,
    /// A file.
    File(PathBuf),
    /// Somewhere else: a reference that names its digest.
    Remote(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard => f.write_str("standard"),
            Self::File(path) => path.display().fmt(f),
            Self::Remote(reference) => f.write_str(reference),
        }
    }
}

/// A plugin, compiled and described. Cheap to clone.
#[derive(Clone)]
pub struct Plugin(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    engine: Engine,
    component: InstancePre<State>,
    name: Arc<str>,
    origin: Origin,
    digest: String,
    size: usize,
    imports: Vec<String>,
    info: Info,
    kinds: Vec<Kind>,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plugin({} from {}, {})", self.name(), self.origin(), self.digest())
    }
}

impl Plugin {
    /// Compiles a component, sees that it is a plugin, and asks it what it is. `label` is what errors call it until it has
    /// said its name.
    pub(crate) fn load(engine: &Engine, wasm: &[u8], label: &str, origin: Origin) -> Result<Self> {
        let digest = format!("sha256:{}", hexadecimal(&Sha256::digest(wasm)));
        let component = compile(engine, wasm, label)?;
        check_contract(engine, &component, label)?;
        let kinds = Kind::of(&component);
        let types = component.component_type();
        if kinds.is_empty() {
            let exports = types.exports(engine.wasmtime()).map(|(name, _)| name.to_owned()).collect();
            return Err(Error::NothingKnown { plugin: label.into(), exports });
        }
        let imports = types.imports(engine.wasmtime()).map(|(name, _)| name.to_owned()).collect();
        let component =
            engine.linker().instantiate_pre(&component).map_err(|error| missing(label, &error))?;

        let (mut store, instance) = instance::new(engine, &label.into(), &component, engine.loading())?;
        let meta: meta::Guest = exports::find(&component, &mut store, &instance)?;
        for kind in &kinds {
            exports::check(*kind, &component, &mut store, &instance)?;
        }
        let describe = |store: &mut Store<State>| meta.call_describe(store);
        let take = |info, _: &mut State| Info::new(info).map_err(Rejection::Wrong);
        let info = instance::call(&mut store, "describe", Views::default(), describe, take)?;
        let (engine, name, size) = (engine.clone(), info.name.as_str().into(), wasm.len());
        Ok(Self(Arc::new(Inner { engine, component, name, origin, digest, size, imports, info, kinds })))
    }

    /// As the user names it.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// `sha256:` and the digest of the file, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.0.digest
    }

    /// Size of the file in bytes.
    pub fn size(&self) -> usize {
        self.0.size
    }

    /// The interfaces that it imports.
    pub fn imports(&self) -> &[String] {
        &self.0.imports
    }

    /// What it may want to be granted, by what it imports. Runtimes of languages import more than their programs use.
    pub fn wants(&self) -> Vec<Want> {
        Want::of(&self.0.imports)
    }

    /// Where it came from.
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// What it says of itself.
    pub fn info(&self) -> &Info {
        &self.0.info
    }

    /// What it can be.
    pub fn kinds(&self) -> &[Kind] {
        &self.0.kinds
    }

    /// The same plugin, whose operations `trace` is told of from now on.
    pub fn with_trace(&self, trace: Arc<dyn Trace>) -> Self {
        let engine = self.0.engine.with_trace(trace);
        Self(Arc::new(Inner { engine, ..(*self.0).clone() }))
    }

    /// The same plugin, which gets what it holds constant from `held` from now on.
    pub fn with_held_constants(&self, held: Arc<HeldConstants>) -> Self {
        let engine = self.0.engine.with_held_constants(held);
        Self(Arc::new(Inner { engine, ..(*self.0).clone() }))
    }

    /// Checks the names and types of hyper-parameters.
    ///
    /// # Errors
    /// [`Error::UnknownArgument`] or [`Error::ArgumentType`].
    pub fn check_arguments(&self, arguments: &Map<String, Value>) -> Result<()> {
        self.info().check(arguments)
    }

    /// The plugin as a loss with these hyper-parameters; the others keep their defaults.
    ///
    /// # Errors
    /// If it is no loss, or refuses its hyper-parameters.
    pub fn loss(&self, arguments: &Map<String, Value>, limits: &Limits) -> Result<LossPlugin> {
        LossPlugin::new(self.guest(Kind::Loss, arguments, limits)?)
    }

    /// The plugin as the definition of a model.
    ///
    /// # Errors
    /// If it is none.
    pub fn model(&self, limits: &Limits) -> Result<ModelPlugin> {
        Ok(ModelPlugin::new(self.guest(Kind::Model, &Map::new(), limits)?))
    }

    /// The plugin as a callback with these hyper-parameters; the others keep their defaults.
    ///
    /// # Errors
    /// If it is no callback, or refuses its hyper-parameters.
    pub fn callback(&self, arguments: &Map<String, Value>, limits: &Limits) -> Result<CallbackPlugin> {
        Ok(CallbackPlugin::new(self.guest(Kind::Callback, arguments, limits)?))
    }

    /// The plugin as a dataset adapter.
    ///
    /// # Errors
    /// If it is none.
    pub fn dataset(&self, limits: &Limits) -> Result<DatasetPlugin> {
        Ok(DatasetPlugin::new(self.guest(Kind::Dataset, &Map::new(), limits)?))
    }

    /// The plugin as a metric with these hyper-parameters; the others keep their defaults.
    ///
    /// # Errors
    /// If it is none, or refuses its hyper-parameters.
    pub fn metric(&self, arguments: &Map<String, Value>, limits: &Limits) -> Result<MetricPlugin> {
        Ok(MetricPlugin::new(self.guest(Kind::Metric, arguments, limits)?))
    }

    /// The plugin as a learning-rate schedule with these hyper-parameters; the others keep their defaults.
    ///
    /// # Errors
    /// If it is none, or refuses its hyper-parameters.
    pub fn schedule(&self, arguments: &Map<String, Value>, limits: &Limits) -> Result<SchedulePlugin> {
        Ok(SchedulePlugin::new(self.guest(Kind::Schedule, arguments, limits)?))
    }

    /// The plugin as an optimiser with these hyper-parameters; the others keep their defaults.
    ///
    /// # Errors
    /// If it is none, or refuses its hyper-parameters.
    pub fn optimizer(&self, arguments: &Map<String, Value>, limits: &Limits) -> Result<OptimizerPlugin> {
        Ok(OptimizerPlugin::new(self.guest(Kind::Optimizer, arguments, limits)?))
    }

    /// The plugin as a reward with these hyper-parameters; the others keep their defaults.
    ///
    /// # Errors
    /// If it is none, or refuses its hyper-parameters.
    pub fn reward(&self, arguments: &Map<String, Value>, limits: &Limits) -> Result<RewardPlugin> {
        Ok(RewardPlugin::new(self.guest(Kind::Reward, arguments, limits)?))
    }

    /// The plugin as a set of chat templates.
    ///
    /// # Errors
    /// If it is none.
    pub fn template(&self, limits: &Limits) -> Result<TemplatePlugin> {
        Ok(TemplatePlugin::new(self.guest(Kind::Template, &Map::new(), limits)?))
    }

    /// The plugin as a rule for loss weights with these hyper-parameters; the others keep their defaults.
    ///
    /// # Errors
    /// If it is none, or refuses its hyper-parameters.
    pub fn loss_scale(&self, arguments: &Map<String, Value>, limits: &Limits) -> Result<LossScalePlugin> {
        Ok(LossScalePlugin::new(self.guest(Kind::LossScale, arguments, limits)?))
    }

    /// The plugin as a sampler with these hyper-parameters; the others keep their defaults.
    ///
    /// # Errors
    /// If it is none, or refuses its hyper-parameters.
    pub fn sampler(&self, arguments: &Map<String, Value>, limits: &Limits) -> Result<SamplerPlugin> {
        Ok(SamplerPlugin::new(self.guest(Kind::Sampler, arguments, limits)?))
    }

    /// The plugin as a parser of tool calls with these hyper-parameters; the others keep their defaults.
    ///
    /// # Errors
    /// If it is none, or refuses its hyper-parameters.
    pub fn tool_parser(&self, arguments: &Map<String, Value>, limits: &Limits) -> Result<ToolParserPlugin> {
        Ok(ToolParserPlugin::new(self.guest(Kind::ToolParser, arguments, limits)?))
    }

    fn guest<E: Exports>(
        &self,
        kind: Kind,
        arguments: &Map<String, Value>,
        limits: &Limits,
    ) -> Result<Guest<E>> {
        if !self.kinds().contains(&kind) {
            let (plugin, kinds) = (self.name().to_owned(), self.kinds().to_vec());
            return Err(Error::Kind { plugin, wanted: kind, kinds });
        }
        self.check_arguments(arguments)?;
        Guest::new(self.clone(), limits, Value::Object(arguments.clone()).to_string())
    }

    pub(crate) fn component(&self) -> &InstancePre<State> {
        &self.0.component
    }

    pub(crate) fn instantiate(&self, limits: &Limits) -> Result<(Store<State>, Instance)> {
        instance::new(&self.0.engine, &self.0.name, &self.0.component, limits)
    }
}

/// The first bytes of every WebAssembly file, and the four after them, which say what is in it.
const MAGIC: &[u8] = b"\0asm";
const CORE: &[u8] = &[1, 0, 0, 0];

fn compile(engine: &Engine, wasm: &[u8], label: &str) -> Result<Component> {
    let plugin = label.to_owned();
    let Some(rest) = wasm.strip_prefix(MAGIC) else { return Err(Error::NotWasm { plugin }) };
    if rest.starts_with(CORE) {
        return Err(Error::CoreModule { plugin });
    }
    let start = Instant::now();
    let component = Component::from_binary(engine.wasmtime(), wasm)
        .map_err(|error| Error::Invalid { plugin, message: format!("{error:#}") })?;
    engine.keep_functions();
    tracing::debug!("compiled `{label}` in {:?}", start.elapsed());
    Ok(component)
}

/// Refuses components that were made for another version of the contract.
fn check_contract(engine: &Engine, component: &Component, label: &str) -> Result<()> {
    let types = component.component_type();
    let mut names = types.imports(engine.wasmtime()).map(|(name, _)| name);
    let mut exported = types.exports(engine.wasmtime()).map(|(name, _)| name);
    match names
        .find(|name| contract::is_foreign(name))
        .or_else(|| exported.find(|name| contract::is_foreign(name)))
    {
        Some(wanted) => Err(Error::Contract { plugin: label.into(), wanted: format!("`{wanted}`") }),
        None => Ok(()),
    }
}

/// What the linker lacks. Its message has the interface and then, in the causes, the function in backticks.
fn missing(label: &str, error: &wasmtime::Error) -> Error {
    let (plugin, message) = (label.to_owned(), format!("{error:#}"));
    let mut quoted = message.split('`').skip(1).step_by(2);
    match (quoted.next(), quoted.next()) {
        (Some(interface), function) if contract::is_ours(interface) => {
            let function = function.map_or_else(String::new, |function| format!("`{function}` of "));
            Error::Contract { plugin, wanted: format!("{function}`{interface}`") }
        }
        (Some(import), _) => Error::Import { plugin, import: import.to_owned() },
        (None, _) => Error::Invalid { plugin, message },
    }
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
