use std::path::PathBuf;

use crate::grants::Denial;
use crate::limits::Breach;
use crate::{Kind, ParameterType, nearest};

/// The result of working with plugins.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong with a plugin. Every case that a plugin is to blame for names it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The WebAssembly engine did not start.
    #[error("The WebAssembly engine can't start: {0}")]
    Engine(String),
    /// A name that is neither a standard plugin nor a file.
    #[error("There is no plugin `{name}`")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names there are.
        standard: Vec<String>,
    },
    /// A file that could not be read.
    #[error("Failed to read the plugin `{}`: {cause}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// A file that is something else.
    #[error("`{plugin}` is not a WebAssembly file")]
    NotWasm {
        /// The plugin.
        plugin: String,
    },
    /// A core module, which has no typed interfaces.
    #[error("`{plugin}` is a core WebAssembly module and not a component")]
    CoreModule {
        /// The plugin.
        plugin: String,
    },
    /// A component that is damaged or uses features that the engine does not have.
    #[error("`{plugin}` is not a valid component: {message}")]
    Invalid {
        /// The plugin.
        plugin: String,
        /// What the compiler said.
        message: String,
    },
    /// A component that is no plugin.
    #[error("`{plugin}` exports nothing that the host knows; it exports {}", listed(.exports))]
    NothingKnown {
        /// The plugin.
        plugin: String,
        /// What it exports.
        exports: Vec<String>,
    },
    /// A component made for another version of the contract.
    #[error("`{plugin}` wants {wanted}, and this host speaks `{}`", crate::contract::PACKAGE)]
    Contract {
        /// The plugin.
        plugin: String,
        /// The interface with its version, or the function in it.
        wanted: String,
    },
    /// A component that imports what is not part of the contract.
    #[error("`{plugin}` imports `{import}`, which the host does not offer")]
    Import {
        /// The plugin.
        plugin: String,
        /// The interface or the function.
        import: String,
    },
    /// A plugin that was used as what it is not.
    #[error("`{plugin}` is not a {wanted} but a {}", any_of(.kinds))]
    Kind {
        /// The plugin.
        plugin: String,
        /// What it should be.
        wanted: Kind,
        /// What it is.
        kinds: Vec<Kind>,
    },
    /// A hyper-parameter that the plugin does not have.
    #[error("The plugin `{plugin}` has no parameter `{argument}`")]
    UnknownArgument {
        /// The plugin.
        plugin: String,
        /// The name given.
        argument: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A hyper-parameter of the wrong type.
    #[error("The parameter `{argument}` of the plugin `{plugin}` takes {expected}, not `{given}`")]
    ArgumentType {
        /// The plugin.
        plugin: String,
        /// The parameter.
        argument: String,
        /// What it takes.
        expected: ParameterType,
        /// The value given, as JSON.
        given: String,
    },
    /// The plugin reported an error.
    #[error("The plugin `{plugin}` failed in `{function}`: {message}")]
    Failed {
        /// The plugin.
        plugin: String,
        /// The function of the contract that was called.
        function: &'static str,
        /// What the plugin said.
        message: String,
        /// What it had asked for before and was not granted.
        denied: Vec<Denial>,
    },
    /// A component whose exports have the right names and the wrong types.
    #[error("`{plugin}` does not export `{interface}` as the contract says: {message}")]
    WrongInterface {
        /// The plugin.
        plugin: String,
        /// The interface.
        interface: String,
        /// What does not fit.
        message: String,
    },
    /// The plugin crashed: a panic, an uncaught exception, a fault. The next call starts it anew.
    #[error("The plugin `{plugin}` crashed in `{function}`: {message}")]
    Crash {
        /// The plugin.
        plugin: String,
        /// The function of the contract that was called.
        function: &'static str,
        /// The plugin's last words.
        message: String,
        /// What it had asked for before and was not granted.
        denied: Vec<Denial>,
    },
    /// Something that was granted to a plugin is not there.
    #[error("The plugin `{plugin}` can't be granted {grant}: {cause}")]
    Grant {
        /// The plugin.
        plugin: String,
        /// Which directory, variable or host.
        grant: String,
        /// Why.
        cause: String,
    },
    /// The plugin was stopped because it took too much of something. The next call starts it anew.
    #[error("The plugin `{plugin}` was stopped in `{function}`: it {breach}")]
    Limit {
        /// The plugin.
        plugin: String,
        /// The function of the contract that was called.
        function: &'static str,
        /// Of what.
        breach: Breach,
    },
    /// The plugin gave something that the contract forbids.
    #[error("The plugin `{plugin}` gave a wrong result from `{function}`: {message}")]
    WrongResult {
        /// The plugin.
        plugin: String,
        /// The function of the contract that was called.
        function: &'static str,
        /// What is wrong.
        message: String,
    },
    /// An operation that the plugin asked for found a value that is not finite, inside
    /// [`check_finite`](swift_tensor::check_finite).
    #[error("The plugin `{plugin}` failed in `{function}`: {cause}")]
    Tensor {
        /// The plugin.
        plugin: String,
        /// The function of the contract that was called.
        function: &'static str,
        /// The operation's error.
        cause: Box<swift_tensor::Error>,
    },
    /// An operation failed in a loss or a model that is native code.
    #[error(transparent)]
    Native(#[from] swift_tensor::Error),
}

impl Error {
    /// What the user may try next.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { name, standard } => {
                if let Some(nearest) = nearest::nearest(name, standard) {
                    return Some(format!("did you mean `{nearest}`?"));
                }
                let standard = standard.join("`, `");
                Some(format!("the standard plugins are `{standard}`; a file is named by its path"))
            }
            Self::Read { .. } => Some("check the path and who may read the file".into()),
            Self::NotWasm { .. } => {
                Some("a plugin is a WebAssembly component, usually a file that ends in `.wasm`".into())
            }
            Self::CoreModule { .. } => {
                Some("turn it into a component with `wasm-tools component new`".into())
            }
            Self::Invalid { .. } => Some("build the plugin again; the file may be damaged".into()),
            Self::NothingKnown { .. } => {
                let interfaces: Vec<String> =
                    Kind::all().map(|kind| crate::contract::name(kind.name())).collect();
                let meta = crate::contract::name("meta");
                Some(format!("a plugin exports `{meta}` and one of `{}`", interfaces.join("`, `")))
            }
            Self::WrongInterface { .. } => {
                Some("build the plugin against this version of the contract".into())
            }
            Self::Contract { wanted, .. } if crate::contract::is_older(wanted) => {
                Some("build the plugin against this version, or use the host that it was made for".into())
            }
            Self::Contract { .. } => {
                Some("use a newer host, or build the plugin against this version".into())
            }
            Self::Import { .. } => Some("a plugin may import `swift:plugin` and WASI 0.2".into()),
            Self::UnknownArgument { argument, known, .. } if !known.is_empty() => {
                Some(format!("its parameters are `{}`", nearest::sorted(argument, known).join("`, `")))
            }
            Self::UnknownArgument { .. } => Some("it has no parameters".into()),
            Self::Failed { plugin, denied, .. } => {
                let words = "these are the plugin's own words; its documentation may say more";
                Some(with_denials(words, plugin, denied))
            }
            Self::Crash { plugin, denied, .. } => Some(with_denials(MISTAKE, plugin, denied)),
            Self::WrongResult { .. } => Some(MISTAKE.into()),
            Self::Grant { .. } => Some(
                "directories, environment variables and names of hosts must be there when a run starts"
                    .into(),
            ),
            Self::Limit { breach, .. } => Some(breach.hint().into()),
            Self::Tensor { cause, .. } => cause.hint(),
            Self::Native(cause) => cause.hint(),
            Self::ArgumentType { plugin, .. } => {
                Some(format!("`swift-host plugin inspect {plugin}` shows its parameters with their defaults"))
            }
            Self::Engine(_) | Self::Kind { .. } => None,
        }
    }
}

/// A stage of a model runs inside tensor operations, whose errors are those of tensors.
impl From<Error> for swift_tensor::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Tensor { cause, .. } => *cause,
            Error::Native(cause) => cause,
            other => Self::Other(other.to_string()),
        }
    }
}

const MISTAKE: &str =
    "this is a mistake in the plugin; log lines of the level `debug` show where it came from";

/// A hint, or rather which grants are missing: a plugin that was refused something often fails of it. One that has merely
/// looked for what there is may have done so for no purpose of its own, as the runtimes of languages do.
fn with_denials(hint: &str, plugin: &str, denied: &[Denial]) -> String {
    let hints = |which: fn(&Denial) -> bool| denied.iter().filter(move |denial| which(denial));
    let refused: Vec<String> =
        hints(|denial| denial.which.is_some()).map(|denial| denial.hint(plugin)).collect();
    let looked = hints(|denial| denial.which.is_none()).map(|denial| denial.hint(plugin));
    let first = if refused.is_empty() { vec![hint.to_owned()] } else { refused };
    first.into_iter().chain(looked).collect::<Vec<_>>().join("; ")
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "nothing".into(),
        names => format!("`{}`", names.join("`, `")),
    }
}

fn any_of(kinds: &[Kind]) -> String {
    kinds.iter().map(Kind::to_string).collect::<Vec<_>>().join(" and a ")
}
