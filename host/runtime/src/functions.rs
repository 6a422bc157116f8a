//! Compiled functions, kept on disk.
//!
//! The component of a plugin in JavaScript or Python is an interpreter with the plugin as its data. Two of them are different
//! components with thousands of the same functions, and compiling these takes nearly all of the time that loading such a
//! plugin does. So what was compiled for one is found again for all others, and for the same plugin after a change.
//!
//! A bundle has the new functions of a component in one file, which is written whole and never changed:
//!
//! ```text
//! MAGIC | count: u32 | checksum of the table: u32 | table | contents
//! table: count times [key: 32 bytes | length: u32 | checksum: u32], by key
//! ```
//!
//! A key is the compiler's, the digest of a function with the compiler's version and all settings. Numbers are little-endian,
//! checksums CRC-32C, and what does not have its own is compiled anew.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use wasmtime::CacheStore;

/// The first bytes of a bundle, with the version of the format.
const MAGIC: [u8; 8] = *b"swiftfn1";
const HEADER: usize = MAGIC.len() + 8;
const ROW: usize = 40;

/// What may be kept. Bundles beyond it are removed, those first that were not used for the longest time. With the least, it says
/// how many files may be open too.
const MOST_BYTES: u64 = 512 << 20;

/// New functions of fewer bytes are not kept: they are compiled in a second or two, and would be many files.
const LEAST_BYTES: usize = 4 << 20;

type Key = [u8; 32];

/// Compiled functions in the bundles of a folder, which processes may share.
#[derive(Debug)]
pub(crate) struct Functions {
    folder: PathBuf,
    least_bytes: usize,
    most_bytes: u64,
    /// Where each function is, read when one is first looked for: a plugin that is known whole needs none.
    kept: OnceLock<RwLock<HashMap<Key, Place>>>,
    /// What was compiled and is not kept yet. By key, so that the same functions are the same file.
    new: Mutex<BTreeMap<Key, Vec<u8>>>,
}

#[derive(Clone, Debug)]
struct Place {
    bundle: Arc<Bundle>,
    offset: u64,
    length: usize,
    checksum: u32,
}

#[derive(Debug)]
struct Bundle {
    file: File,
    /// Whether this process has used it.
    used: AtomicBool,
}

impl Functions {
    /// Those in a folder, which need not be there.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self::limited(folder, LEAST_BYTES, MOST_BYTES)
    }

    fn limited(folder: PathBuf, least_bytes: usize, most_bytes: u64) -> Self {
        Self { folder, least_bytes, most_bytes, kept: OnceLock::new(), new: Mutex::default() }
    }

    /// Writes what is new since the last time. That it can't be kept is a warning and no error.
    pub(crate) fn keep(&self) {
        let new = std::mem::take(&mut *self.new.lock().unwrap_or_else(PoisonError::into_inner));
        if new.values().map(Vec::len).sum::<usize>() < self.least_bytes {
            return;
        }
        if let Err(error) = self.write(&new).and_then(|()| self.remove_oldest()) {
            tracing::warn!("compiled functions can't be kept in `{}`: {error}", self.folder.display());
        }
    }

    /// Writes beside and renames, so that there is never half of a bundle.
    fn write(&self, functions: &BTreeMap<Key, Vec<u8>>) -> io::Result<()> {
        let mut table = Vec::with_capacity(functions.len() * ROW);
        for (key, value) in functions {
            table.extend_from_slice(key);
            table.extend_from_slice(&number(value.len())?);
            table.extend_from_slice(&crc32c::crc32c(value).to_le_bytes());
        }
        let path = self.folder.join(crate::plugin::hexadecimal(&Sha256::digest(&table)));
        fs::create_dir_all(&self.folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        let mut writer = io::BufWriter::new(file.as_file_mut());
        writer.write_all(&MAGIC)?;
        writer.write_all(&number(functions.len())?)?;
        writer.write_all(&crc32c::crc32c(&table).to_le_bytes())?;
        writer.write_all(&table)?;
        functions.values().try_for_each(|value| writer.write_all(value))?;
        writer.flush()?;
        drop(writer);
        file.persist(&path)?;
        read(&path, &mut self.kept().write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Removes the bundles that were not used for the longest time, as far as all are too large.
    fn remove_oldest(&self) -> io::Result<()> {
        let mut bundles = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            // Another process may just have removed it.
            let Ok(metadata) = entry.metadata() else { continue };
            bundles.push((metadata.modified()?, metadata.len(), entry.path()));
        }
        bundles.sort_by(|one, other| other.cmp(one));
        let mut bytes = 0;
        for (_, length, path) in bundles {
            bytes += length;
            if bytes > self.most_bytes {
                let _ = fs::remove_file(path);
            }
        }
        Ok(())
    }

    fn kept(&self) -> &RwLock<HashMap<Key, Place>> {
        self.kept.get_or_init(|| {
            let mut places = HashMap::new();
            let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
            for path in entries.map(|entry| entry.path()) {
                if let Err(error) = read(&path, &mut places) {
                    tracing::debug!("`{}` is no bundle of compiled functions: {error}", path.display());
                }
            }
            RwLock::new(places)
        })
    }

    fn find(&self, key: &Key) -> Option<Vec<u8>> {
        let place = self.kept().read().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        match place {
            Some(place) => place.read(),
            // Another thread may just have compiled it.
            None => self.new.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned(),
        }
    }
}

impl CacheStore for Functions {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.find(key.try_into().ok()?).map(Cow::Owned)
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        let Ok(key) = key.try_into() else { return false };
        self.new.lock().unwrap_or_else(PoisonError::into_inner).insert(key, value);
        true
    }
}

impl Place {
    /// The function, if it is whole.
    fn read(&self) -> Option<Vec<u8>> {
        if !self.bundle.used.swap(true, Ordering::Relaxed) {
            // That it stays as old as it is, is all that can go wrong.
            let _ = self.bundle.file.set_modified(SystemTime::now());
        }
        let mut value = vec![0; self.length];
        self.bundle.file.read_exact_at(&mut value, self.offset).ok()?;
        (crc32c::crc32c(&value) == self.checksum).then_some(value)
    }
}

/// Adds the places of a bundle's functions.
fn read(path: &Path, places: &mut HashMap<Key, Place>) -> io::Result<()> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, 0)?;
    let [count, checksum] = header.strip_prefix(&MAGIC).and_then(numbers).ok_or_else(invalid)?;
    let table_bytes = u64::from(count) * ROW as u64;
    let mut offset = HEADER as u64 + table_bytes;
    if offset > length {
        return Err(invalid());
    }
    let mut table = vec![0; usize::try_from(table_bytes).map_err(|_| invalid())?];
    file.read_exact_at(&mut table, HEADER as u64)?;
    if crc32c::crc32c(&table) != checksum {
        return Err(invalid());
    }
    let bundle = Arc::new(Bundle { file, used: AtomicBool::new(false) });
    let mut found = Vec::with_capacity(table.len() / ROW);
    for row in table.chunks_exact(ROW) {
        let (key, rest) = row.split_first_chunk().ok_or_else(invalid)?;
        let [length, checksum] = numbers(rest).ok_or_else(invalid)?;
        found.push((*key, Place { bundle: bundle.clone(), offset, length: length as usize, checksum }));
        offset += u64::from(length);
    }
    if offset != length {
        return Err(invalid());
    }
    places.extend(found);
    Ok(())
}

fn number(number: usize) -> io::Result<[u8; 4]> {
    let number = u32::try_from(number).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    Ok(number.to_le_bytes())
}

fn numbers(bytes: &[u8]) -> Option<[u32; 2]> {
    let (one, rest) = bytes.split_first_chunk()?;
    Some([*one, *rest.first_chunk()?].map(u32::from_le_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: usize = 100;
    const MOST: u64 = 1000;

    fn functions(folder: &Path) -> Functions {
        Functions::limited(folder.to_owned(), LEAST, MOST)
    }

    /// Keeps a function of so many bytes that are all as its key.
    fn keep(folder: &Path, key: u8, length: usize) {
        let functions = functions(folder);
        assert!(functions.insert(&[key; 32], vec![key; length]));
        functions.keep();
    }

    fn find(folder: &Path, key: u8) -> Option<Vec<u8>> {
        functions(folder).find(&[key; 32])
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn what_is_kept_is_found_by_others_and_by_the_same_before_and_after() {
        let folder = tempfile::tempdir().unwrap();
        let functions = functions(folder.path());
        for key in 1..=2 {
            assert_eq!(functions.get(&[key; 32]), None);
            functions.insert(&[key; 32], vec![key; 50]);
            assert_eq!(functions.get(&[key; 32]).unwrap(), vec![key; 50]);
        }
        functions.keep();
        for key in 1..=2 {
            assert_eq!(functions.get(&[key; 32]).unwrap(), vec![key; 50]);
            assert_eq!(find(folder.path(), key).unwrap(), vec![key; 50]);
        }
        assert_eq!(find(folder.path(), 3), None);
        assert_eq!(files(folder.path()).len(), 1, "nothing else is left behind");
    }

    #[test]
    fn two_that_compile_the_same_keep_it_once_and_what_is_little_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        for length in [LEAST, LEAST, LEAST - 1] {
            keep(folder.path(), length as u8, length);
        }
        assert_eq!(files(folder.path()).len(), 1);
        assert_eq!(find(folder.path(), LEAST as u8 - 1), None);
    }

    #[test]
    fn nothing_is_taken_from_a_bundle_with_any_byte_changed_or_its_end_missing() {
        let folder = tempfile::tempdir().unwrap();
        keep(folder.path(), 7, LEAST);
        let [path] = files(folder.path()).try_into().unwrap();
        let whole = fs::read(&path).unwrap();
        for changed in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[changed] ^= 1;
            fs::write(&path, &bytes).unwrap();
            assert_eq!(find(folder.path(), 7), None, "byte {changed}");
            fs::write(&path, &whole[..changed]).unwrap();
            assert_eq!(find(folder.path(), 7), None, "{changed} bytes");
        }
        fs::write(&path, &whole).unwrap();
        assert!(find(folder.path(), 7).is_some());
    }

    #[test]
    fn bundles_that_were_not_used_for_the_longest_time_make_room() {
        let folder = tempfile::tempdir().unwrap();
        for key in 1..=3 {
            keep(folder.path(), key, 250);
        }
        let long_ago = SystemTime::UNIX_EPOCH;
        files(folder.path())
            .iter()
            .for_each(|path| File::open(path).unwrap().set_modified(long_ago).unwrap());
        assert!(find(folder.path(), 2).is_some());
        keep(folder.path(), 4, 400);
        let left: Vec<u8> = (1..=4).filter(|key| find(folder.path(), *key).is_some()).collect();
        assert_eq!(left, [2, 4]);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        keep(&file, 1, LEAST);
        assert_eq!(find(&file, 1), None);
    }
}
