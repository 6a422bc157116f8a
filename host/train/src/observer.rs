use std::path::Path;

use crate::metrics::Numbers;

/// What a run is about to be, for [`Observer::started`].
#[derive(Clone, Debug, PartialEq)]
pub struct RunStarted<'a> {
    /// The run directory.
    pub folder: &'a Path,
    /// Steps done before, if the run was resumed.
    pub step: u64,
    /// Steps planned.
    pub max_steps: u64,
    /// Passes over the data planned, the last of which may be cut short.
    pub epochs: u64,
    /// Rows of the training set.
    pub examples: usize,
    /// How many parameters there are and how many are trained.
    pub model_parameter_info: &'a str,
}

/// Looks on, to show how far a run is. All methods do nothing by default.
pub trait Observer {
    /// The run directory is there, and the first step begins.
    fn started(&mut self, _run: &RunStarted<'_>) {}
    /// An optimiser step was taken.
    fn step_done(&mut self, _step: u64, _max_steps: u64) {}
    /// A line was written to `logging.jsonl`.
    fn logged(&mut self, _line: &Numbers) {}
    /// So many batches of the validation set have been evaluated.
    fn evaluating(&mut self, _done: usize, _total: usize) {}
    /// A checkpoint was written.
    fn saved(&mut self, _checkpoint: &Path) {}
    /// Something that the user should know, in a sentence.
    fn message(&mut self, _text: &str) {}
}

/// An observer that looks away.
impl Observer for () {}
