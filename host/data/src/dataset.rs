use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::adapter::Adapter;
use crate::cache::{Builder, TokenStore};
use crate::digest::digest;
use crate::error::{AdapterFailure, Error, Result};
use crate::example::{Finished, draft};
use crate::report::{Report, SourceReport};
use crate::rows::Example;
use crate::source::{DataFile, DatasetSpec, Rows, choose};
use crate::template::{Template, TrainedParts};
use crate::truncate::Truncation;

/// Rows that a dataset plugin converts in one call: enough to make the call itself cheap, few enough to fit its memory.
pub(crate) const ROWS_PER_CALL: usize = 512;

/// Changes when the same files, template and options give other tokens than before.
const ENCODING_VERSION: u32 = 5;

/// Tokenised examples, in the order of their files and rows.
#[derive(Debug)]
pub struct Dataset {
    store: TokenStore,
    report: Report,
}

/// Which sequences a row becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RowShape {
    /// Its conversation. What else there is of texts is left aside.
    #[default]
    Conversation,
    /// The conversation with the better answer, and that with the worse one.
    Pair,
    /// Its conversation, of which nothing is trained on: what counts are its columns.
    Text,
    /// Its conversation without the answer that it may end with: the model gives its own. What the row says is kept for rewards.
    Prompt,
    /// As [`Self::Text`], then its positive, then its negative texts. How many are positive is in the column
    /// `positive_count`.
    Group,
}

/// How rows become examples.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Other names for columns, by the names in the files; the plugins see the other names.
    pub columns: BTreeMap<String, String>,
    /// What becomes of a row.
    pub shape: RowShape,
    /// Which parts are trained on.
    pub trained_parts: TrainedParts,
    /// The most tokens that a sequence may have.
    pub max_length: Option<usize>,
    /// What becomes of longer ones.
    pub truncation: Truncation,
    /// Seed of the choice of rows for `PATH#N`.
    pub seed: u64,
    /// Where token caches are kept; none are without.
    pub cache_directory: Option<PathBuf>,
}

impl Dataset {
    /// Reads, converts and tokenises rows, or takes the tokens from the cache if everything that they depend on is as it
    /// was: the files, the plugins, the template, the tokeniser and the options.
    ///
    /// Each file goes to the adapter that matches its columns best. Rows that cannot be used are left out and reported: the
    /// plugin skipped them, the template cannot render them, they are too long, or nothing in them would be trained on. Of a
    /// row that is split, this goes for each part.
    ///
    /// # Errors
    /// A file is missing, empty or not what its name says, no adapter reads it, an adapter fails, no row is left, or the
    /// options contradict each other.
    pub fn load(
        specs: &[DatasetSpec],
        adapters: &mut [Box<dyn Adapter + '_>],
        template: &mut Template,
        options: &LoadOptions,
    ) -> Result<Self> {
        let invalid = |option, message: &str| Err(Error::InvalidOption { option, message: message.into() });
        if specs.is_empty() {
            return invalid("dataset", "names no file");
        }
        if options.max_length == Some(0) {
            return invalid("max-length", "must be above 0");
        }
        if options.truncation == Truncation::Split && options.shape != RowShape::Conversation {
            return invalid(
                "truncation-strategy",
                "can be `split` for losses on one conversation a row only: parts of others belong together",
            );
        }
        let files: Vec<DataFile> =
            specs.iter().map(|spec| DataFile::read(&spec.path)).collect::<Result<_>>()?;
        let key = cache_key(specs, &files, adapters, template, options);
        let name = key.trim_start_matches("sha256:");
        let path =
            options.cache_directory.as_ref().map(|directory| directory.join(name).with_extension("tokens"));
        if let Some(path) = path.as_deref().filter(|path| path.exists()) {
            match TokenStore::open(path, &key) {
                Ok(store) => return Ok(Self::new(store, true)),
                Err(reason) => {
                    tracing::warn!("the token cache `{}` is made anew, because {reason}", path.display());
                }
            }
        }
        let mut loader = Loader { template, options, builder: Builder::default(), report: Report::default() };
        for (spec, file) in specs.iter().zip(&files) {
            loader.read(spec, file, adapters)?;
        }
        let store = loader.finish(&key)?;
        let Some(path) = path else {
            return Ok(Self::new(store, false));
        };
        // Without a cache the run is as right, only slower to start next time.
        let mapped =
            store.save(&path).map_err(|error| error.to_string()).and_then(|()| TokenStore::open(&path, &key));
        let store = mapped.unwrap_or_else(|reason| {
            tracing::warn!("there is no token cache: {reason}");
            store
        });
        Ok(Self::new(store, false))
    }

    fn new(store: TokenStore, from_cache: bool) -> Self {
        let report = Report { from_cache, ..store.report().clone() };
        Self { store, report }
    }

    /// Number of examples. At least one.
    #[expect(clippy::len_without_is_empty, reason = "a dataset without examples is an error")]
    pub fn len(&self) -> usize {
        self.store.len()
    }

    /// An example by its index.
    ///
    /// # Errors
    /// There is no such example.
    pub fn example(&self, index: usize) -> Result<Example> {
        self.store.example(index).ok_or_else(|| self.no_such(index))
    }

    /// Tokens in an example, all its sequences together.
    ///
    /// # Errors
    /// There is no such example.
    pub fn token_count(&self, index: usize) -> Result<usize> {
        Ok(self.store.counts(index).ok_or_else(|| self.no_such(index))?.0)
    }

    /// Tokens in an example that are trained on, all its sequences together.
    ///
    /// # Errors
    /// There is no such example.
    pub fn label_count(&self, index: usize) -> Result<usize> {
        Ok(self.store.counts(index).ok_or_else(|| self.no_such(index))?.1)
    }

    /// What became of the rows.
    pub fn report(&self) -> &Report {
        &self.report
    }

    fn no_such(&self, index: usize) -> Error {
        Error::NoSuchExample { index, length: self.len() }
    }
}

/// A digest of everything that tokens and report depend on.
fn cache_key(
    specs: &[DatasetSpec],
    files: &[DataFile],
    adapters: &[Box<dyn Adapter + '_>],
    template: &Template,
    options: &LoadOptions,
) -> String {
    let files: Vec<_> = specs.iter().zip(files).map(|(spec, file)| (spec, &file.digest)).collect();
    let adapters: Vec<_> = adapters.iter().map(|adapter| (adapter.name(), adapter.digest())).collect();
    let options = LoadOptions { cache_directory: None, ..options.clone() };
    let template = template.digest();
    digest([format!("{ENCODING_VERSION} {files:?} {adapters:?} {template} {options:?}").as_bytes()])
}

struct Loader<'a> {
    template: &'a mut Template,
    options: &'a LoadOptions,
    builder: Builder,
    report: Report,
}

impl Loader<'_> {
    fn read(
        &mut self,
        spec: &DatasetSpec,
        file: &DataFile,
        adapters: &mut [Box<dyn Adapter + '_>],
    ) -> Result<()> {
        let rows = file.rows()?.renamed(&self.options.columns, &file.path)?;
        let adapter = best_adapter(adapters, &file.path, &rows)?;
        let chosen = choose(rows.len(), spec.rows, self.options.seed);
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
            // Plugins render one row after the other; the rest is done for many at once.
            let drafts = outcomes
                .into_iter()
                .map(|outcome| draft(self.template, self.options, outcome))
                .collect::<Result<Vec<_>>>()?;
            let (finisher, options) = (self.template.finisher(), self.options);
            let finished = drafts.into_par_iter().map(|row| row?.finish(finisher, options));
            let encoded: Vec<_> = finished.collect();
            for (line, encoded) in lines.into_iter().zip(encoded) {
                match encoded {
                    Err(unfit) => self.report.add_dropped(&file.path, line, unfit),
                    Ok(row) => self.add(&file.path, line, row),
                }
            }
        }
        self.report.rows += chosen.len();
        self.report.sources.push(SourceReport {
            path: file.path.clone(),
            digest: file.digest.clone(),
            rows: chosen.len(),
            adapter: adapter.name().into(),
        });
        Ok(())
    }

    fn add(&mut self, path: &Path, line: usize, row: Finished) {
        for unfit in row.left_out {
            self.report.add_dropped(path, line, unfit);
        }
        for example in &row.examples {
            let tokens = example.sequences.iter().map(|sequence| sequence.input_ids.len()).sum();
            let trained = example.sequences.iter().map(|sequence| sequence.label_count()).sum();
            self.report.add_example(tokens, trained);
            self.builder.push(example);
        }
        if row.is_truncated && !row.examples.is_empty() {
            match self.options.truncation {
                Truncation::Split => self.report.split += 1,
                _ => self.report.truncated += 1,
            }
        }
    }

    fn finish(self, key: &str) -> Result<TokenStore> {
        if self.report.examples == 0 {
            return Err(Error::NothingLeft {
                rows: self.report.rows,
                reason: self
                    .report
                    .dropped
                    .first()
                    .map_or_else(String::new, |dropped| dropped.reason.clone()),
                details: self.report.dropped.iter().map(ToString::to_string).collect(),
            });
        }
        Ok(self.builder.finish(key, self.report))
    }
}

pub(crate) fn best_adapter<'a, 'b>(
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

pub(crate) fn failed<'a>(
    adapter: &(dyn Adapter + '_),
    path: &'a Path,
) -> impl FnOnce(AdapterFailure) -> Error + use<'a> {
    let adapter = adapter.name().to_owned();
    move |failure| Error::Adapter { adapter, path: path.into(), failure }
}
