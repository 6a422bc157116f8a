/// What can be wrong with the registry's data.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the registry is not TOML, or not what the registry wants.
    #[error("The registry's file `{file}` is not valid: {message}")]
    File {
        /// The file's name.
        file: String,
        /// What the parser says.
        message: String,
    },
}

/// The result of reading the registry.
pub type Result<T> = std::result::Result<T, Error>;
