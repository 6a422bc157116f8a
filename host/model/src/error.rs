use std::path::PathBuf;

/// What can go wrong with a model's files, adapters and stages.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model folder is not there.
    #[error("The model folder `{}` does not exist", .0.display())]
    FolderMissing(PathBuf),
    /// The model path names something else than a folder.
    #[error("The model `{}` is not a folder", .0.display())]
    NotAFolder(PathBuf),
    /// A file that every folder of its kind has is not there.
    #[error("The folder `{}` has no `{file}`", .folder.display())]
    FileMissing {
        /// The folder.
        folder: PathBuf,
        /// Its missing file.
        file: String,
    },
    /// The operating system could not read a file.
    #[error("Failed to read `{}`: {cause}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        cause: std::io::Error,
    },
    /// The operating system could not write a file.
    #[error("Failed to write `{}`: {cause}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        cause: std::io::Error,
    },
    /// A JSON file does not parse, or an entry is not what it must be.
    #[error("`{}` is not valid: {message}", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column where known.
        message: String,
    },
    /// No plugin knows the architecture.
    #[error("No model plugin supports the architecture `{architecture}` (model type `{model_type}`)")]
    UnsupportedArchitecture {
        /// First entry of `architectures` in `config.json`.
        architecture: String,
        /// `model_type` in `config.json`; empty if it has none.
        model_type: String,
        /// Names of the plugins that were asked.
        asked: Vec<String>,
    },
    /// A model plugin described an architecture that contradicts itself.
    #[error("The definition of `{architecture}` is inconsistent: {message}")]
    InconsistentArchitecture {
        /// The architecture's name.
        architecture: String,
        /// What is wrong.
        message: String,
    },
    /// A safetensors file is truncated or otherwise broken.
    #[error("`{}` is truncated or corrupt: {message}", .path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What the format's reader says.
        message: String,
    },
    /// Tensors that the model needs are not in the files.
    #[error("`{}` lacks the tensor `{name}`{}", .path.display(), and_more(*.more))]
    TensorMissing {
        /// The folder or file.
        path: PathBuf,
        /// The first missing tensor.
        name: String,
        /// How many more are missing.
        more: usize,
    },
    /// The files have tensors that the model does not know.
    #[error("`{}` has a tensor `{name}`{} that the model does not know", .path.display(), and_more(*.more))]
    TensorUnexpected {
        /// The file.
        path: PathBuf,
        /// The first such tensor.
        name: String,
        /// How many more there are.
        more: usize,
    },
    /// A tensor has another shape than the model says.
    #[error("The tensor `{name}` in `{}` has the shape {got:?} instead of {expected:?}{}", .path.display(), and_more(*.more))]
    TensorShape {
        /// The file.
        path: PathBuf,
        /// The first such tensor.
        name: String,
        /// Its shape in the file.
        got: Vec<usize>,
        /// Its shape in the model.
        expected: Vec<usize>,
        /// How many more there are.
        more: usize,
    },
    /// A tensor is stored in an element type that is not read.
    #[error("The tensor `{name}` in `{}` is of the type `{dtype}`, which is not supported", .path.display())]
    TensorType {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its element type.
        dtype: String,
    },
    /// A sequence is longer than the model's rotary tables are for.
    #[error("A sequence has {longest} tokens, and the model's rotary positions are for at most {limit}")]
    TooLong {
        /// The tokens of the longest sequence.
        longest: u64,
        /// The most that there may be.
        limit: u64,
    },
    /// A target module of an adapter is no linear layer of the model.
    #[error("The target module `{name}` is no linear layer of the model")]
    TargetUnknown {
        /// As the user wrote it.
        name: String,
        /// What could be written instead.
        available: Vec<String>,
    },
    /// A target parameter of an adapter is no weight of a linear layer of the model.
    #[error("The target parameter `{name}` is no weight of a linear layer of the model")]
    TargetParameterUnknown {
        /// As the user wrote it.
        name: String,
        /// What could be written instead.
        available: Vec<String>,
    },
    /// A target module is the output projection.
    #[error("The target module `{0}` is the output projection, which takes no adapter")]
    TargetHead(String),
    /// An adapter setting is out of range.
    #[error("The adapter's {0}")]
    AdapterSetting(String),
    /// An `adapter_config.json` asks for something that does not exist here.
    #[error("The adapter `{}` sets `{field}` to `{value}`, which is not supported", .path.display())]
    AdapterField {
        /// The `adapter_config.json`.
        path: PathBuf,
        /// The entry.
        field: String,
        /// Its value, as JSON.
        value: String,
    },
    /// The model cannot be set up for training in this way any more.
    #[error("The model already has {0}")]
    AlreadySet(&'static str),
    /// All parameters shall be trained, or written, and some are quantised.
    #[error("Quantised weights can't be trained or written")]
    Frozen,
    /// A batch does not fit together or not the model.
    #[error("The batch {0}")]
    Batch(String),
    /// A stage of the model gave a tensor that is no hidden state.
    #[error("Stage {stage} of `{architecture}` gave a {got} instead of {expected}")]
    StageOutput {
        /// The stage.
        stage: u32,
        /// The architecture's name.
        architecture: String,
        /// Element type and shape of the result.
        got: String,
        /// Element type and shape of a hidden state.
        expected: String,
    },
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] swift_tensor::Error),
    /// A plugin failed.
    #[error(transparent)]
    Plugin(Box<swift_runtime::Error>),
}

/// The result of working on a model.
pub type Result<T> = std::result::Result<T, Error>;

fn and_more(more: usize) -> String {
    if more == 0 { String::new() } else { format!(" (and {more} more)") }
}

impl From<swift_runtime::Error> for Error {
    fn from(error: swift_runtime::Error) -> Self {
        Self::Plugin(Box::new(error))
    }
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::Tensor(error.into())
    }
}

impl Error {
    /// What a failure to read `path` is.
    pub(crate) fn read(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |cause| match (cause.kind(), path.parent(), path.file_name()) {
            (std::io::ErrorKind::NotFound, Some(folder), Some(file)) => {
                Self::FileMissing { folder: folder.into(), file: file.to_string_lossy().into_owned() }
            }
            _ => Self::Read { path, cause },
        }
    }

    pub(crate) fn write(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |cause| Self::Write { path, cause }
    }

    pub(crate) fn json(path: impl Into<PathBuf>, message: impl ToString) -> Self {
        Self::Json { path: path.into(), message: message.to_string() }
    }

    /// What the user may try next.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::FolderMissing(_) | Self::NotAFolder(_) => {
                "give the path of a folder with `config.json` and `model.safetensors`".into()
            }
            Self::FileMissing { file, .. } if file == "model.safetensors" => {
                "weights are read from `model.safetensors`, or from the files that `model.safetensors.index.json` lists".into()
            }
            Self::FileMissing { file, .. } if file.starts_with("adapter_") => {
                "an adapter's folder has `adapter_config.json` and `adapter_model.safetensors`, as PEFT writes them".into()
            }
            Self::FileMissing { .. } => "is the download complete?".into(),
            Self::UnsupportedArchitecture { asked, .. } if asked.is_empty() => "no model plugin was given".into(),
            Self::UnsupportedArchitecture { asked, .. } => {
                format!(
                    "asked {}; `swift-host plugin new NAME --kind model` begins a plugin for it, as docs/new-model.md tells, and \
                     `--plugin FILE` adds it",
                    quoted(asked)
                )
            }
            Self::Corrupt { .. } => "download or copy the file again".into(),
            Self::TensorMissing { .. } | Self::TensorUnexpected { .. } | Self::TensorShape { .. } => {
                "do the weights belong to this `config.json` or this base model?".into()
            }
            Self::TensorType { .. } => "`F32`, `F16`, `BF16` and `F64` are supported".into(),
            Self::TargetUnknown { available, .. } => format!("`all-linear`, or some of {}", quoted(available)),
            Self::Frozen => "train an adapter beside them".into(),
            Self::TooLong { limit, .. } => format!(
                "`--max-length {limit}` for training and `--max-model-len {limit}` for answers keep to that; how positions beyond \
                 are rotated (`longrope`, `dynamic`) depends on the length, which is not supported"
            ),
            Self::TargetParameterUnknown { available, .. } => format!("some of {}", quoted(available)),
            Self::TargetHead(_) => "`all-linear` means every linear layer but the output projection".into(),
            Self::Tensor(error) => return error.hint(),
            Self::Plugin(error) => return error.hint(),
            _ => return None,
        };
        Some(hint)
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
