use std::path::{Path, PathBuf};

/// What can go wrong on the way from a user's files to batches.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A data file is not there.
    #[error("The dataset `{}` does not exist", .0.display())]
    SourceMissing(PathBuf),
    /// A data path names something else than a file.
    #[error("The dataset `{}` is not a file", .0.display())]
    SourceNotAFile(PathBuf),
    /// A data file has no rows.
    #[error("The dataset `{}` is empty", .0.display())]
    SourceEmpty(PathBuf),
    /// `PATH#N` with an `N` that is not a number above zero.
    #[error("`{spec}` does not say how many rows to take")]
    RowCount {
        /// What was asked for.
        spec: String,
    },
    /// A row does not parse.
    #[error("Line {line} of `{}` is not JSON: {message}", .path.display())]
    RowNotJson {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser says, with the column where it knows it.
        message: String,
    },
    /// A line of comma-separated values is not as the first one says.
    #[error("Line {line} of `{}` is not CSV: {message}", .path.display())]
    RowNotCsv {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// A row is a number, a string or a list.
    #[error("Line {line} of `{}` is not a JSON object", .path.display())]
    RowNotObject {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// No dataset plugin wants a file with these columns.
    #[error("No dataset plugin reads `{}`, whose columns are {}", .path.display(), quoted(.columns))]
    NoAdapter {
        /// The file.
        path: PathBuf,
        /// Its columns.
        columns: Vec<String>,
        /// The plugins that were asked.
        asked: Vec<String>,
    },
    /// A dataset plugin failed, or broke its contract.
    #[error("The dataset plugin `{adapter}` failed on `{}`: {failure}", .path.display())]
    Adapter {
        /// The plugin.
        adapter: String,
        /// The file it was reading.
        path: PathBuf,
        /// What it said.
        failure: AdapterFailure,
    },
    /// A template plugin or a rule for loss weights failed, or broke its contract.
    #[error("The plugin `{plugin}` failed on a conversation: {failure}")]
    Template {
        /// The plugin.
        plugin: String,
        /// What it said.
        failure: AdapterFailure,
    },
    /// Every row was left out.
    #[error("None of the {rows} rows can be used: {reason}")]
    NothingLeft {
        /// Rows read.
        rows: usize,
        /// Why the first reason's rows were left out.
        reason: String,
        /// All reasons with their counts, and an example each.
        details: Vec<String>,
    },
    /// The model folder has no tokeniser.
    #[error("The folder `{}` has no `tokenizer.json`", .0.display())]
    TokenizerMissing(PathBuf),
    /// One of the tokeniser's files is not what it must be.
    #[error("`{}` is not valid: {message}", .path.display())]
    TokenizerFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The tokeniser refused a text.
    #[error("The tokeniser failed: {0}")]
    Tokenize(String),
    /// There is no template of this name.
    #[error("There is no template `{name}`")]
    TemplateUnknown {
        /// The name asked for.
        name: String,
        /// All names.
        known: Vec<String>,
    },
    /// No template was named, and the model brings none, or `jinja` was named and the model brings none.
    #[error("The model has no chat template of its own")]
    TemplateMissing,
    /// The model's chat template does not parse.
    #[error("The model's chat template is not valid: {0}")]
    TemplateInvalid(String),
    /// An option has a value that makes no sense.
    #[error("`{option}` {message}")]
    InvalidOption {
        /// The option, spelt as its flag without dashes.
        option: &'static str,
        /// What it must be.
        message: String,
    },
    /// An example was asked for that the dataset does not have.
    #[error("There is no example {index} in a dataset of {length}")]
    NoSuchExample {
        /// The index asked for.
        index: usize,
        /// Examples there are.
        length: usize,
    },
    /// The operating system could not read a file.
    #[error("Failed to read `{}`: {cause}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        cause: std::io::Error,
    },
    /// The operating system could not write the token cache.
    #[error("Failed to write `{}`: {cause}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        cause: std::io::Error,
    },
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a plugin says when it fails as a whole (a row it cannot use is [`Outcome::Skipped`](crate::Outcome) or
/// [`Unfit`](crate::Unfit)).
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct AdapterFailure {
    /// What happened, in one sentence.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Error {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::SourceMissing(_) => "`--dataset` takes paths of JSON, JSONL, CSV or text files, `PATH#N` for N of its rows".into(),
            Self::SourceNotAFile(_) => "name the files in it one by one".into(),
            Self::SourceEmpty(_) => "it must have one JSON object a line, be a JSON array of objects, or have lines below its column names".into(),
            Self::RowCount { .. } => "write `PATH#500` for 500 rows; more than the file has repeats them".into(),
            Self::RowNotJson { .. } | Self::RowNotObject { .. } => {
                "each line must be one JSON object such as {\"messages\": [..]}, or the file one JSON array of objects"
                    .into()
            }
            Self::RowNotCsv { .. } => {
                "the first line names the columns, and each row has a cell for each of them: in double quotes if there is a comma, a quote or a line break in it".into()
            }
            Self::NoAdapter { asked, .. } => format!(
                "the plugins asked were {}; rename the columns to what one of them reads with `--columns`, or pass a dataset plugin of your own",
                quoted(asked)
            ),
            Self::Adapter { failure, .. } | Self::Template { failure, .. } => return failure.hint.clone(),
            Self::NothingLeft { details, .. } => details.join("\n"),
            Self::TokenizerMissing(_) => {
                "save the model with its fast tokeniser: `AutoTokenizer.from_pretrained(..).save_pretrained(..)`".into()
            }
            Self::TemplateUnknown { name, known } => {
                nearest(name, known).map_or_else(
                    || format!("the templates are {}", quoted(known)),
                    |near| format!("did you mean `{near}`?"),
                )
            }
            Self::TemplateMissing => "name its template with `--template`: `qwen`, `llama3`, `chatml` for instance".into(),
            Self::TemplateInvalid(_) => "pass `--template` to use another one".into(),
            _ => return None,
        })
    }

    /// What a failure of this plugin is.
    pub(crate) fn template(plugin: &str) -> impl FnOnce(AdapterFailure) -> Self + use<> {
        let plugin = plugin.to_owned();
        |failure| Self::Template { plugin, failure }
    }

    pub(crate) fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        |cause| Self::Read { path: path.to_owned(), cause }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        |cause| Self::Write { path: path.to_owned(), cause }
    }
}

/// `` `a`, `b`, `c` ``
fn quoted(names: &[String]) -> String {
    if names.is_empty() {
        return "none".into();
    }
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The known name that shares the longest beginning with `name`, if they share half of it.
fn nearest<'a>(name: &str, known: &'a [String]) -> Option<&'a String> {
    let plain = |text: &str| text.to_lowercase().replace(['-', '.', ' '], "_");
    let wanted = plain(name);
    let shared = |other: &str| {
        plain(other).chars().zip(wanted.chars()).take_while(|(left, right)| left == right).count()
    };
    known
        .iter()
        .filter(|other| 2 * shared(other) >= wanted.chars().count())
        .max_by_key(|other| (shared(other), std::cmp::Reverse(other.len())))
}
