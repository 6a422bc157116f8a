//! Files whose rows are not JSON, as JSON.

use std::ops::Range;
use std::path::Path;

use serde_json::{Map, Value};

/// Rows as JSON, each with the line of the file that it comes from.
#[derive(Default)]
pub(crate) struct Written {
    pub(crate) text: String,
    pub(crate) places: Vec<(Range<usize>, usize)>,
}

impl Written {
    pub(crate) fn push(&mut self, row: &Map<String, Value>, line: usize) {
        let start = self.text.len();
        // Displays as its JSON does, and needs no error.
        self.text.push_str(&Value::Object(row.clone()).to_string());
        self.places.push((start..self.text.len(), line));
    }
}

/// Reads a file's text, or says in which line it cannot, and why.
pub(crate) type Reader = fn(&str) -> Result<Written, (usize, String)>;

/// Endings of names, and who reads such files. All others are JSON.
const READERS: [(&str, Reader); 2] = [("csv", csv), ("txt", text)];

/// The reader of a file that is not JSON.
pub(crate) fn reader(path: &Path) -> Option<Reader> {
    let ending = path.extension()?;
    READERS.into_iter().find(|(known, _)| ending.eq_ignore_ascii_case(known)).map(|(_, reader)| reader)
}

/// The first name that another before it is the same as.
pub(crate) fn twice(names: &[String]) -> Option<&String> {
    names
        .iter()
        .enumerate()
        .find(|(index, name)| names.iter().take(*index).any(|before| before == *name))
        .map(|(_, name)| name)
}

/// Plain text: a row of each line, also of empty ones.
fn text(text: &str) -> Result<Written, (usize, String)> {
    let mut written = Written::default();
    for (index, line) in text.lines().enumerate() {
        written.push(&Map::from_iter([("text".into(), line.into())]), index + 1);
    }
    Ok(written)
}

/// Comma-separated values under a line with the names of the columns.
fn csv(text: &str) -> Result<Written, (usize, String)> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headers = reader.headers().map_err(|error| place(&error))?;
    let names: Vec<String> = headers.iter().map(str::to_owned).collect();
    if let Some(twice) = twice(&names) {
        return Err((1, format!("two columns are named `{twice}`")));
    }
    let records: Vec<csv::StringRecord> =
        reader.records().collect::<Result<_, _>>().map_err(|error| place(&error))?;
    let kinds: Vec<Cell> =
        (0..names.len()).map(|column| kind(records.iter().filter_map(|record| record.get(column)))).collect();
    let mut written = Written::default();
    for record in &records {
        let cells = names.iter().zip(record).zip(&kinds);
        let row = cells.map(|((name, cell), kind)| (name.clone(), kind(cell).unwrap_or_else(|| cell.into())));
        let line = record.position().map_or(0, csv::Position::line);
        written.push(&row.collect(), usize::try_from(line).unwrap_or(usize::MAX));
    }
    Ok(written)
}

/// What a cell's text stands for.
type Cell = fn(&str) -> Option<Value>;

/// What all cells of a column are: numbers, or true and false, or else text.
fn kind<'a>(cells: impl Iterator<Item = &'a str> + Clone) -> Cell {
    let kinds: [Cell; 2] = [number, boolean];
    let fits = |kind: &Cell| cells.clone().all(|cell| kind(cell).is_some());
    kinds.into_iter().find(fits).unwrap_or(|cell| Some(cell.into()))
}

/// A number as JSON writes it: what has leading zeros or signs is a name of something.
fn number(cell: &str) -> Option<Value> {
    serde_json::from_str(cell).ok().filter(Value::is_number)
}

fn boolean(cell: &str) -> Option<Value> {
    cell.to_ascii_lowercase().parse::<bool>().ok().map(Value::Bool)
}

/// The line of a mistake, and what it is.
fn place(error: &csv::Error) -> (usize, String) {
    let line = error.position().map_or(1, |position| usize::try_from(position.line()).unwrap_or(usize::MAX));
    let message = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("it has {len} cells, and there are {expected_len} columns")
        }
        _ => error.to_string(),
    };
    (line, message)
}
