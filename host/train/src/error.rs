use std::path::{Path, PathBuf};

/// What can go wrong in a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting makes no sense.
    #[error("`--{flag}` {message}")]
    Setting {
        /// The flag that it is set with, without dashes.
        flag: &'static str,
        /// What is wrong.
        message: String,
    },
    /// A parameter that shall be trained takes no part in the loss.
    #[error("The trainable parameter `{name}`{} got no gradient", and_more(*.more))]
    NoGradient {
        /// Its name.
        name: String,
        /// How many more got none.
        more: usize,
    },
    /// Nothing is to be trained.
    #[error("The model has no trainable parameters")]
    NothingToTrain,
    /// The loss or a gradient became NaN or infinite.
    #[error("{what} of step {step} is not finite{}", because(.origin.as_ref()))]
    NotFinite {
        /// The step, from 1.
        step: u64,
        /// `The loss`, or `The gradient of …`.
        what: String,
        /// What the first operation with such a result was, if computing it again told.
        origin: Option<String>,
    },
    /// A loss wants the outputs of a reference model and there is none.
    #[error("The loss needs a reference model")]
    ReferenceMissing,
    /// A loss wants the outputs of a teacher model and there is none.
    #[error("The loss needs a teacher model")]
    TeacherMissing,
    /// The model was told to add a loss of its own and adds none.
    #[error(
        "`--router-aux-loss-coef` is for a loss that the model adds to that of the run, and this model adds none"
    )]
    ModelLossMissing,
    /// A loss learns from answers of the model and nothing says how they are generated and judged.
    #[error("The loss learns from answers that the model gives during the run, and there are none")]
    RolloutsMissing,
    /// A reward gave infinity, or no number at all.
    #[error("The reward `{name}` gave a number that is not finite")]
    RewardNotFinite {
        /// Its name.
        name: String,
    },
    /// The model could not answer.
    #[error(transparent)]
    Generation(std::sync::Arc<swift_infer::Error>),
    /// An evaluation does not report the number that decides which checkpoint is best.
    #[error("The evaluation reports no `{name}`")]
    MetricMissing {
        /// The number.
        name: String,
        /// What is reported.
        reported: Vec<String>,
    },
    /// The run directory holds something.
    #[error("The output folder `{}` is not empty", .0.display())]
    OutputNotEmpty(PathBuf),
    /// The run directory is a file.
    #[error("The output folder `{}` is a file", .0.display())]
    OutputNotFolder(PathBuf),
    /// There is no checkpoint to resume from.
    #[error("There is no checkpoint in `{}`", .0.display())]
    NoCheckpoint(PathBuf),
    /// A checkpoint is half-written or damaged.
    #[error("The checkpoint `{}` is not complete: {message}", .path.display())]
    Incomplete {
        /// The checkpoint.
        path: PathBuf,
        /// What is missing or wrong.
        message: String,
    },
    /// A checkpoint was written with other inputs.
    #[error("The checkpoint `{}` cannot be resumed from, because {}", .path.display(), .changes.join(", and "))]
    Changed {
        /// The checkpoint.
        path: PathBuf,
        /// What is not as it was, such as ``the plugin `x` has changed``.
        changes: Vec<String>,
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
    /// A file is not what it must be.
    #[error("`{}` is damaged: {message}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] swift_tensor::Error),
    /// The model failed.
    #[error(transparent)]
    Model(Box<swift_model::Error>),
    /// The data failed.
    #[error(transparent)]
    Data(#[from] swift_data::Error),
    /// A plugin failed.
    #[error(transparent)]
    Plugin(Box<swift_runtime::Error>),
}

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

fn and_more(more: usize) -> String {
    if more == 0 { String::new() } else { format!(" (and {more} more)") }
}

fn because(origin: Option<&String>) -> String {
    origin.map(|origin| format!(": {origin}")).unwrap_or_default()
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::Tensor(error.into())
    }
}

impl From<swift_model::Error> for Error {
    fn from(error: swift_model::Error) -> Self {
        Self::Model(Box::new(error))
    }
}

impl From<swift_infer::Error> for Error {
    fn from(error: swift_infer::Error) -> Self {
        Self::Generation(std::sync::Arc::new(error))
    }
}

impl From<swift_runtime::Error> for Error {
    fn from(error: swift_runtime::Error) -> Self {
        Self::Plugin(Box::new(error))
    }
}

impl Error {
    pub(crate) fn setting(flag: &'static str, message: impl Into<String>) -> Self {
        Self::Setting { flag, message: message.into() }
    }

    pub(crate) fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        |cause| Self::Read { path: path.to_owned(), cause }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        |cause| Self::Write { path: path.to_owned(), cause }
    }

    pub(crate) fn damaged(path: &Path, message: impl ToString) -> Self {
        Self::Damaged { path: path.to_owned(), message: message.to_string() }
    }

    /// What the user may try next.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoGradient { .. } => "does the loss use an output of the model that depends on it?".into(),
            Self::NothingToTrain => "train an adapter with `--tuner-type lora`, or all weights with `--tuner-type full`".into(),
            Self::NotFinite { .. } => {
                "the last checkpoint is from before it; try a lower learning rate, a longer warm-up, or `--dtype float32`"
                    .into()
            }
            Self::TeacherMissing => "name its folder with `--teacher-model`".into(),
            Self::ModelLossMissing => {
                "leave it out: the model has no routers, or its definition keeps its experts evenly used in another way".into()
            }
            Self::ReferenceMissing => "name its folder with `--ref-model`".into(),
            Self::MetricMissing { reported, .. } => format!("it reports {}", quoted(reported)),
            Self::OutputNotEmpty(_) => {
                "name a new one with `--output-dir`, or go on from its last checkpoint with `--resume-from-checkpoint last`"
                    .into()
            }
            Self::OutputNotFolder(_) => "name a new folder with `--output-dir`".into(),
            Self::NoCheckpoint(_) => "start the run anew, without `--resume-from-checkpoint` and in another folder".into(),
            Self::Incomplete { .. } => "`--resume-from-checkpoint last` finds the newest one that is complete".into(),
            Self::Changed { .. } => {
                "resume with what the run was started with, or start a new run from the checkpoint's weights".into()
            }
            Self::Tensor(error) => return error.hint(),
            Self::Model(error) => return error.hint(),
            Self::Data(error) => return error.hint(),
            Self::Plugin(error) => return error.hint(),
            _ => return None,
        })
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
