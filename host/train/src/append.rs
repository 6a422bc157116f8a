use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// A file that only grows, and that can be cut back to what it was at a checkpoint.
pub(crate) struct AppendFile {
    path: PathBuf,
    file: File,
    length: u64,
}

impl AppendFile {
    /// A new, empty file.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).map_err(Error::write(path))?;
        Ok(Self { path: path.to_owned(), file, length: 0 })
    }

    /// The file with what came after its first `length` bytes cut off.
    ///
    /// # Errors
    /// If it is shorter, or can't be opened.
    pub(crate) fn resume(path: &Path, length: u64) -> Result<Self> {
        let file = OpenOptions::new().append(true).open(path).map_err(Error::read(path))?;
        let found = file.metadata().map_err(Error::read(path))?.len();
        if found < length {
            return Err(Error::damaged(
                path,
                format!("it has {found} bytes and had {length} at the checkpoint"),
            ));
        }
        file.set_len(length).map_err(Error::write(path))?;
        Ok(Self { path: path.to_owned(), file, length })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes in the file.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Adds bytes at once, so that a reader never sees a part of them unless the process dies.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(Error::write(&self.path))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Brings what was written to the disk.
    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync_all().map_err(Error::write(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_after_a_checkpoint_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut file = AppendFile::create(&path).unwrap();
        file.append(b"one\n").unwrap();
        let length = file.length();
        file.append(b"two\n").unwrap();
        drop(file);
        let mut file = AppendFile::resume(&path, length).unwrap();
        file.append(b"three\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\nthree\n");
        assert_eq!(file.length(), 10);
    }

    #[test]
    fn a_file_that_lost_lines_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "x").unwrap();
        assert!(AppendFile::resume(&path, 2).err().unwrap().to_string().contains("had 2 at the checkpoint"));
        assert!(AppendFile::resume(&folder.path().join("none"), 0).is_err());
    }
}
