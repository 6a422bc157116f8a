use std::cell::RefCell;

use crate::{Dtype, Generation, Result, Sampler, Tensor};

/// An answer that is being generated, with what a test says of it. What a sampler remembers stays in it.
#[derive(Debug, Default)]
pub struct Answered {
    prompt: Vec<u32>,
    answer: Vec<u32>,
    seed: u64,
    memory: RefCell<Option<String>>,
}

impl Answered {
    /// Of a prompt and the tokens so far.
    pub fn new(prompt: &[u32], answer: &[u32]) -> Self {
        Self { prompt: prompt.to_vec(), answer: answer.to_vec(), ..Self::default() }
    }

    /// With a seed.
    #[must_use]
    pub fn seed_of(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Adds a token.
    pub fn push(&mut self, token: u32) {
        self.answer.push(token);
    }

    pub(crate) fn prompt(&self) -> Vec<u32> {
        self.prompt.clone()
    }

    pub(crate) fn answer(&self) -> Vec<u32> {
        self.answer.clone()
    }

    pub(crate) fn step(&self) -> u64 {
        self.answer.len() as u64
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    pub(crate) fn memory(&self) -> Option<String> {
        self.memory.borrow().clone()
    }

    pub(crate) fn remember(&self, text: &str) -> Result<(), swift_tensor::Error> {
        *self.memory.borrow_mut() = Some(text.to_owned());
        Ok(())
    }
}

/// What a sampler makes of logits.
///
/// # Errors
/// What the sampler gives.
pub fn adjust(sampler: &impl Sampler, logits: &[f64], answered: &Answered) -> Result<Vec<f64>> {
    let logits = Tensor::from_list(logits, &[logits.len() as u64], Dtype::Float64);
    sampler.adjust(&logits, &Generation(answered))?.to_list()
}
