//! Files under the names of their digests.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::digest::ALGORITHM;
use crate::{Digest, Error, Result};

/// A folder with a file for each digest. Who can write there can do no more than make the host download again: a file
/// counts only if it has the digest that it is named after.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    pub(crate) fn new(directory: &Path) -> Self {
        Self { folder: directory.join(ALGORITHM) }
    }

    /// The file with this digest, if it is there. One with other contents is removed.
    ///
    /// # Errors
    /// If there is one and it can't be read.
    pub(crate) fn read(&self, digest: &Digest) -> Result<Option<Vec<u8>>> {
        let path = self.path(digest);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(Error::Read { path, cause }),
        };
        let actual = Digest::of(&bytes);
        if actual == *digest {
            return Ok(Some(bytes));
        }
        tracing::warn!("`{}` was damaged and has the digest `{actual}`; it is not used", path.display());
        // If it stays, it is refused again.
        let _ = fs::remove_file(&path);
        Ok(None)
    }

    /// Keeps a file. That it can't be kept is a warning and no error.
    pub(crate) fn write(&self, digest: &Digest, bytes: &[u8]) {
        let path = self.path(digest);
        if let Err(error) = self.write_whole(&path, bytes) {
            tracing::warn!("`{}` can't be kept: {error}", path.display());
        }
    }

    /// Writes beside and renames, so that there is never half of a file.
    fn write_whole(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(bytes)?;
        file.persist(path)?;
        Ok(())
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(digest.hexadecimal())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found_under_its_digest() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, digest) = (Cache::new(folder.path()), Digest::of(b"abc"));
        assert_eq!(cache.read(&digest).unwrap(), None);
        cache.write(&digest, b"abc");
        assert_eq!(cache.read(&digest).unwrap().as_deref(), Some(&b"abc"[..]));
        let names: Vec<_> =
            fs::read_dir(&cache.folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [digest.hexadecimal().as_str()], "nothing else is left behind");
    }

    #[test]
    fn a_file_that_was_changed_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, digest) = (Cache::new(folder.path()), Digest::of(b"abc"));
        cache.write(&digest, b"abc");
        fs::write(cache.path(&digest), b"abd").unwrap();
        assert_eq!(cache.read(&digest).unwrap(), None);
        assert!(!cache.path(&digest).exists());
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        Cache::new(&file).write(&Digest::of(b"abc"), b"abc");
    }
}
