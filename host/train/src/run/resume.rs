//! Going on from a checkpoint.

use std::fs;
use std::path::{Path, PathBuf};

use super::between::OPTIMIZER_FILE;
use crate::checkpoint::{set_aside_later, verify_checkpoint};
use crate::gradient_scale::GradientScale;
use crate::learner::Learner;
use crate::progress::{Progress, Saved};
use crate::run_directory::RunDirectory;
use crate::tensor_file::TensorFile;
use crate::training::Output;
use crate::{Callback, Error, Observer, Result};

/// An adapter's weights in a checkpoint.
const ADAPTER_FILE: &str = "adapter_model.safetensors";

/// Brings everything to where it was when `checkpoint` was written.
///
/// # Errors
/// If the checkpoint is not complete or was written with other inputs, or if the run directory is not what it was or, for
/// a new one, not empty.
pub(super) fn take_up(
    checkpoint: &Path,
    output: &Output,
    learner: &mut Learner,
    callbacks: &mut [Box<dyn Callback>],
    observer: &mut dyn Observer,
) -> Result<(Progress, RunDirectory)> {
    verify_checkpoint(checkpoint)?;
    let Saved { mut progress, loss, callbacks: states, files, lock, .. } = Saved::read(checkpoint)?;
    let mut changes = output.lock.changes(&lock);
    for state in &states {
        if !callbacks.iter().any(|callback| callback.name() == state.name) {
            changes.push(format!("the callback `{}` is not there any more", state.name));
        }
    }
    if !changes.is_empty() {
        changes.dedup();
        return Err(Error::Changed { path: checkpoint.to_owned(), changes });
    }
    for change in output.lock.changed_versions(&lock) {
        observer.message(&format!(
            "While the run was interrupted, {change}; its results may differ in the last digits"
        ));
    }
    restore_parameters(checkpoint, learner)?;
    let skipped = progress.gradient_scale.as_ref().map_or(0, GradientScale::skipped);
    learner.optimizer_mut().restore(&checkpoint.join(OPTIMIZER_FILE), progress.step - skipped)?;
    if !loss.is_empty() {
        learner.loss_mut().restore_state(&loss)?;
    }
    for callback in callbacks {
        if let Some(saved) = states.iter().find(|saved| saved.name == callback.name()) {
            callback.restore_state(&saved.state)?;
        }
    }
    let Output { folder, arguments, lock, .. } = output;
    if is_in(checkpoint, folder) {
        for aside in set_aside_later(folder, progress.step)? {
            observer.message(&format!(
                "A checkpoint from after the one that the run goes on from is now `{}`",
                aside.display()
            ));
        }
        return Ok((progress, RunDirectory::resume(folder, &files, arguments, lock)?));
    }
    // The checkpoints of before are not in the new directory.
    progress.saved = None;
    progress.best = progress.best.map(|best| crate::progress::Best { checkpoint: None, ..best });
    Ok((progress, RunDirectory::create(folder, arguments, lock)?))
}

fn is_in(checkpoint: &Path, folder: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    match (real(checkpoint), real(folder)) {
        (Some(checkpoint), Some(folder)) => checkpoint.parent() == Some(&folder),
        _ => false,
    }
}

/// Overwrites all trained parameters in place.
fn restore_parameters(checkpoint: &Path, learner: &Learner) -> Result<()> {
    let adapter = checkpoint.join(ADAPTER_FILE);
    let paths: Vec<PathBuf> =
        if adapter.exists() { vec![adapter] } else { swift_model::weight_files(checkpoint)? };
    let mut files = paths.iter().map(|path| TensorFile::open(path)).collect::<Result<Vec<_>>>()?;
    for parameter in learner.model().parameters() {
        let incomplete = |message: String| Error::Incomplete { path: checkpoint.to_owned(), message };
        let mut found = None;
        for file in &mut files {
            found = found.or(file.tensor(&parameter.name)?);
        }
        let found = found.ok_or_else(|| incomplete(format!("it has no tensor `{}`", parameter.name)))?;
        let (value, wanted) = (&parameter.value, (parameter.value.dtype(), parameter.value.dims()));
        if (found.dtype(), found.dims()) != wanted {
            let got = (found.dtype(), found.dims());
            return Err(incomplete(format!("`{}` is {got:?} and not {wanted:?}", parameter.name)));
        }
        value.slice_set(&found, 0, 0)?;
    }
    learner.model().parameters_changed();
    Ok(())
}
