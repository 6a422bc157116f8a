use std::path::{Path, PathBuf};

/// Why a project can't be made or built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file can't be read or written.
    #[error("can't {what} `{}`", .path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// A plugin can't be called that.
    #[error("`{0}` is no name for a plugin")]
    Name(String),
    /// There is something where the project would be.
    #[error("`{}` is there already", .0.display())]
    Exists(PathBuf),
    /// There is no project of this kind in this language to begin with.
    #[error("There is no project in `{language}` for the kind `{kind}`")]
    Kind {
        /// The language.
        language: &'static str,
        /// The kind.
        kind: String,
        /// The kinds that there are.
        known: Vec<&'static str>,
    },
    /// Nothing says how to build it.
    #[error("`{}` is no plugin project", .0.display())]
    NoProject(PathBuf),
    /// A source in C that does not say what it is.
    #[error("`{}` includes the header of no kind of plugins", .path.display())]
    Header {
        /// The source.
        path: PathBuf,
        /// The headers that there are.
        known: Vec<String>,
    },
    /// A tool is missing.
    #[error("{what} is missing")]
    ToolMissing {
        /// What is missing.
        what: &'static str,
        /// The one command that brings it.
        command: String,
    },
    /// A tool failed; it has said why.
    #[error("`{0}` failed")]
    Failed(String),
    /// There are no bindings of the contract.
    #[error("The bindings of the contract can't be made: {0}")]
    Bindings(String),
    /// A module is not one of a plugin.
    #[error("The module can't be made a component: {0}")]
    Component(String),
}

/// The result of making or building a project.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Name(_) => "use lower-case letters, digits and `-`, beginning with a letter".into(),
            Self::Exists(_) => "choose another name, or another folder with `--path`".into(),
            Self::Kind { known, .. } => format!("the kinds are `{}`", known.join("`, `")),
            Self::Header { known, .. } => format!("the headers are `{}`", known.join("`, `")),
            Self::NoProject(_) => {
                "name a folder with a `Cargo.toml`, or a file that ends in `.py`, `.js`, `.ts` or `.c`".into()
            }
            Self::ToolMissing { command, .. } => format!("run `{command}`"),
            Self::Component(_) => "does it call `export!`, and is `cdylib` among its crate types?".into(),
            _ => return None,
        })
    }

    pub(crate) fn file(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |cause| Self::File { what, path, cause }
    }
}
