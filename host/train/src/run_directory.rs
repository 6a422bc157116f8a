use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::append::AppendFile;
use crate::metrics::Numbers;
use crate::progress::FileLengths;
use crate::tensorboard::Events;
use crate::{Error, Result, RunLock, checkpoint, curves};

const LOG_FILE: &str = "logging.jsonl";
const COMPLETIONS_FILE: &str = "completions.jsonl";
const EVENTS_FOLDER: &str = "runs";
const IMAGES_FOLDER: &str = "images";
pub(crate) const ARGUMENTS_FILE: &str = "args.json";

/// What a run leaves behind, laid out as ms-swift does: `args.json`, `run.lock.json`, `logging.jsonl`, `runs/`, `images/`
/// and checkpoints.
pub(crate) struct RunDirectory {
    path: PathBuf,
    /// Whether the folder was not there before.
    made: bool,
    log: AppendFile,
    events: Events,
    /// Answers, if any were written.
    completions: Option<AppendFile>,
}

/// Checks that a new run may write into `folder`.
///
/// # Errors
/// If it is a file or has something in it.
pub fn require_empty(folder: &Path) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next(),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            return Err(Error::OutputNotFolder(folder.to_owned()));
        }
        Err(error) => return Err(Error::read(folder)(error)),
    };
    if entries.is_some() { Err(Error::OutputNotEmpty(folder.to_owned())) } else { Ok(()) }
}

impl RunDirectory {
    /// The directory of a new run.
    ///
    /// # Errors
    /// If there is something in it, or it can't be made.
    pub(crate) fn create(path: &Path, arguments: &Numbers, lock: &RunLock) -> Result<Self> {
        require_empty(path)?;
        let made = !path.exists();
        let events = path.join(EVENTS_FOLDER);
        fs::create_dir_all(&events).map_err(Error::write(&events))?;
        describe(path, arguments, lock)?;
        let log = AppendFile::create(&path.join(LOG_FILE))?;
        Ok(Self { path: path.to_owned(), made, log, events: Events::create(&events)?, completions: None })
    }

    /// The directory as it was at a checkpoint in it: later lines are cut off, so that in the end all is as if the run had
    /// never been interrupted.
    ///
    /// # Errors
    /// If a file has got lost or shorter.
    pub(crate) fn resume(
        path: &Path,
        files: &FileLengths,
        arguments: &Numbers,
        lock: &RunLock,
    ) -> Result<Self> {
        checkpoint::remove_partial(path)?;
        let log = AppendFile::resume(&path.join(LOG_FILE), files.log)?;
        let events = Events::resume(&path.join(EVENTS_FOLDER).join(&files.events_name), files.events)?;
        let completions = path.join(COMPLETIONS_FILE);
        let completions = match files.completions {
            Some(length) => Some(AppendFile::resume(&completions, length)?),
            None if completions.exists() => {
                fs::remove_file(&completions).map_err(Error::write(&completions))?;
                None
            }
            None => None,
        };
        describe(path, arguments, lock)?;
        Ok(Self { path: path.to_owned(), made: false, log, events, completions })
    }

    /// Removes a new directory with all that the run has put there.
    pub(crate) fn discard(self) -> Result<()> {
        let Self { path, made, .. } = self;
        fs::remove_dir_all(&path).map_err(Error::write(&path))?;
        if made { Ok(()) } else { fs::create_dir(&path).map_err(Error::write(&path)) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of the curves.
    pub(crate) fn images(&self) -> PathBuf {
        self.path.join(IMAGES_FOLDER)
    }

    /// Adds a line to the log, and its numbers to the events.
    pub(crate) fn add(&mut self, step: u64, line: &Numbers) -> Result<()> {
        self.add_line(line)?;
        self.events.add(step, line)
    }

    /// Adds a line to the log only.
    pub(crate) fn add_line(&mut self, line: &Numbers) -> Result<()> {
        self.log.append(format!("{}\n", json!(line)).as_bytes())
    }

    /// Adds lines to the file of answers.
    pub(crate) fn add_completions(&mut self, lines: &[u8]) -> Result<()> {
        if self.completions.is_none() {
            self.completions = Some(AppendFile::create(&self.path.join(COMPLETIONS_FILE))?);
        }
        self.completions.iter_mut().try_for_each(|file| file.append(lines))
    }

    /// Brings everything to the disk, and says how long the files are.
    pub(crate) fn sync(&self) -> Result<FileLengths> {
        let events = self.events.file();
        self.log.sync()?;
        events.sync()?;
        self.completions.iter().try_for_each(AppendFile::sync)?;
        let events_name = events.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(FileLengths {
            log: self.log.length(),
            events: events.length(),
            events_name,
            completions: self.completions.as_ref().map(AppendFile::length),
        })
    }

    /// Draws the curves anew.
    pub(crate) fn draw(&self, history: &[Numbers]) -> Result<()> {
        curves::draw(&self.images(), history)
    }
}

fn describe(path: &Path, arguments: &Numbers, lock: &RunLock) -> Result<()> {
    checkpoint::write_json(&path.join(ARGUMENTS_FILE), &Value::Object(arguments.clone()))?;
    checkpoint::write_json(&path.join(RunLock::FILE), lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(value: Value) -> Numbers {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_folder_with_something_in_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        require_empty(folder.path()).unwrap();
        require_empty(&folder.path().join("new/deep")).unwrap();
        fs::write(folder.path().join("x"), "").unwrap();
        assert!(require_empty(folder.path()).unwrap_err().to_string().ends_with("is not empty"));
        assert!(require_empty(&folder.path().join("x")).unwrap_err().to_string().ends_with("is a file"));
    }

    #[test]
    fn after_resuming_the_log_is_as_if_nothing_had_happened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let (arguments, lock) = (line(json!({ "seed": 42 })), RunLock::default());
        let mut run = RunDirectory::create(&path, &arguments, &lock).unwrap();
        run.add(1, &line(json!({ "loss": 2.0 / 3.0, "global_step/max_steps": "1/3" }))).unwrap();
        let lengths = run.sync().unwrap();
        run.add(2, &line(json!({ "loss": 9.0 }))).unwrap();
        drop(run);
        fs::create_dir(path.join(".checkpoint-2.partial")).unwrap();
        let mut run = RunDirectory::resume(&path, &lengths, &arguments, &lock).unwrap();
        run.add(2, &line(json!({ "loss": 0.5 }))).unwrap();
        let log = fs::read_to_string(path.join(LOG_FILE)).unwrap();
        assert_eq!(log, "{\"loss\":0.6666666666666666,\"global_step/max_steps\":\"1/3\"}\n{\"loss\":0.5}\n");
        assert!(!path.join(".checkpoint-2.partial").exists());
        assert!(matches!(RunDirectory::create(&path, &arguments, &lock), Err(Error::OutputNotEmpty(_))));
    }
}
