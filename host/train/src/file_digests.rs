use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// Bytes that are read at once: few enough to be in a near cache when they are digested.
const BUFFER: usize = 1 << 17;

/// Digests of files, which are computed on threads of their own while other things are done. Large weights take as long to digest
/// as to load.
pub struct FileDigests {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<Found>>,
}

type Found = Vec<(PathBuf, Result<String>)>;

struct Queue {
    files: Vec<PathBuf>,
    next: AtomicUsize,
    /// Nobody waits for the digests any more.
    is_given_up: AtomicBool,
}

impl FileDigests {
    /// Begins with these files, each once, with as many threads as there are cores at the most.
    pub fn start(files: impl IntoIterator<Item = PathBuf>) -> Self {
        let files: Vec<PathBuf> = files.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let count = thread::available_parallelism().map_or(1, usize::from).min(files.len());
        let queue = Arc::new(Queue { files, next: AtomicUsize::new(0), is_given_up: AtomicBool::new(false) });
        let start = || {
            let queue = queue.clone();
            thread::Builder::new().name("digests".into()).spawn(move || queue.work())
        };
        // Where no thread can be had, `wait` does the work.
        let threads = (0..count).filter_map(|_| start().ok()).collect();
        Self { queue, threads }
    }

    /// All of them, `sha256:…` as `sha256sum` gives them.
    ///
    /// # Errors
    /// If a file can't be read.
    pub fn wait(mut self) -> Result<BTreeMap<PathBuf, String>> {
        let mut found = self.queue.work();
        for thread in self.threads.drain(..) {
            found.extend(thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        found.into_iter().map(|(path, digest)| Ok((path, digest?))).collect()
    }
}

impl Drop for FileDigests {
    fn drop(&mut self) {
        self.queue.is_given_up.store(true, Ordering::Relaxed);
    }
}

impl Queue {
    /// Digests files that nobody else does until there are none left.
    fn work(&self) -> Found {
        let next = || self.files.get(self.next.fetch_add(1, Ordering::Relaxed));
        std::iter::from_fn(|| next().map(|path| (path.clone(), self.digest(path)))).collect()
    }

    /// Of a part of the file if nobody waits for it any more.
    fn digest(&self, path: &Path) -> Result<String> {
        let mut file = File::open(path).map_err(Error::read(path))?;
        let mut state = Sha256::new();
        let mut buffer = vec![0; BUFFER];
        while !self.is_given_up.load(Ordering::Relaxed) {
            let count = file.read(&mut buffer).map_err(Error::read(path))?;
            let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
            state.update(bytes);
        }
        let hexadecimal: String = state.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(format!("sha256:{hexadecimal}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_sha256sum_by_path() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["x", "y"].map(|name| folder.path().join(name));
        std::fs::write(&paths[0], "abc").unwrap();
        std::fs::write(&paths[1], vec![b'a'; 1_000_000]).unwrap();
        let digests = FileDigests::start(paths.iter().chain(&paths).cloned()).wait().unwrap();
        assert_eq!(digests.len(), 2);
        let expected = [
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "sha256:cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
        ];
        assert_eq!(paths.map(|path| digests[&path].clone()), expected);
        assert!(FileDigests::start([]).wait().unwrap().is_empty());
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing");
        let error = FileDigests::start([path.clone()]).wait().unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}
