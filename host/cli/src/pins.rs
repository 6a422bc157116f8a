//! `--locked`: the plugins of an earlier run, and no others.

use std::path::{Path, PathBuf};

use swift_runtime::Plugin;
use swift_train::RunLock;

use crate::arguments::PluginArguments;
use crate::report::UsageError;

/// The plugins that a lock file pins. Without `--locked` it pins none and allows all.
pub(crate) struct Pins(Option<(PathBuf, RunLock)>);

impl Pins {
    /// Reads the lock file that `--lock` names, or else that of the run that is resumed.
    pub(crate) fn read(arguments: &PluginArguments, checkpoint: Option<&Path>) -> anyhow::Result<Self> {
        if !arguments.locked {
            return Ok(Self(None));
        }
        let of_resumed = || Some(checkpoint?.parent()?.join(RunLock::FILE));
        let path = arguments.lock.clone().or_else(of_resumed).ok_or_else(|| {
            UsageError::new("`--locked` has no lock file to go by")
                .hint("`--lock RUN/run.lock.json` names that of an earlier run; a resumed run has its own")
        })?;
        let lock = RunLock::read(&path)?;
        Ok(Self(Some((path, lock))))
    }

    /// Refuses the first plugin that is not pinned, or has another digest.
    pub(crate) fn check<'a>(&self, mut plugins: impl Iterator<Item = &'a Plugin>) -> Result<(), UsageError> {
        let Some((path, lock)) = &self.0 else { return Ok(()) };
        let path = path.display();
        plugins.try_for_each(|plugin| {
            let (name, digest) = (plugin.name(), plugin.digest());
            match lock.plugins.get(name) {
                Some(pinned) if pinned.digest == digest => Ok(()),
                Some(pinned) => Err(UsageError::new(format!(
                    "The plugin `{name}` has the digest `{digest}`, and `{path}` pins `{}`",
                    pinned.digest
                ))
                .hint(format!("that one came from `{}`", pinned.origin))
                .hint(
                    "if the change is wanted, run without `--locked`; the new run has a lock file of its own",
                )),
                None => Err(UsageError::new(format!(
                    "The plugin `{name}` has the digest `{digest}`, and `{path}` pins no plugin of this name"
                ))
                .hint(format!(
                    "it pins `{}`",
                    lock.plugins.keys().cloned().collect::<Vec<_>>().join("`, `")
                ))),
            }
        })
    }
}
