use crate::error::AdapterFailure;
use crate::rows::Outcome;

/// Turns rows of files into samples. Implemented over dataset plugins.
pub trait Adapter {
    /// Its name, for messages.
    fn name(&self) -> &str;

    /// What identifies its behaviour: the digest of the plugin file. Part of the key of the token cache.
    fn digest(&self) -> &str;

    /// How well it can read files with these columns: 0 not at all. The one with the highest number gets the file, the
    /// earlier one of equals.
    ///
    /// # Errors
    /// The plugin failed.
    fn matches(&mut self, columns: &[String]) -> Result<u32, AdapterFailure>;

    /// Converts rows, each the text of a JSON object, giving as many outcomes.
    ///
    /// # Errors
    /// The plugin failed.
    fn convert(&mut self, rows: Vec<String>) -> Result<Vec<Outcome>, AdapterFailure>;
}
