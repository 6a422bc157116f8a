//! Reading a data file through the adapter that understands it best.

use std::path::Path;

use crate::adapter::Adapter;
use crate::dataset::LoadOptions;
use crate::error::{AdapterFailure, Error, Result};
use crate::report::SourceReport;
use crate::rows::Outcome;
use crate::source::{DataFile, DatasetSpec, Rows, choose};

/// Rows that a dataset plugin converts in one call: enough to make the call itself cheap, few enough to fit its memory.
const ROWS_PER_CALL: usize = 512;

/// Hands the rows of a file that are asked for to `take`, many at once: their lines, from 1, and what the adapter made of
/// each.
///
/// # Errors
/// The file is empty or not what its name says, no adapter reads it, the adapter fails, or `take` does.
pub(crate) fn read_rows(
    file: &DataFile,
    spec: &DatasetSpec,
    adapters: &mut [Box<dyn Adapter + '_>],
    options: &LoadOptions,
    mut take: impl FnMut(Vec<usize>, Vec<Outcome>) -> Result<()>,
) -> Result<SourceReport> {
    let rows = file.rows()?.renamed(&options.columns, &file.path)?;
    let adapter = best_adapter(adapters, &file.path, &rows)?;
    let chosen = choose(rows.len(), spec.rows, options.seed);
    for indices in chosen.chunks(ROWS_PER_CALL) {
        let (texts, lines): (Vec<_>, Vec<_>) = indices
            .iter()
            .filter_map(|index| rows.get(*index))
            .map(|(text, line)| (text.to_owned(), line))
            .unzip();
        let outcomes = adapter
            .convert(texts)
            .and_then(|outcomes| match outcomes.len() {
                count if count == lines.len() => Ok(outcomes),
                count => Err(AdapterFailure {
                    message: format!("it gave {count} outcomes for {} rows", lines.len()),
                    hint: None,
                }),
            })
            .map_err(failed(&**adapter, &file.path))?;
        take(lines, outcomes)?;
    }
    Ok(SourceReport {
        path: file.path.clone(),
        digest: file.digest.clone(),
        rows: chosen.len(),
        adapter: adapter.name().into(),
    })
}

fn best_adapter<'a, 'b>(
    adapters: &'a mut [Box<dyn Adapter + 'b>],
    path: &Path,
    rows: &Rows,
) -> Result<&'a mut Box<dyn Adapter + 'b>> {
    let asked = adapters.iter().map(|adapter| adapter.name().to_owned()).collect();
    let mut best: Option<(u32, &mut Box<dyn Adapter + 'b>)> = None;
    for adapter in adapters {
        let score = adapter.matches(&rows.columns).map_err(failed(&**adapter, path))?;
        if score > best.as_ref().map_or(0, |(highest, _)| *highest) {
            best = Some((score, adapter));
        }
    }
    let none = || Error::NoAdapter { path: path.into(), columns: rows.columns.clone(), asked };
    Ok(best.ok_or_else(none)?.1)
}

fn failed<'a>(
    adapter: &(dyn Adapter + '_),
    path: &'a Path,
) -> impl FnOnce(AdapterFailure) -> Error + use<'a> {
    let adapter = adapter.name().to_owned();
    move |failure| Error::Adapter { adapter, path: path.into(), failure }
}
