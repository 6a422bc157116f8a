//! Data files: where their rows lie, what columns they have, and which of them to take.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rayon::prelude::*;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::digest::file_digest;
use crate::error::{Error, Result};
use crate::formats::{Written, reader, twice};
use crate::shuffle::{Purpose, permutation};

/// A data file, and how many of its rows to take: `PATH` or `PATH#N`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetSpec {
    /// A JSON array of objects, or one JSON object a line; for names in `.csv` comma-separated values under a line of column
    /// names, for `.txt` a column `text` with a row of each line.
    pub path: PathBuf,
    /// How many rows. Fewer than the file has: chosen at random without replacement. More: the whole file as often as it
    /// fits, then a random choice for the rest. `None`: the whole file, once.
    pub rows: Option<usize>,
}

impl FromStr for DatasetSpec {
    type Err = Error;

    /// A file whose own name has a `#` is taken as it stands if it exists.
    fn from_str(text: &str) -> Result<Self> {
        let whole = || Self { path: text.into(), rows: None };
        let Some((path, count)) = text.rsplit_once('#').filter(|_| !Path::new(text).exists()) else {
            return Ok(whole());
        };
        match count.parse() {
            Ok(0) => Err(Error::RowCount { spec: text.into() }),
            Ok(rows) => Ok(Self { path: path.into(), rows: Some(rows) }),
            Err(_) if Path::new(path).exists() => Err(Error::RowCount { spec: text.into() }),
            Err(_) => Ok(whole()),
        }
    }
}

/// A data file in memory.
pub(crate) struct DataFile {
    pub(crate) path: PathBuf,
    pub(crate) digest: String,
    bytes: Vec<u8>,
}

/// The rows of a data file.
pub(crate) struct Rows<'a> {
    text: Cow<'a, str>,
    places: Vec<(Range<usize>, usize)>,
    /// Names of all rows' columns, in order of first appearance.
    pub(crate) columns: Vec<String>,
}

impl DataFile {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Err(Error::SourceMissing(path.into()));
        }
        if !path.is_file() {
            return Err(Error::SourceNotAFile(path.into()));
        }
        let bytes = std::fs::read(path).map_err(Error::read(path))?;
        Ok(Self { path: path.into(), digest: file_digest(&bytes), bytes })
    }

    /// Finds and checks the rows.
    ///
    /// # Errors
    /// There are none, or one is not a JSON object.
    pub(crate) fn rows(&self) -> Result<Rows<'_>> {
        let not_json = |line, message: String| Error::RowNotJson { path: self.path.clone(), line, message };
        let text = str::from_utf8(&self.bytes).map_err(|error| {
            let before = self.bytes.get(..error.valid_up_to()).unwrap_or_default();
            not_json(1 + count_lines(before), "it is not UTF-8 text".into())
        })?;
        let text = text.trim_start_matches('\u{feff}');
        let (text, places) =
            match reader(&self.path) {
                None => (
                    Cow::Borrowed(text),
                    json_places(text).map_err(|error| not_json(error.line(), explain(&error)))?,
                ),
                Some(read) => {
                    let Written { text, places } = read(text).map_err(|(line, message)| {
                        Error::RowNotCsv { path: self.path.clone(), line, message }
                    })?;
                    (Cow::Owned(text), places)
                }
            };
        if places.is_empty() {
            return Err(Error::SourceEmpty(self.path.clone()));
        }
        let rows = Rows { text, places, columns: Vec::new() };
        let columns = rows.columns().map_err(|(line, error)| {
            if error.is_data() {
                Error::RowNotObject { path: self.path.clone(), line }
            } else {
                not_json(line, explain(&error))
            }
        })?;
        Ok(Rows { columns, ..rows })
    }
}

impl Rows<'_> {
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// The JSON text of a row, and its line from 1.
    pub(crate) fn get(&self, index: usize) -> Option<(&str, usize)> {
        let (range, line) = self.places.get(index)?;
        Some((self.text.get(range.clone())?, *line))
    }

    /// The rows with other names for some columns, by the names in the file, whatever their case.
    ///
    /// # Errors
    /// If two columns would have the same name, or a row of the file at `path` is nested too deeply.
    pub(crate) fn renamed(self, names: &BTreeMap<String, String>, path: &Path) -> Result<Self> {
        let renamed = |name: &str| {
            let new = names.iter().find(|(old, _)| old.eq_ignore_ascii_case(name));
            new.map_or_else(|| name.to_owned(), |(_, new)| new.clone())
        };
        let columns: Vec<String> = self.columns.iter().map(|name| renamed(name)).collect();
        if let Some(twice) = twice(&columns) {
            let message = format!("would make two columns `{twice}` in `{}`", path.display());
            return Err(Error::InvalidOption { option: "columns", message });
        }
        if columns == self.columns {
            return Ok(self);
        }
        let mut written = Written::default();
        for (text, line) in (0..self.len()).filter_map(|index| self.get(index)) {
            let row: Map<String, Value> = serde_json::from_str(text).map_err(|error| Error::RowNotJson {
                path: path.into(),
                line,
                message: explain(&error),
            })?;
            written.push(&row.into_iter().map(|(name, value)| (renamed(&name), value)).collect(), line);
        }
        Ok(Rows { text: Cow::Owned(written.text), places: written.places, columns })
    }

    /// All rows' columns, or the first line that is not an object.
    fn columns(&self) -> Result<Vec<String>, (usize, serde_json::Error)> {
        let found: Vec<_> = (0..self.len())
            .into_par_iter()
            .filter_map(|index| self.get(index))
            .map(|(row, line)| serde_json::from_str::<Columns>(row).map_err(|error| (line, error)))
            .collect();
        let mut columns: Vec<String> = Vec::new();
        for row in found {
            for name in row?.0 {
                if !columns.contains(&name) {
                    columns.push(name);
                }
            }
        }
        Ok(columns)
    }
}

/// Which of `length` rows `PATH#N` means, in the order in which they are read.
pub(crate) fn choose(length: usize, wanted: Option<usize>, seed: u64) -> Vec<usize> {
    let wanted = wanted.unwrap_or(length);
    let repeats = wanted.checked_div(length).unwrap_or(0);
    let rest = wanted - repeats * length;
    let mut rows: Vec<usize> = (0..repeats).flat_map(|_| 0..length).collect();
    if rest > 0 {
        rows.extend(permutation(length, Purpose::RowChoice, seed, 0).into_iter().take(rest));
    }
    rows
}

/// Where the rows of an array of objects are, or of one object a line.
fn json_places(text: &str) -> Result<Vec<(Range<usize>, usize)>, serde_json::Error> {
    Ok(if text.trim_start().starts_with('[') {
        let rows: Vec<&RawValue> = serde_json::from_str(text)?;
        places_of(text, rows.into_iter().map(RawValue::get))
    } else {
        places_of(text, text.lines().map(str::trim).filter(|line| !line.is_empty()))
    })
}

/// Places of parts of `text`, with their lines.
fn places_of<'a>(text: &'a str, parts: impl Iterator<Item = &'a str>) -> Vec<(Range<usize>, usize)> {
    let mut line = 1;
    let mut seen = 0;
    parts
        .map(|part| {
            let start = part.as_ptr() as usize - text.as_ptr() as usize;
            line += count_lines(text.as_bytes().get(seen..start).unwrap_or_default());
            seen = start;
            (start..start + part.len(), line)
        })
        .collect()
}

fn count_lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

/// What the parser says, without its line, which is told otherwise.
fn explain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    match error.column() {
        0 => message.to_owned(),
        column => format!("{message} at column {column}"),
    }
}

/// The names of an object's members.
struct Columns(Vec<String>);

impl<'de> serde::Deserialize<'de> for Columns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Columns;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Columns, A::Error> {
                let mut names = Vec::new();
                while let Some((name, IgnoredAny)) = map.next_entry()? {
                    names.push(name);
                }
                Ok(Columns(names))
            }
        }
        deserializer.deserialize_map(Names)
    }
}
