//! Checkpoints as folders that are there as a whole or not at all.
//!
//! `checkpoint-N` is written as `.checkpoint-N.partial`, brought to the disk and renamed. Its last file, `checkpoint.json`,
//! lists all others with their sizes and checksums, so that damage that comes later is seen as well.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

const PREFIX: &str = "checkpoint-";
const PARTIAL: &str = ".partial";
const MANIFEST: &str = "checkpoint.json";

/// The list of a checkpoint's files.
#[derive(Serialize, Deserialize)]
struct Manifest {
    files: BTreeMap<String, Entry>,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct Entry {
    bytes: u64,
    crc32c: u32,
}

/// The folder of the checkpoint after `step` steps.
pub(crate) fn folder(run: &Path, step: u64) -> PathBuf {
    run.join(format!("{PREFIX}{step}"))
}

/// Writes the checkpoint after `step` steps: `content` puts its files into a folder beside, which then takes the
/// checkpoint's name. If anything fails, what was there before stays, and nothing of the new one does.
///
/// # Errors
/// What `content` gives, or if the operating system can't.
pub(crate) fn write(run: &Path, step: u64, content: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let target = folder(run, step);
    let beside = run.join(format!(".{PREFIX}{step}{PARTIAL}"));
    remove(&beside)?;
    let fill = || {
        fs::create_dir(&beside).map_err(Error::write(&beside))?;
        content(&beside)?;
        write_manifest(&beside)?;
        remove(&target)?;
        rename(&beside, &target)?;
        sync(run)
    };
    match fill() {
        Ok(()) => Ok(target),
        Err(error) => {
            // The first error is the one that matters.
            let _ = fs::remove_dir_all(&beside);
            Err(error)
        }
    }
}

/// Removes what writes that did not finish have left in `run`.
pub(crate) fn remove_partial(run: &Path) -> Result<()> {
    let partial = |name: &String| name.starts_with(&format!(".{PREFIX}")) && name.ends_with(PARTIAL);
    names(run)?.iter().filter(|name| partial(name)).try_for_each(|name| remove(&run.join(name)))
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::write(folder)(error)),
        _ => Ok(()),
    }
}

fn write_manifest(folder: &Path) -> Result<()> {
    let mut files = BTreeMap::new();
    for name in names(folder)? {
        let path = folder.join(&name);
        sync(&path)?;
        files.insert(name, entry(&path)?);
    }
    write_json(&folder.join(MANIFEST), &Manifest { files })?;
    sync(folder)
}

/// Brings a file or the names in a folder to the disk.
fn sync(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(Error::write(path))
}

fn entry(path: &Path) -> Result<Entry> {
    let mut file = File::open(path).map_err(Error::read(path))?;
    let mut entry = Entry { bytes: 0, crc32c: 0 };
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut buffer).map_err(Error::read(path))?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { return Ok(entry) };
        entry.bytes += count as u64;
        entry.crc32c = crc32c::crc32c_append(entry.crc32c, bytes);
    }
}

/// Writes a value as indented JSON, as a whole or not at all, and brings it to the disk.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let beside = path.with_extension("partial");
    let write = || {
        let mut text = serde_json::to_string_pretty(value)?;
        text.push('\n');
        let mut file = File::create(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(Error::write(path))
}

/// Checks that every file of a checkpoint is there and as it was written.
///
/// # Errors
/// [`Error::Incomplete`] says which is not.
pub fn verify_checkpoint(checkpoint: &Path) -> Result<()> {
    let incomplete = |message: String| Error::Incomplete { path: checkpoint.to_owned(), message };
    if !checkpoint.is_dir() {
        return Err(incomplete("there is no such folder".into()));
    }
    let text =
        fs::read(checkpoint.join(MANIFEST)).map_err(|_| incomplete(format!("it has no `{MANIFEST}`")))?;
    let manifest: Manifest = serde_json::from_slice(&text)
        .map_err(|error| incomplete(format!("`{MANIFEST}` is damaged: {error}")))?;
    for (name, expected) in manifest.files {
        let path = checkpoint.join(&name);
        if !path.is_file() {
            return Err(incomplete(format!("`{name}` is missing")));
        }
        let found = entry(&path)?;
        if found.bytes != expected.bytes {
            return Err(incomplete(format!(
                "`{name}` has {} bytes instead of {}",
                found.bytes, expected.bytes
            )));
        }
        if found != expected {
            return Err(incomplete(format!("`{name}` is damaged")));
        }
    }
    Ok(())
}

/// The newest checkpoint of a run that is complete, and why each newer one is not.
#[derive(Debug)]
pub struct LastCheckpoint {
    /// Its folder.
    pub path: PathBuf,
    /// An [`Error::Incomplete`] for each newer one.
    pub skipped: Vec<Error>,
}

/// Finds the newest complete checkpoint in the run directory `run`.
///
/// # Errors
/// [`Error::NoCheckpoint`] if there is none at all, [`Error::Incomplete`] of the newest one if none is complete.
pub fn last_checkpoint(run: &Path) -> Result<LastCheckpoint> {
    let mut skipped = Vec::new();
    let steps = if run.is_dir() { steps(run)? } else { Vec::new() };
    for step in steps.into_iter().rev() {
        let path = folder(run, step);
        match verify_checkpoint(&path) {
            Ok(()) => return Ok(LastCheckpoint { path, skipped }),
            Err(error) => skipped.push(error),
        }
    }
    Err(skipped.into_iter().next().unwrap_or_else(|| Error::NoCheckpoint(run.to_owned())))
}

/// The steps of all checkpoints of a run, in order.
fn steps(run: &Path) -> Result<Vec<u64>> {
    let step = |name: &String| name.strip_prefix(PREFIX)?.parse().ok();
    let mut steps: Vec<u64> = names(run)?.iter().filter_map(step).collect();
    steps.sort_unstable();
    Ok(steps)
}

/// Removes checkpoints until `limit` are left, the oldest first, but never the newest nor the `best`.
pub(crate) fn rotate(run: &Path, limit: usize, best: Option<u64>) -> Result<()> {
    let mut steps = steps(run)?;
    let excess = steps.len().saturating_sub(limit);
    steps.pop();
    let removable = steps.into_iter().filter(|step| Some(*step) != best);
    removable.take(excess).try_for_each(|step| {
        // Renamed first, so that it is never there in part.
        let aside = run.join(format!(".{PREFIX}{step}{PARTIAL}"));
        rename(&folder(run, step), &aside)?;
        remove(&aside)
    })
}

/// Renames checkpoints with more than `step` steps to `abandoned-checkpoint-N`, since the run goes another way from here,
/// and gives their new names.
pub(crate) fn set_aside_later(run: &Path, step: u64) -> Result<Vec<PathBuf>> {
    let later = steps(run)?.into_iter().filter(|other| *other > step);
    let set_aside = later.map(|other| {
        let aside = run.join(format!("abandoned-{PREFIX}{other}"));
        remove(&aside)?;
        rename(&folder(run, other), &aside)?;
        Ok(aside)
    });
    set_aside.collect()
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(Error::write(to))
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).map_err(Error::read(folder))?;
    let mut names = entries
        .map(|entry| Ok(entry.map_err(Error::read(folder))?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>>>()?;
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_step(run: &Path, step: u64, text: &str) -> PathBuf {
        let content = |folder: &Path| {
            let path = folder.join("weights");
            fs::write(&path, text).map_err(Error::write(&path))
        };
        write(run, step, content).unwrap()
    }

    fn listed(run: &Path) -> Vec<String> {
        names(run).unwrap()
    }

    #[test]
    fn a_checkpoint_that_fails_leaves_the_one_before_and_no_part_of_itself() {
        let run = tempfile::tempdir().unwrap();
        write_step(run.path(), 3, "old");
        let failed = write(run.path(), 3, |folder| {
            fs::write(folder.join("weights"), "ne").unwrap();
            Err(Error::NothingToTrain)
        });
        assert!(failed.is_err());
        assert_eq!(listed(run.path()), ["checkpoint-3"]);
        verify_checkpoint(&folder(run.path(), 3)).unwrap();
        assert_eq!(fs::read(folder(run.path(), 3).join("weights")).unwrap(), b"old");
    }

    #[test]
    fn what_a_killed_process_left_is_no_checkpoint_and_is_cleared_away() {
        let run = tempfile::tempdir().unwrap();
        let left = run.path().join(".checkpoint-6.partial");
        fs::create_dir(&left).unwrap();
        fs::write(left.join("weights"), "half").unwrap();
        assert!(matches!(last_checkpoint(run.path()), Err(Error::NoCheckpoint(_))));
        let path = write_step(run.path(), 6, "whole");
        assert_eq!(last_checkpoint(run.path()).unwrap().path, path);
        fs::create_dir(&left).unwrap();
        remove_partial(run.path()).unwrap();
        assert_eq!(listed(run.path()), ["checkpoint-6"]);
    }

    #[test]
    fn damage_is_found_and_named() {
        let run = tempfile::tempdir().unwrap();
        let path = write_step(run.path(), 1, "weights");
        let said = |path: &Path| verify_checkpoint(path).unwrap_err().to_string();
        fs::write(path.join("weights"), "weighty").unwrap();
        assert!(said(&path).ends_with("checkpoint-1` is not complete: `weights` is damaged"));
        fs::write(path.join("weights"), "weigh").unwrap();
        assert!(said(&path).ends_with("`weights` has 5 bytes instead of 7"));
        fs::remove_file(path.join("weights")).unwrap();
        assert!(said(&path).ends_with("`weights` is missing"));
        fs::write(path.join(MANIFEST), "{").unwrap();
        assert!(said(&path).contains("`checkpoint.json` is damaged"));
        fs::remove_file(path.join(MANIFEST)).unwrap();
        assert!(said(&path).ends_with("it has no `checkpoint.json`"));
        assert!(said(&run.path().join("none")).ends_with("there is no such folder"));
    }

    #[test]
    fn the_last_checkpoint_is_the_newest_complete_one_by_number() {
        let run = tempfile::tempdir().unwrap();
        let ninth = write_step(run.path(), 9, "a");
        let tenth = write_step(run.path(), 10, "b");
        assert_eq!(last_checkpoint(run.path()).unwrap().path, tenth);
        fs::write(tenth.join("weights"), "").unwrap();
        let last = last_checkpoint(run.path()).unwrap();
        assert_eq!(last.path, ninth);
        assert!(last.skipped[0].to_string().contains("checkpoint-10"));
        fs::remove_dir_all(ninth).unwrap();
        assert!(matches!(last_checkpoint(run.path()), Err(Error::Incomplete { .. })));
    }

    #[test]
    fn rotation_keeps_the_newest_and_the_best() {
        let run = tempfile::tempdir().unwrap();
        for step in [2, 4, 6, 8, 10] {
            write_step(run.path(), step, "");
        }
        rotate(run.path(), 2, Some(4)).unwrap();
        assert_eq!(listed(run.path()), ["checkpoint-10", "checkpoint-4"]);
        rotate(run.path(), 1, Some(4)).unwrap();
        assert_eq!(listed(run.path()), ["checkpoint-10", "checkpoint-4"]);
    }

    #[test]
    fn checkpoints_of_an_abandoned_way_are_set_aside() {
        let run = tempfile::tempdir().unwrap();
        for step in [2, 8, 10] {
            write_step(run.path(), step, "");
        }
        let aside = ["abandoned-checkpoint-8", "abandoned-checkpoint-10"].map(|name| run.path().join(name));
        assert_eq!(set_aside_later(run.path(), 2).unwrap(), aside);
        assert_eq!(last_checkpoint(run.path()).unwrap().path, folder(run.path(), 2));
        write_step(run.path(), 8, "");
        assert_eq!(set_aside_later(run.path(), 2).unwrap(), aside[..1]);
    }
}
