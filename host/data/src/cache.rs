//! Tokenised examples in one run of bytes, in memory or in a mapped file.
//!
//! The file, all numbers little-endian: magic, length of the header (`u64`), header (JSON), ends of the sequences counted in
//! tokens (`u64` each), ends of the examples counted in sequences (`u64` each), token ids (`u32` each), the factor on the
//! loss of each token (`f32`), ends of the columns of each example counted in bytes (`u64` each), these columns, and the
//! texts of prompts (JSON), and the SHA-256 of everything before it.

use std::fs::File;
use std::io::{self, Write};
use std::ops::{Deref, Range};
use std::path::Path;

use memmap2::Mmap;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::report::Report;
use crate::rows::{Encoded, Example};

/// Begins every cache file. The last byte is the version of the layout.
const MAGIC: &[u8; 8] = b"SWTOKEN\x03";
/// Bytes of a SHA-256.
const DIGEST: usize = 32;

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    /// Digest of what the contents depend on.
    key: String,
    examples: usize,
    sequences: usize,
    tokens: usize,
    field_bytes: usize,
    report: Report,
}

/// Tokenised examples.
#[derive(Debug)]
pub(crate) struct TokenStore {
    bytes: Bytes,
    header: Header,
    /// Where each section lies in `bytes`.
    sequence_ends: Range<usize>,
    example_ends: Range<usize>,
    ids: Range<usize>,
    weights: Range<usize>,
    field_ends: Range<usize>,
    fields: Range<usize>,
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
    tokens: usize,
    sequences: usize,
    examples: usize,
    sequence_ends: Vec<u8>,
    example_ends: Vec<u8>,
    ids: Vec<u8>,
    weights: Vec<u8>,
    field_ends: Vec<u8>,
    fields: Vec<u8>,
}

impl Builder {
    pub(crate) fn push(&mut self, example: &Example) {
        for Encoded { input_ids, weights } in &example.sequences {
            self.ids.extend(input_ids.iter().flat_map(|id| id.to_le_bytes()));
            self.weights.extend(weights.iter().flat_map(|weight| weight.to_le_bytes()));
            self.tokens += input_ids.len();
            self.sequences += 1;
            self.sequence_ends.extend((self.tokens as u64).to_le_bytes());
        }
        self.examples += 1;
        self.example_ends.extend((self.sequences as u64).to_le_bytes());
        if !example.fields.is_empty() || example.prompt.is_some() {
            // Numbers, texts and their names are always JSON.
            let besides = (&example.fields, &example.prompt);
            self.fields.extend(serde_json::to_vec(&besides).unwrap_or_default());
        }
        self.field_ends.extend((self.fields.len() as u64).to_le_bytes());
    }

    pub(crate) fn finish(self, key: &str, report: Report) -> TokenStore {
        let header = Header {
            key: key.into(),
            examples: self.examples,
            sequences: self.sequences,
            tokens: self.tokens,
            field_bytes: self.fields.len(),
            report,
        };
        let sections =
            [self.sequence_ends, self.example_ends, self.ids, self.weights, self.field_ends, self.fields];
        TokenStore::new(Bytes::Memory(sections.concat()), header, 0)
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
        Self {
            sequence_ends: section(8 * header.sequences),
            example_ends: section(8 * header.examples),
            ids: section(4 * header.tokens),
            weights: section(4 * header.tokens),
            field_ends: section(8 * header.examples),
            fields: section(header.field_bytes),
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
        if store.fields.end == contents_end { Ok(store) } else { Err(damaged()) }
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
        let sequences = self.sequences(index)?.map(|sequence| {
            let tokens = self.span(&self.sequence_ends, sequence)?;
            let input_ids = self.cells::<4>(&self.ids, tokens.clone())?.map(u32::from_le_bytes).collect();
            let weights = self.cells::<4>(&self.weights, tokens)?.map(f32::from_le_bytes).collect();
            Some(Encoded { input_ids, weights })
        });
        let sequences = sequences.collect::<Option<_>>()?;
        let fields = self.bytes.get(self.fields.clone())?.get(self.span(&self.field_ends, index)?)?;
        let (fields, prompt) = if fields.is_empty() {
            Default::default()
        } else {
            serde_json::from_slice(fields).unwrap_or_default()
        };
        Some(Example { sequences, fields, prompt })
    }

    /// Tokens in an example, and how many of them are trained on.
    pub(crate) fn counts(&self, index: usize) -> Option<(usize, usize)> {
        let spans = self.sequences(index)?.map(|sequence| self.span(&self.sequence_ends, sequence));
        let mut counts = (0, 0);
        for tokens in spans {
            let tokens = tokens?;
            let weights = self.cells::<4>(&self.weights, tokens.clone())?.map(f32::from_le_bytes);
            counts.0 += tokens.len();
            counts.1 += weights.filter(|weight| *weight > 0.0).count();
        }
        Some(counts)
    }

    /// The numbers of an example's sequences.
    fn sequences(&self, index: usize) -> Option<Range<usize>> {
        self.span(&self.example_ends, index)
    }

    /// From the end before `index` to its own, in a section of ends.
    fn span(&self, ends: &Range<usize>, index: usize) -> Option<Range<usize>> {
        let end = |index: usize| -> Option<usize> {
            let bytes = self.cells::<8>(ends, index..index.checked_add(1)?)?.next()?;
            usize::try_from(u64::from_le_bytes(bytes)).ok()
        };
        Some(index.checked_sub(1).map_or(Some(0), end)?..end(index)?)
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
