use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::adapter::Adapter;
use crate::cache::{Builder, TokenStore};
use crate::digest::digest;
use crate::error::{Error, Result};
use crate::example::{Finished, draft};
use crate::reading::read_rows;
use crate::report::Report;
use crate::rows::Example;
use crate::source::{DataFile, DatasetSpec};
use crate::template::{Template, TrainedParts};
use crate::truncate::Truncation;

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
        let options = self.options;
        let source = read_rows(file, spec, adapters, options, |lines, outcomes| {
            // Plugins render one row after the other; the rest is done for many at once.
            let drafts = outcomes
                .into_iter()
                .map(|outcome| draft(self.template, options, outcome))
                .collect::<Result<Vec<_>>>()?;
            let finisher = self.template.finisher();
            let finished = drafts.into_par_iter().map(|row| row?.finish(finisher, options));
            let encoded: Vec<_> = finished.collect();
            for (line, encoded) in lines.into_iter().zip(encoded) {
                match encoded {
                    Err(unfit) => self.report.add_dropped(&file.path, line, unfit),
                    Ok(row) => self.add(&file.path, line, row),
                }
            }
            Ok(())
        })?;
        self.report.add_source(source);
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
            return Err(self.report.nothing_left());
        }
        Ok(self.builder.finish(key, self.report))
    }
}
