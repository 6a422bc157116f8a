/// Why something is not generated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An option of a request is out of its range.
    #[error("`{name}` {rule}")]
    Option {
        /// The option.
        name: &'static str,
        /// What holds for it.
        rule: &'static str,
    },
    /// The prompt leaves no room for an answer.
    #[error("The prompt has {prompt} tokens, but the model's context has room for {context}")]
    PromptTooLong {
        /// Tokens of the prompt.
        prompt: usize,
        /// Tokens that fit, of prompt and answer together.
        context: usize,
    },
    /// No such adapter has been loaded.
    #[error("There is no adapter `{0}`")]
    UnknownAdapter(String),
    /// The adapter of an answer was taken away.
    #[error("The adapter `{0}` was unloaded while it was answering")]
    AdapterUnloaded(String),
    /// An adapter is there already.
    #[error("There is already an adapter `{0}`")]
    AdapterExists(String),
    /// Too many requests wait.
    #[error("The queue is full: {0} requests wait")]
    QueueFull(usize),
    /// A form that is forced can't be followed any further.
    #[error("The answer can't be kept in its form: {0}")]
    Form(String),
    /// A sampler failed.
    #[error(transparent)]
    Sampler(#[from] swift_runtime::Error),
    /// What answers are to look like is not valid, or more than is allowed.
    #[error("The grammar is refused: {0}")]
    Grammar(String),
    /// A search of beams found fewer answers than were asked for.
    #[error("Only {found} different answers are possible, but {wanted} were asked for")]
    TooFewAnswers {
        /// Answers that were found.
        found: usize,
        /// Answers that were asked for.
        wanted: u32,
    },
    /// No token is left to choose.
    #[error("No token is possible here")]
    NoToken,
    /// A file of a model is broken.
    #[error("`{}` is not valid: {message}", .path.display())]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong.
        message: String,
    },
    /// Steps were to be recorded where they can't be.
    #[error("CUDA graphs need a model on a CUDA device")]
    NoGraphs,
    /// The engine has been stopped.
    #[error("The engine has stopped")]
    Stopped,
    /// A limit of the engine leaves no room.
    #[error("The cache has {blocks} blocks, but one sequence alone may need {needed}")]
    CacheTooSmall {
        /// Blocks that there are.
        blocks: usize,
        /// Blocks that are needed.
        needed: usize,
    },
    /// The model failed.
    #[error(transparent)]
    Model(#[from] swift_model::Error),
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] swift_tensor::Error),
    /// The tokeniser failed.
    #[error(transparent)]
    Data(#[from] swift_data::Error),
}

/// The result of what can go wrong here.
pub type Result<T, E = Error> = std::result::Result<T, E>;
