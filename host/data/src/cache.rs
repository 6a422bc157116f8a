//! Tokenised examples in one run of bytes, in memory or in a mapped file.
//!
//! The file, all numbers little-endian: magic, length of the header (`u64`), header (JSON), ends of the sequences counted in
//! tokens (`u64` each), token ids (`u32` each), whether each is trained on (`u8`), values of the numeric columns, row by row
//! (`f64` each), whether a row has the column (`u8`), and the SHA-256 of everything before it.

use std::fs::File;
use std::io::{self, Write};
use std::ops::{Deref, Range};
use std::path::Path;

use memmap2::Mmap;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::report::Report;
use crate::rows::{Encoded, Example, IGNORED};

/// Begins every cache file. The last byte is the version of the layout.
const MAGIC: &[u8; 8] = b"SWTOKEN\x01";
/// Bytes of a SHA-256.
const DIGEST: usize = 32;

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    /// Digest of what the contents depend on.
    key: String,
    examples: usize,
    sequences_per_example: usize,
    tokens: usize,
    fields: Vec<String>,
    report: Report,
}

/// Tokenised examples.
#[derive(Debug)]
pub(crate) struct TokenStore {
    bytes: Bytes,
    header: Header,
    /// Where each section lies in `bytes`.
    ends: Range<usize>,
    ids: Range<usize>,
    trained: Range<usize>,
    values: Range<usize>,
    present: Range<usize>,
}

#[derive(Debug)]
enum Bytes {
    Memory(Vec<u8>),
    Mapped(Mmap),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Memory(bytes) => bytes,
            Self::Mapped(map) => map,
        }
    }
}

/// Collects examples for a [`TokenStore`].
#[derive(Debug, Default)]
pub(crate) struct Builder {
    ends: Vec<u8>,
    ids: Vec<u8>,
    trained: Vec<u8>,
    field_names: Vec<String>,
    fields: Vec<Vec<(String, f64)>>,
}

impl Builder {
    pub(crate) fn push(&mut self, example: Example) {
        for Encoded { input_ids, labels } in &example.sequences {
            self.ids.extend(input_ids.iter().flat_map(|id| id.to_le_bytes()));
            self.trained.extend(labels.iter().map(|label| u8::from(*label != IGNORED)));
            self.ends.extend((self.trained.len() as u64).to_le_bytes());
        }
        for (name, _) in &example.fields {
            if !self.field_names.contains(name) {
                self.field_names.push(name.clone());
            }
        }
        self.fields.push(example.fields);
    }

    pub(crate) fn finish(self, key: &str, sequences_per_example: usize, report: Report) -> TokenStore {
        let header = Header {
            key: key.into(),
            examples: self.fields.len(),
            sequences_per_example,
            tokens: self.trained.len(),
            fields: self.field_names,
            report,
        };
        let (mut values, mut present) = (Vec::new(), Vec::new());
        for row in &self.fields {
            for name in &header.fields {
                let cell = row.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
                values.extend(cell.unwrap_or_default().to_le_bytes());
                present.push(u8::from(cell.is_some()));
            }
        }
        let bytes = [self.ends, self.ids, self.trained, values, present].concat();
        TokenStore::new(Bytes::Memory(bytes), header, 0)
    }
}

impl TokenStore {
    fn new(bytes: Bytes, header: Header, start: usize) -> Self {
        let mut at = start;
        let mut section = |length: usize| {
            let range = at..at.saturating_add(length);
            at = range.end;
            range
        };
        let cells = header.examples * header.fields.len();
        Self {
            ends: section(8 * header.examples * header.sequences_per_example),
            ids: section(4 * header.tokens),
            trained: section(header.tokens),
            values: section(8 * cells),
            present: section(cells),
            bytes,
            header,
        }
    }

    /// The store in a cache file. Says why if the file cannot be used: it is damaged, or holds something else.
    pub(crate) fn open(path: &Path, key: &str) -> Result<Self, String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        #[expect(unsafe_code, reason = "memory mapping")]
        // SAFETY: cache files are written under another name, renamed when complete and never changed afterwards, so the
        // mapped bytes stay as they are; what was read is checked against a digest.
        let map = unsafe { Mmap::map(&file) }.map_err(|error| error.to_string())?;

        let damaged = || "it is damaged".to_owned();
        let (contents, digest) =
            map.split_at_checked(map.len().saturating_sub(DIGEST)).ok_or_else(damaged)?;
        if Sha256::digest(contents).as_slice() != digest {
            return Err(damaged());
        }
        let (length, rest) = contents
            .strip_prefix(MAGIC)
            .and_then(<[u8]>::split_first_chunk)
            .ok_or("it has another layout")?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| damaged())?;
        let header: Header =
            rest.get(..length).and_then(|json| serde_json::from_slice(json).ok()).ok_or_else(damaged)?;
        if header.key != key {
            return Err("it belongs to other data".into());
        }
        let start = contents.len() - rest.len() + length;
        let contents_end = contents.len();
        let store = Self::new(Bytes::Mapped(map), header, start);
        if store.present.end == contents_end { Ok(store) } else { Err(damaged()) }
    }

    /// Writes the store to a cache file, which appears under its name when it is complete.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let directory = path.parent().unwrap_or(Path::new("."));
        let write = || -> io::Result<()> {
            std::fs::create_dir_all(directory)?;
            let mut file = tempfile::NamedTempFile::new_in(directory)?;
            let header = serde_json::to_vec(&self.header)?;
            let mut digest = Sha256::new();
            for part in [MAGIC, &(header.len() as u64).to_le_bytes()[..], &header, &self.bytes] {
                digest.update(part);
                file.write_all(part)?;
            }
            file.write_all(&digest.finalize())?;
            file.as_file().sync_all()?;
            file.persist(path)?;
            Ok(())
        };
        write().map_err(Error::write(path))
    }

    pub(crate) fn report(&self) -> &Report {
        &self.header.report
    }

    pub(crate) fn len(&self) -> usize {
        self.header.examples
    }

    pub(crate) fn example(&self, index: usize) -> Option<Example> {
        let sequences = self.sequences(index)?.into_iter().map(|tokens| {
            let ids = self.cells::<4>(&self.ids, tokens.clone())?.map(u32::from_le_bytes);
            let trained = self.cells::<1>(&self.trained, tokens)?;
            let (input_ids, labels) = ids
                .zip(trained)
                .map(|(id, [trained])| (id, if trained == 0 { IGNORED } else { i64::from(id) }))
                .unzip();
            Some(Encoded { input_ids, labels })
        });
        let sequences = sequences.collect::<Option<_>>()?;
        let row = index * self.header.fields.len()..(index + 1) * self.header.fields.len();
        let values = self.cells::<8>(&self.values, row.clone())?.map(f64::from_le_bytes);
        let present = self.cells::<1>(&self.present, row)?;
        let fields = self.header.fields.iter().cloned().zip(values).zip(present);
        let fields = fields.filter(|(_, [present])| *present != 0).map(|(field, _)| field).collect();
        Some(Example { sequences, fields })
    }

    /// Tokens in an example, and how many of them are trained on.
    pub(crate) fn counts(&self, index: usize) -> Option<(usize, usize)> {
        let tokens = self.sequences(index)?.into_iter().reduce(|first, last| first.start..last.end)?;
        let trained =
            self.cells::<1>(&self.trained, tokens.clone())?.filter(|[trained]| *trained != 0).count();
        Some((tokens.len(), trained))
    }

    /// The places of an example's sequences, counted in tokens.
    fn sequences(&self, index: usize) -> Option<Vec<Range<usize>>> {
        let per_example = self.header.sequences_per_example;
        let first = index.checked_mul(per_example)?;
        let end = |sequence: usize| -> Option<usize> {
            let bytes = self.cells::<8>(&self.ends, sequence..sequence + 1)?.next()?;
            usize::try_from(u64::from_le_bytes(bytes)).ok()
        };
        (first..first + per_example)
            .map(|sequence| {
                let start = sequence.checked_sub(1).map_or(Some(0), end)?;
                Some(start..end(sequence)?)
            })
            .collect()
    }

    /// The cells of `N` bytes in a range of a section.
    fn cells<const N: usize>(
        &self,
        section: &Range<usize>,
        range: Range<usize>,
    ) -> Option<impl Iterator<Item = [u8; N]>> {
        let bytes = self.bytes.get(section.clone())?.get(N * range.start..N * range.end)?;
        let (cells, _) = bytes.as_chunks::<N>();
        Some(cells.iter().copied())
    }
}
