use std::path::PathBuf;

/// What can go wrong with a plugin. Every case names it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Neither a standard plugin nor a file.
    #[error("There is no plugin `{name}`")]
    Unknown {
        /// As the user wrote it.
        name: String,
        /// The standard plugins, the most similar first.
        known: Vec<String>,
    },
    /// The file can't be read.
    #[error("Can't read the plugin `{}`: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not WebAssembly.
    #[error("`{plugin}` is not a WebAssembly file")]
    NotWasm {
        /// The plugin.
        plugin: String,
    },
    /// A core module.
    #[error("`{plugin}` is a core WebAssembly module, not a component")]
    CoreModule {
        /// The plugin.
        plugin: String,
    },
    /// Damaged, or with features that are off.
    #[error("`{plugin}` can't be compiled: {message}")]
    Compile {
        /// The plugin.
        plugin: String,
        /// What the compiler said.
        message: String,
    },
    /// Exports no interface of the contract.
    #[error("`{plugin}` exports no interface that the host knows")]
    NoKnownExport {
        /// The plugin.
        plugin: String,
        /// What it exports.
        exports: Vec<String>,
    },
    /// Made for another version of the contract.
    #[error("`{plugin}` wants `{wanted}`, and this host speaks version {spoken} of the contract")]
    ContractVersion {
        /// The plugin.
        plugin: String,
        /// The interface with its version.
        wanted: String,
        /// The host's version.
        spoken: &'static str,
    },
    /// Imports something the host does not offer, or with other types.
    #[error("`{plugin}` does not fit this host: {message}")]
    Link {
        /// The plugin.
        plugin: String,
        /// What is missing.
        message: String,
    },
    /// It is not of the kind that was asked for.
    #[error("`{plugin}` is not a {wanted} plugin but a {is} plugin")]
    WrongKind {
        /// The plugin.
        plugin: String,
        /// The kind asked for.
        wanted: &'static str,
        /// The kinds it has.
        is: String,
    },
    /// An argument that the plugin does not have.
    #[error("`{plugin}` has no parameter `{argument}`")]
    UnknownArgument {
        /// The plugin.
        plugin: String,
        /// The argument.
        argument: String,
        /// Its parameters, the most similar first.
        known: Vec<String>,
    },
    /// An argument of the wrong type.
    #[error("Parameter `{argument}` of `{plugin}` is {wanted}, not `{value}`")]
    ArgumentType {
        /// The plugin.
        plugin: String,
        /// The argument.
        argument: String,
        /// The type wanted, in words.
        wanted: &'static str,
        /// The value given.
        value: String,
    },
    /// A call ended in a trap.
    #[error("`{plugin}` crashed in `{function}`: {message}")]
    Trap {
        /// The plugin.
        plugin: String,
        /// The function that was called.
        function: &'static str,
        /// The panic's message, or the trap's.
        message: String,
    },
    /// A call took too long.
    #[error("`{plugin}` did not come back from `{function}` within {seconds} seconds")]
    TimeOut {
        /// The plugin.
        plugin: String,
        /// The function that was called.
        function: &'static str,
        /// The limit.
        seconds: f64,
    },
    /// A limit on memory was reached.
    #[error("`{plugin}` asked for more than {limit} in `{function}`")]
    OutOfMemory {
        /// The plugin.
        plugin: String,
        /// The function that was called.
        function: &'static str,
        /// The limit in words.
        limit: String,
    },
    /// The plugin returned an error.
    #[error("`{plugin}` failed in `{function}`: {message}")]
    Failed {
        /// The plugin.
        plugin: String,
        /// The function that was called.
        function: &'static str,
        /// The plugin's words.
        message: String,
    },
    /// A tensor operation that the plugin asked for found something that the caller must know about.
    #[error("`{plugin}` in `{function}`: {source}")]
    Tensor {
        /// The plugin.
        plugin: String,
        /// The function that was called.
        function: &'static str,
        /// The operation's error.
        source: swift_tensor::Error,
    },
    /// The plugin returned something that the contract does not allow.
    #[error("`{plugin}` returned {what} from `{function}`")]
    Contract {
        /// The plugin.
        plugin: String,
        /// The function that was called.
        function: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// The WebAssembly engine can't be set up.
    #[error("The WebAssembly engine can't start: {0}")]
    Engine(String),
}

/// The result of anything that has to do with plugins.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// What the user may try next.
    pub fn hint(&self) -> Option<String> {
        let list =
            |names: &[String]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        Some(match self {
            Self::Unknown { known, .. } => {
                format!("standard plugins are {}; a plugin of your own is given as a path to its file", list(known))
            }
            Self::NotWasm { .. } => "a plugin is a WebAssembly component, usually a file that ends in `.wasm`".into(),
            Self::CoreModule { .. } => {
                "a core module becomes a component with `wasm-tools component new` or the `wit-component` crate".into()
            }
            Self::NoKnownExport { exports, .. } if exports.is_empty() => {
                format!("it exports nothing; a plugin exports one of {}", crate::kinds::expected())
            }
            Self::NoKnownExport { exports, .. } => {
                format!("it exports {}; a plugin exports one of {}", list(exports), crate::kinds::expected())
            }
            Self::ContractVersion { .. } => "use a newer `swift-host`, or build the plugin with an older SDK".into(),
            Self::UnknownArgument { known, .. } if known.is_empty() => "it has no parameters".into(),
            Self::UnknownArgument { known, .. } => format!("its parameters are {}", list(known)),
            Self::TimeOut { .. } => "the plugin may loop for ever; its own time is limited, not the host's".into(),
            Self::OutOfMemory { .. } => "the plugin may allocate without end".into(),
            Self::Tensor { source, .. } => return source.hint(),
            _ => return None,
        })
    }
}

/// A model's stage runs inside tensor operations, where errors are tensor errors.
impl From<Error> for swift_tensor::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Tensor { source, .. } => source,
            other => Self::Other(other.to_string()),
        }
    }
}
