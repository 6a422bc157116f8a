use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use wasmtime::component::Component;

use crate::bindings::describe::Describe;
use crate::bindings::describe::exports::swift::plugin::meta;
use crate::instance::{call, instantiate, new_store};
use crate::kinds::{self, CONTRACT_VERSION, Kind, PACKAGE};
use crate::{
    CallbackPlugin, DatasetPlugin, Engine, Error, Limits, LossPlugin, ModelPlugin, Result, arguments,
};

/// Where a plugin came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Embedded in the executable.
    Standard,
    /// A file.
    File(PathBuf),
}

/// The type of a parameter's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterType {
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// A text.
    Text,
    /// A list.
    List,
}

/// One hyper-parameter of a plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterInfo {
    /// In snake case: `label_smoothing`.
    pub name: String,
    /// One sentence.
    pub summary: String,
    /// What values it takes.
    pub r#type: ParameterType,
    /// The default; `null` for "not set".
    pub default: Value,
}

/// What a plugin says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Info {
    /// As the user names it.
    pub name: String,
    /// The plugin's own version.
    pub version: String,
    /// One sentence.
    pub summary: String,
    /// Its hyper-parameters.
    pub parameters: Vec<ParameterInfo>,
}

/// A compiled and described plugin. Cheap to clone.
#[derive(Clone)]
pub struct Plugin(Arc<Inner>);

struct Inner {
    engine: Engine,
    component: Component,
    origin: Origin,
    digest: String,
    size: usize,
    kinds: Vec<Kind>,
    imports: Vec<String>,
    info: Info,
}

impl Plugin {
    /// Compiles a plugin and asks it to describe itself. `name` stands for it in errors until it has said its own.
    ///
    /// # Errors
    /// If the bytes are not a component that this host can run.
    pub fn load(engine: &Engine, name: &str, origin: Origin, bytes: &Cow<'static, [u8]>) -> Result<Self> {
        let plugin = || name.to_owned();
        match bytes.get(..8) {
            // The last four bytes tell a core module (version 1, layer 0) from a component (layer 1).
            Some([b'\0', b'a', b's', b'm', _, _, 1, 0]) => {}
            Some([b'\0', b'a', b's', b'm', ..]) => return Err(Error::CoreModule { plugin: plugin() }),
            _ => return Err(Error::NotWasm { plugin: plugin() }),
        }
        let component = Component::from_binary(engine.wasmtime(), bytes)
            .map_err(|error| Error::Compile { plugin: plugin(), message: error.root_cause().to_string() })?;
        let names = |items: Vec<&str>| items.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let r#type = component.component_type();
        let exports = names(r#type.exports(engine.wasmtime()).map(|(name, _)| name).collect());
        let imports = names(r#type.imports(engine.wasmtime()).map(|(name, _)| name).collect());
        check_versions(name, exports.iter().chain(&imports))?;
        let kinds = kinds::detect(&exports);
        if kinds.is_empty() {
            return Err(Error::NoKnownExport { plugin: plugin(), exports });
        }
        let digest = format!("sha256:{}", hex(&Sha256::digest(bytes)));
        let info =
            Info { name: plugin(), version: String::new(), summary: String::new(), parameters: Vec::new() };
        let size = bytes.len();
        let inner = Inner { engine: engine.clone(), component, origin, digest, size, kinds, imports, info };
        engine
            .linker()
            .instantiate_pre(&inner.component)
            .map_err(|error| Error::Link { plugin: plugin(), message: format!("{error:#}") })?;
        let undescribed = Self(Arc::new(inner));
        let info = undescribed.describe()?;
        let inner =
            Arc::into_inner(undescribed.0).ok_or_else(|| Error::Engine("a plugin is still in use".into()))?;
        Ok(Self(Arc::new(Inner { info, ..inner })))
    }

    fn describe(&self) -> Result<Info> {
        let mut store = new_store(self, &Limits::default());
        let instance = instantiate(self, &mut store)?;
        let info = call(self, &mut store, "describe", |store| {
            Describe::new(&mut *store, &instance)?.swift_plugin_meta().call_describe(store)
        })?;
        let parameters =
            info.parameters.into_iter().map(|parameter| self.parameter(parameter)).collect::<Result<_>>()?;
        Ok(Info { name: info.name, version: info.version, summary: info.summary, parameters })
    }

    fn parameter(&self, parameter: meta::Parameter) -> Result<ParameterInfo> {
        let default = serde_json::from_str(&parameter.default_json).map_err(|error| Error::Contract {
            plugin: self.name().to_owned(),
            function: "describe",
            what: format!("a default of `{}` that is not JSON ({error})", parameter.name),
        })?;
        let r#type = match parameter.type_ {
            meta::ParameterType::Boolean => ParameterType::Boolean,
            meta::ParameterType::Integer => ParameterType::Integer,
            meta::ParameterType::Number => ParameterType::Number,
            meta::ParameterType::Text => ParameterType::Text,
            meta::ParameterType::List => ParameterType::List,
        };
        Ok(ParameterInfo { name: parameter.name, summary: parameter.summary, r#type, default })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    pub(crate) fn component(&self) -> &Component {
        &self.0.component
    }

    /// The name it gives itself.
    pub fn name(&self) -> &str {
        &self.0.info.name
    }

    /// What it says of itself.
    pub fn info(&self) -> &Info {
        &self.0.info
    }

    /// `sha256:` and the digest of the file in hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.0.digest
    }

    /// Where it came from.
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// Size of the file in bytes.
    pub fn size(&self) -> usize {
        self.0.size
    }

    /// What it is; a component may be several things.
    pub fn kinds(&self) -> &[Kind] {
        &self.0.kinds
    }

    /// The interfaces it imports.
    pub fn imports(&self) -> &[String] {
        &self.0.imports
    }

    /// Refuses arguments that the plugin does not have or that are of the wrong type.
    ///
    /// # Errors
    /// [`Error::UnknownArgument`] and [`Error::ArgumentType`].
    pub fn check_arguments(&self, arguments: &Map<String, Value>) -> Result<()> {
        arguments::check(self.info(), self.name(), arguments)
    }

    pub(crate) fn expect(&self, kind: Kind) -> Result<()> {
        if self.kinds().contains(&kind) {
            return Ok(());
        }
        let is = self.kinds().iter().map(|kind| kind.name()).collect::<Vec<_>>().join(" and ");
        Err(Error::WrongKind { plugin: self.name().to_owned(), wanted: kind.name(), is })
    }

    /// Starts it as a loss.
    ///
    /// # Errors
    /// If it is none, or refuses its arguments, or fails.
    pub fn loss(&self, arguments: &Map<String, Value>, limits: &Limits) -> Result<LossPlugin> {
        LossPlugin::start(self, arguments, limits)
    }

    /// Starts it as a model definition.
    ///
    /// # Errors
    /// If it is none, or fails.
    pub fn model(&self, limits: &Limits) -> Result<ModelPlugin> {
        ModelPlugin::start(self, limits)
    }

    /// Starts it as a callback.
    ///
    /// # Errors
    /// If it is none, or refuses its arguments, or fails.
    pub fn callback(&self, arguments: &Map<String, Value>, limits: &Limits) -> Result<CallbackPlugin> {
        CallbackPlugin::start(self, arguments, limits)
    }

    /// Starts it as a dataset adapter.
    ///
    /// # Errors
    /// If it is none, or fails.
    pub fn dataset(&self, limits: &Limits) -> Result<DatasetPlugin> {
        DatasetPlugin::start(self, limits)
    }
}

/// Refuses an interface of the contract in a version that this host does not speak, before the linker does in its words.
fn check_versions<'a>(plugin: &str, interfaces: impl Iterator<Item = &'a String>) -> Result<()> {
    for wanted in interfaces {
        let Some((_, version)) = wanted.strip_prefix(PACKAGE).and_then(|rest| rest.split_once('@')) else {
            continue;
        };
        let track = |version: &str| version.split('.').take(2).map(str::to_owned).collect::<Vec<_>>();
        if track(version) != track(CONTRACT_VERSION) {
            return Err(Error::ContractVersion {
                plugin: plugin.to_owned(),
                wanted: wanted.clone(),
                spoken: CONTRACT_VERSION,
            });
        }
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
