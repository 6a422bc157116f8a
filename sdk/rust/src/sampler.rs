//! Plugins that change how probable each next token of an answer is.

use std::panic::Location;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Parameters, Result, Tensor, backend};

/// Changes how probable each next token of an answer is.
pub trait Sampler: Parameters {
    /// The logits that the token is to be chosen by, from those of the model: both `[vocab]` and `float32`. Minus infinity
    /// rules a token out; one at least must be left. Must depend on nothing else than what it is given: answers that are
    /// generated side by side take turns.
    ///
    /// # Errors
    /// Whatever keeps a token from being chosen; the request ends with it.
    fn adjust(&self, logits: &Tensor, generation: &Generation) -> Result<Tensor>;
}

/// The answer whose next token is to be chosen.
pub struct Generation<'a>(pub(crate) backend::Generation<'a>);

impl Generation<'_> {
    /// Token ids of the prompt.
    pub fn prompt(&self) -> Vec<u32> {
        self.0.prompt()
    }

    /// Token ids of the answer so far.
    pub fn answer(&self) -> Vec<u32> {
        self.0.answer()
    }

    /// Number of tokens of the answer so far: 0 for the first one.
    pub fn step(&self) -> u64 {
        self.0.step()
    }

    /// A number for this token, which follows from the request's seed, the number of the answer and the step alone. Random
    /// tensors are drawn from it, too.
    pub fn seed(&self) -> u64 {
        self.0.seed()
    }

    /// What was remembered at the token before; none at the first one, and where nothing was.
    ///
    /// # Errors
    /// If it was something of another type.
    pub fn memory<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        Ok(self.0.memory().map(|text| serde_json::from_str(&text)).transpose()?)
    }

    /// Keeps something for the next token of this answer, in the place of what was remembered before.
    ///
    /// # Errors
    /// If it is no JSON, or has more than 64 KiB.
    #[track_caller]
    pub fn remember(&self, value: &impl Serialize) -> Result<()> {
        let location = Location::caller();
        self.0.remember(&serde_json::to_string(value)?).map_err(|error| backend::error(error, location))
    }
}
