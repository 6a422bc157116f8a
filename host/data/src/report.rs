use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::template::Unfit;

/// How many rows left out for the same reason are shown.
const SHOWN: usize = 3;
/// How many reasons are told apart: plugins may put row contents into theirs.
const REASONS: usize = 50;
/// What the rest is counted under.
const OTHER: &str = "other reasons";

/// What became of a dataset's rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The files, in order.
    pub sources: Vec<SourceReport>,
    /// Rows read.
    pub rows: usize,
    /// Examples that rows became: one of a row, or several of one that was split.
    pub examples: usize,
    /// Of those, the ones that were shortened.
    pub truncated: usize,
    /// Rows that were too long and became an example for each part.
    #[serde(default)]
    pub split: usize,
    /// Rows left out, and parts of rows that were split, by reason, in order of first appearance.
    pub dropped: Vec<Dropped>,
    /// Lengths of the examples.
    pub lengths: Lengths,
    /// Whether the tokens came from the cache.
    #[serde(skip)]
    pub from_cache: bool,
}

/// A data file that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceReport {
    /// The file.
    pub path: PathBuf,
    /// `sha256:…` of its bytes.
    pub digest: String,
    /// Rows taken of it.
    pub rows: usize,
    /// The dataset plugin that read it.
    pub adapter: String,
}

/// Rows left out for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// The reason.
    pub reason: String,
    /// How many.
    pub count: usize,
    /// The first few.
    pub first: Vec<DroppedRow>,
}

/// A row left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedRow {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// What it was in this row; may be empty.
    pub detail: String,
}

/// Tokens in the examples; both sides of a pair count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lengths {
    /// The shortest example's.
    pub min: usize,
    /// The longest example's.
    pub max: usize,
    /// All examples'.
    pub total: usize,
    /// Of those, the ones that are trained on.
    pub trained: usize,
}

impl Report {
    pub(crate) fn add_example(&mut self, tokens: usize, trained: usize) {
        let lengths = &mut self.lengths;
        lengths.min = if self.examples == 0 { tokens } else { lengths.min.min(tokens) };
        lengths.max = lengths.max.max(tokens);
        lengths.total += tokens;
        lengths.trained += trained;
        self.examples += 1;
    }

    pub(crate) fn add_source(&mut self, source: SourceReport) {
        self.rows += source.rows;
        self.sources.push(source);
    }

    /// The error of a dataset of which every row was left out.
    pub(crate) fn nothing_left(&self) -> Error {
        Error::NothingLeft {
            rows: self.rows,
            reason: self.dropped.first().map_or_else(String::new, |dropped| dropped.reason.clone()),
            details: self.dropped.iter().map(ToString::to_string).collect(),
        }
    }

    /// Counts a row that was left out, on a line from 1, by its reason.
    pub fn add_dropped(&mut self, path: &Path, line: usize, unfit: Unfit) {
        let row = |detail| DroppedRow { path: path.into(), line, detail };
        let known = |dropped: &&mut Dropped| dropped.reason == unfit.reason;
        if let Some(dropped) = self.dropped.iter_mut().find(known) {
            dropped.count += 1;
            if dropped.first.len() < SHOWN {
                dropped.first.push(row(unfit.detail));
            }
        } else if self.dropped.len() < REASONS || unfit.reason == OTHER {
            self.dropped.push(Dropped { reason: unfit.reason, count: 1, first: vec![row(unfit.detail)] });
        } else {
            self.add_dropped(path, line, Unfit::new(OTHER, unfit.to_string()));
        }
    }
}

impl fmt::Display for Report {
    /// One line for all rows, and one for each reason to leave rows out.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lengths { min, max, total, trained } = &self.lengths;
        write!(formatter, "{} rows, {} examples of {min} to {max} tokens", self.rows, self.examples)?;
        write!(formatter, ", {total} tokens in all, {trained} of them trained on")?;
        if self.truncated > 0 {
            write!(formatter, ", {} examples shortened", self.truncated)?;
        }
        if self.split > 0 {
            write!(formatter, ", {} rows split", self.split)?;
        }
        self.dropped.iter().try_for_each(|dropped| write!(formatter, "\n{dropped}"))
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} left out: {}", self.count, self.reason)?;
        for (index, row) in self.first.iter().enumerate() {
            let separator = if index == 0 { " (" } else { "; " };
            write!(formatter, "{separator}`{}` line {}", row.path.display(), row.line)?;
            if !row.detail.is_empty() {
                write!(formatter, ", {}", row.detail)?;
            }
        }
        let more = if self.count > self.first.len() { "; ..)" } else { ")" };
        formatter.write_str(more)
    }
}
