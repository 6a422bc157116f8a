//! Answers that follow a grammar: a JSON schema, a regular expression, or rules.
//!
//! `llguidance` says which tokens may follow (Willard and Louf 2023, "Efficient Guided Generation for Large Language
//! Models", for what masks of tokens are; Earley 1970 for the parser). Here is what a model's vocabulary becomes for it,
//! what is refused before it is compiled, and when masks are computed: on threads of their own, while the model computes
//! the logits that they are for.

mod constraint;
mod source;
mod threads;
mod trie;

use std::sync::Arc;

use llguidance::{Matcher, ParserFactory, panic_utils};
use swift_data::Tokenizer;
use toktrie::{InferenceCapabilities, TokTrie};

pub use constraint::Constraint;
pub use source::Grammar;

use crate::{Error, Result};
use constraint::Ready;
use threads::Threads;

/// What a grammar may take, since grammars come from clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrammarLimits {
    /// The most bytes of a schema, an expression or rules.
    pub max_bytes: usize,
    /// The most symbols that it may become.
    pub max_symbols: usize,
    /// The most states that its words may have; each takes one or two kilobytes while a request runs.
    pub max_states: usize,
}

impl Default for GrammarLimits {
    fn default() -> Self {
        Self { max_bytes: 256 << 10, max_symbols: 200_000, max_states: 50_000 }
    }
}

/// Makes grammars into constraints on the tokens of one model.
pub struct Grammars {
    factory: Arc<ParserFactory>,
    threads: Threads,
    limits: GrammarLimits,
    /// Tokens that end an answer.
    ends: Arc<[u32]>,
}

impl Grammars {
    /// For a model with so many token ids, whose answers end with one of `ends`.
    ///
    /// # Errors
    /// If the tokeniser does not say which bytes its tokens stand for, or the system has no threads to give.
    pub fn new(
        tokenizer: &Tokenizer,
        ends: &[u32],
        vocab_size: usize,
        limits: GrammarLimits,
    ) -> Result<Self> {
        let vocabulary = tokenizer.vocabulary()?;
        let known: Vec<u32> = ends.iter().copied().filter(|end| (*end as usize) < vocab_size).collect();
        let build = || {
            let environment = trie::environment(&vocabulary, &known, vocab_size)?;
            let slices = llguidance::earley::SlicedBiasComputer::general_slices();
            // Nothing is taken back: a token that was given out stays.
            let abilities = InferenceCapabilities::default();
            ParserFactory::new(&environment, abilities, &slices)
        };
        let mut factory = panic_utils::catch_unwind(build).map_err(|error| Error::grammar(&error))?;
        factory.quiet();
        let parser = factory.limits_mut();
        parser.max_grammar_size = limits.max_symbols;
        parser.max_lexer_states = limits.max_states;
        parser.verbose_errors = false;
        let threads = Threads::start().map_err(|error| Error::Grammar(error.to_string()))?;
        Ok(Self { factory: Arc::new(factory), threads, limits, ends: known.into() })
    }

    /// The bytes that a token stands for; none of one that is special, or not known.
    pub fn token_bytes(&self, token: u32) -> Option<&[u8]> {
        let trie = self.factory.tok_env().tok_trie();
        let bytes = (token < trie.vocab_size() as u32).then(|| trie.token(token))?;
        (!bytes.is_empty() && bytes.first() != Some(&TokTrie::SPECIAL_TOKEN_MARKER)).then_some(bytes)
    }

    /// The constraint that makes answers follow a grammar. It takes milliseconds, for large ones more.
    ///
    /// # Errors
    /// If the grammar is not valid, has parts that are not supported, or is larger than the limits allow.
    pub fn compile(&self, grammar: &Grammar) -> Result<Constraint> {
        let grammar = grammar.checked(&self.limits).map_err(Error::Grammar)?;
        let factory = self.factory.clone();
        let compile = move || {
            let parser =
                panic_utils::catch_unwind(std::panic::AssertUnwindSafe(|| factory.create_parser(grammar)));
            let matcher = Matcher::new(parser);
            match matcher.get_error() {
                Some(message) => Err(message),
                None => Ok(Ready::compute(matcher)),
            }
        };
        let ready = self.threads.wait(compile).ok_or(Error::Stopped)?;
        let ready = ready.map_err(|message| Error::grammar(&message))?;
        ready.mask.as_ref().map_err(|message| Error::grammar(message))?;
        Ok(Constraint::new(ready, self.threads.clone(), self.ends.clone()))
    }
}

impl Error {
    /// The first line of what the library says, which may go on with a trace, and the reason that follows a picture of an
    /// expression.
    fn grammar(error: &dyn std::fmt::Display) -> Self {
        let message = error.to_string();
        let mut lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
        let line = lines.next().unwrap_or("it can't be followed").trim_end_matches('.');
        let reason = lines.find_map(|line| line.strip_prefix("error: ")).filter(|_| line.ends_with(':'));
        Self::Grammar(reason.map_or_else(|| line.to_owned(), |reason| format!("{line} {reason}")))
    }
}
