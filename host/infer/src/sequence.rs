use std::ops::RangeInclusive;

use crate::beams::Beams;
use crate::blocks::{BlockHash, BlockPool};
use crate::text::TextStream;
use crate::{LogitsProcessor, Request, RequestId, TokenLogprobs};

/// One answer of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SequenceId {
    pub(crate) request: RequestId,
    pub(crate) choice: u32,
}

impl SequenceId {
    /// All that a request can have.
    pub(crate) fn all(request: RequestId) -> RangeInclusive<Self> {
        Self { request, choice: 0 }..=Self { request, choice: u32::MAX }
    }
}

/// What is being generated for one answer.
pub(crate) struct Sequence {
    /// Prompt and answer so far.
    pub(crate) tokens: Vec<u32>,
    pub(crate) prompt_length: usize,
    /// Tokens whose keys and values are in the cache.
    pub(crate) cached: usize,
    /// Tokens of the prompt that were found in the cache when the sequence was admitted.
    pub(crate) found: usize,
    pub(crate) blocks: Vec<u32>,
    /// Stands for the first `hashed` blocks.
    hash: BlockHash,
    hashed: usize,
    pub(crate) text: TextStream,
    pub(crate) processors: Vec<Box<dyn LogitsProcessor>>,
    pub(crate) prompt_logprobs: Vec<TokenLogprobs>,
    /// Sum of the log-probabilities of the answer's tokens, where it is needed.
    pub(crate) logprob_sum: f64,
    /// Log-probabilities of the answer's tokens, where they are given out at the end only.
    pub(crate) logprobs: Vec<TokenLogprobs>,
    /// Whether it waits for other beams of its request before it goes on.
    pub(crate) waits: bool,
    /// Whether a part of the answer was given out.
    pub(crate) started: bool,
}

/// A request that is not answered yet.
pub(crate) struct Group {
    pub(crate) request: Request,
    pub(crate) seed: u64,
    /// Answers that are not finished, or not begun.
    pub(crate) open: u32,
    /// Finished answers that wait for the others, with their mean log-probabilities.
    pub(crate) held: Vec<(f64, crate::Output)>,
    /// The search for answers, where they are searched for.
    pub(crate) beams: Beams,
}

impl Sequence {
    pub(crate) fn new(
        tokens: Vec<u32>,
        adapter: Option<&str>,
        text: TextStream,
        processors: Vec<Box<dyn LogitsProcessor>>,
    ) -> Self {
        Self {
            prompt_length: tokens.len(),
            tokens,
            cached: 0,
            found: 0,
            blocks: Vec::new(),
            hash: BlockHash::start(adapter),
            hashed: 0,
            text,
            processors,
            prompt_logprobs: Vec::new(),
            logprob_sum: 0.0,
            logprobs: Vec::new(),
            waits: false,
            started: false,
        }
    }

    /// The same sequence once more, with the same blocks, for another answer.
    pub(crate) fn fork(&self, text: TextStream, pool: &mut BlockPool) -> Self {
        self.blocks.iter().for_each(|block| pool.share(*block));
        Self {
            tokens: self.tokens.clone(),
            prompt_length: self.prompt_length,
            cached: self.cached,
            found: self.found,
            blocks: self.blocks.clone(),
            hash: self.hash,
            hashed: self.hashed,
            text,
            processors: self.processors.iter().map(|processor| processor.fork()).collect(),
            prompt_logprobs: Vec::new(),
            logprob_sum: 0.0,
            logprobs: Vec::new(),
            waits: false,
            started: false,
        }
    }

    /// Tokens that are still to be computed before the next one can be chosen.
    pub(crate) fn remaining(&self) -> usize {
        self.tokens.len() - self.cached
    }

    /// Takes what the cache has of the sequence's beginning. Its last token is always computed, since its logits are
    /// wanted.
    pub(crate) fn find_beginning(&mut self, pool: &mut BlockPool, block_size: usize) {
        for block in self.tokens.chunks_exact(block_size).take((self.tokens.len() - 1) / block_size) {
            let hash = self.hash.then(block);
            let Some(index) = pool.take(&hash) else { break };
            self.blocks.push(index);
            self.hash = hash;
            self.hashed += 1;
        }
        self.cached = self.hashed * block_size;
        if !self.started {
            self.found = self.cached.min(self.prompt_length);
        }
    }

    /// Tells the pool what blocks that are full now hold.
    pub(crate) fn publish(&mut self, pool: &mut BlockPool, block_size: usize) {
        let full = self.cached / block_size;
        let blocks = self.tokens.chunks_exact(block_size).zip(&self.blocks);
        for (tokens, index) in blocks.take(full).skip(self.hashed) {
            self.hash = self.hash.then(tokens);
            self.hashed += 1;
            pool.publish(*index, self.hash);
        }
    }

    /// Gives all blocks back, the last first, since a beginning is of more use to others.
    pub(crate) fn release(&mut self, pool: &mut BlockPool, adapter: Option<&str>) {
        self.blocks.drain(..).rev().for_each(|block| pool.release(block));
        (self.cached, self.hashed, self.hash) = (0, 0, BlockHash::start(adapter));
    }
}
