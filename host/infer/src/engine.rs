use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use swift_data::Tokenizer;
use swift_tensor::fused::{PagedBatch, PagedTokens};
use swift_tensor::with_awake_workers;

use crate::beams::Beams;
use crate::blocks::BlockPool;
use crate::schedule::Work;
use crate::sequence::{Group, Sequence, SequenceId};
use crate::text::text_stream;
use crate::{Backend, Error, Finish, Output, Request, RequestId, Result, Step};

/// How an engine shares its time and memory out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// The most tokens of a step; longer prompts are read in parts.
    pub max_batch_tokens: usize,
    /// The most sequences that are computed at once.
    pub max_sequences: usize,
    /// The most requests that wait; more are refused.
    pub max_waiting: usize,
    /// The most tokens of a sequence, prompt and answer together.
    pub context_length: usize,
    /// Whether beginnings that the cache still has are taken from there.
    pub prefix_caching: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            max_batch_tokens: 2048,
            max_sequences: 256,
            max_waiting: 1024,
            context_length: 32_768,
            prefix_caching: true,
        }
    }
}

/// What an engine is at and what it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Sequences that are computed.
    pub running: usize,
    /// Sequences that wait.
    pub waiting: usize,
    /// Blocks that no sequence has.
    pub free_blocks: usize,
    /// All blocks.
    pub total_blocks: usize,
    /// Steps so far.
    pub steps: u64,
    /// Requests that came to an end, of any kind.
    pub finished_requests: u64,
    /// Tokens of prompts, found in the cache or computed.
    pub prompt_tokens: u64,
    /// Those of them that were found.
    pub cached_tokens: u64,
    /// Tokens generated.
    pub generated_tokens: u64,
    /// Times that a sequence had to give its blocks back.
    pub preemptions: u64,
}

/// Generates the answers to many requests at once: in each step every running sequence gets one token further, or reads a
/// part of its prompt, in one batch (Yu et al. 2022, "Orca"). Sequences whose beginnings are the same share blocks.
///
/// Answers do not depend on what else is computed, but for rounding where sums are taken over another number of tokens.
pub struct Engine<B> {
    pub(crate) backend: B,
    pub(crate) tokenizer: Option<Tokenizer>,
    /// Tokens with which the model says that it is done.
    pub(crate) ends: Vec<u32>,
    pub(crate) options: EngineOptions,
    pub(crate) block_size: usize,
    pub(crate) pool: BlockPool,
    pub(crate) groups: BTreeMap<RequestId, Group>,
    pub(crate) sequences: BTreeMap<SequenceId, Sequence>,
    /// In the order in which they began.
    pub(crate) running: Vec<SequenceId>,
    pub(crate) waiting: VecDeque<SequenceId>,
    pub(crate) statistics: Statistics,
    next_id: u64,
    seeds: RandomState,
}

impl<B: Backend> Engine<B> {
    /// An engine that is at nothing yet. Without a tokeniser answers are token ids only. `ends` are the tokens with which
    /// the model says that it is done.
    pub fn new(backend: B, tokenizer: Option<Tokenizer>, ends: Vec<u32>, options: EngineOptions) -> Self {
        let (blocks, block_size) = backend.cache_size();
        Self {
            backend,
            tokenizer,
            ends,
            options,
            block_size,
            pool: BlockPool::new(blocks),
            groups: BTreeMap::new(),
            sequences: BTreeMap::new(),
            running: Vec::new(),
            waiting: VecDeque::new(),
            statistics: Statistics::default(),
            next_id: 0,
            seeds: RandomState::new(),
        }
    }

    /// The most tokens of a sequence: what the model allows and the cache has room for.
    pub fn context_length(&self) -> usize {
        self.options.context_length.min(self.pool.total() * self.block_size)
    }

    /// What it computes with.
    pub fn backend(&mut self) -> &mut B {
        &mut self.backend
    }

    /// What it is at and what it did.
    pub fn statistics(&self) -> Statistics {
        Statistics {
            running: self.running.len(),
            waiting: self.waiting.len(),
            free_blocks: self.pool.free(),
            total_blocks: self.pool.total(),
            ..self.statistics
        }
    }

    /// Takes a request; its answer comes in parts, by [`Engine::step`].
    ///
    /// # Errors
    /// If an option is out of its range, the prompt is too long, there is no such adapter, or too many requests wait.
    pub fn submit(&mut self, request: Request) -> Result<RequestId> {
        request.check(self.backend.vocab_size())?;
        let (prompt, context) = (request.prompt.len(), self.context_length());
        if prompt + usize::from(request.stop.max_tokens != Some(0)) > context {
            return Err(Error::PromptTooLong { prompt, context });
        }
        if let Some(name) = request.adapter.as_ref().filter(|name| !self.backend.adapters().contains(name)) {
            return Err(Error::UnknownAdapter(name.clone()));
        }
        if self.waiting.len() >= self.options.max_waiting {
            return Err(Error::QueueFull(self.waiting.len()));
        }
        let request_id = RequestId(self.next_id);
        self.next_id += 1;
        let id = SequenceId { request: request_id, choice: 0 };
        let seed = request.sampling.seed.unwrap_or_else(|| self.seeds.hash_one(request_id.0));
        let processors = request.processors.iter().map(|processor| processor.fork()).collect();
        let text = text_stream(self.tokenizer.as_ref(), &request);
        let sequence = Sequence::new(request.prompt.clone(), request.adapter.as_deref(), text, processors);
        let open = request.choices();
        self.sequences.insert(id, sequence);
        self.groups
            .insert(request_id, Group { request, seed, open, held: Vec::new(), beams: Beams::default() });
        self.waiting.push_back(id);
        Ok(request_id)
    }

    /// Takes all of these requests, or none of them: they begin together.
    ///
    /// # Errors
    /// As [`Engine::submit`], of the first that can't be taken.
    pub fn submit_all(&mut self, requests: Vec<Request>) -> Result<Vec<RequestId>> {
        let mut taken = Vec::with_capacity(requests.len());
        for request in requests {
            match self.submit(request) {
                Ok(id) => taken.push(id),
                Err(error) => {
                    taken.into_iter().for_each(|id| self.cancel(id));
                    return Err(error);
                }
            }
        }
        Ok(taken)
    }

    /// Ends a request at once. Nothing happens if it has ended.
    pub fn cancel(&mut self, request: RequestId) {
        self.end_request(request, &Finish::Cancelled);
    }

    /// Whether there is nothing to do.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty()
    }

    /// Forgets what the cache holds of sequences that have ended.
    pub fn forget_cached(&mut self) {
        self.pool.forget();
    }

    /// Forgets an adapter. Requests that are answered with it end, and so does what the cache holds: another adapter may come
    /// under the same name.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn unload_adapter(&mut self, name: &str) -> Result<()> {
        self.backend.unload_adapter(name)?;
        let finish = Finish::Failed(Arc::new(Error::AdapterUnloaded(name.to_owned())));
        let uses = |group: &Group| group.request.adapter.as_deref() == Some(name);
        let using: Vec<RequestId> =
            self.groups.iter().filter(|(_, group)| uses(group)).map(|(id, _)| *id).collect();
        using.into_iter().for_each(|request| self.end_request(request, &finish));
        self.forget_cached();
        Ok(())
    }

    /// Goes one step further with all that takes part in it. A failure of the model ends the requests of the step.
    pub fn step(&mut self) {
        let plan = match self.schedule() {
            Ok(plan) => plan,
            Err(error) => return self.fail_all(error),
        };
        if plan.is_empty() {
            return;
        }
        self.statistics.steps += 1;
        let (plan, step) = self.prepare(plan);
        let (wanted, vocab_size) = (step.rows.len(), self.backend.vocab_size());
        match with_awake_workers(|| self.backend.forward(step)) {
            Ok(logits) if logits.len() == wanted * vocab_size => self.take_results(&plan, logits),
            Ok(_) => self.fail(&plan, Error::NoToken),
            Err(error) => self.fail(&plan, error),
        }
    }

    /// The step's tokens, those of each adapter together.
    fn prepare(&mut self, mut plan: Vec<Work>) -> (Vec<Work>, Step) {
        let adapter = |work: &Work| self.groups.get(&work.id.request)?.request.adapter.clone();
        plan.sort_by_cached_key(|work| adapter(work));
        let mut step = Step {
            ids: Vec::new(),
            sequences: PagedBatch::default(),
            adapters: Vec::new(),
            rows: Vec::new(),
        };
        for work in &plan {
            let Some(sequence) = self.sequences.get(&work.id) else { continue };
            let (start, length) = (sequence.cached, sequence.cached + work.count);
            let first_row = step.ids.len();
            step.ids.extend(sequence.tokens.get(start..length).unwrap_or_default());
            let rows = self.rows(work, sequence).map(|position| (first_row + position - start) as u32);
            step.rows.extend(rows);
            let blocks = sequence.blocks.clone();
            step.sequences.sequences.push(PagedTokens { count: work.count, length, blocks });
            let adapter = adapter(work);
            match step.adapters.last_mut() {
                Some((count, last)) if *last == adapter => *count += work.count,
                _ => step.adapters.push((work.count, adapter)),
            }
        }
        (plan, step)
    }

    /// The positions of a sequence whose logits are wanted: those of the prompt if it was asked for, and the last.
    pub(crate) fn rows(&self, work: &Work, sequence: &Sequence) -> std::ops::Range<usize> {
        let end = sequence.cached + work.count;
        let wants_prompt =
            self.groups.get(&work.id.request).is_some_and(|group| group.request.prompt_logprobs.is_some());
        let first = sequence.prompt_logprobs.len();
        if wants_prompt && first + 1 < sequence.prompt_length {
            return sequence.cached.max(first)..end;
        }
        if end == sequence.tokens.len() { end - 1..end } else { end..end }
    }

    fn fail(&mut self, plan: &[Work], error: Error) {
        let finish = Finish::Failed(Arc::new(error));
        // What the step was to write into the cache is not known to be there.
        plan.iter().for_each(|work| self.end_request(work.id.request, &finish));
    }

    fn fail_all(&mut self, error: Error) {
        let finish = Finish::Failed(Arc::new(error));
        let all: Vec<RequestId> = self.groups.keys().copied().collect();
        all.into_iter().for_each(|request| self.end_request(request, &finish));
    }

    /// Ends all answers of a request that have not ended.
    pub(crate) fn end_request(&mut self, request: RequestId, finish: &Finish) {
        let ids: Vec<SequenceId> =
            self.sequences.range(SequenceId::all(request)).map(|(id, _)| *id).collect();
        ids.iter().for_each(|id| self.remove(*id));
        let Some(group) = self.groups.remove(&request) else { return };
        self.statistics.finished_requests += 1;
        let choices: Vec<u32> = match group.request.compares() {
            true => (0..group.request.n).collect(),
            false => ids.iter().map(|id| id.choice).collect(),
        };
        for choice in choices {
            (group.request.receiver)(Output { finish: Some(finish.clone()), ..Output::of(choice) });
        }
    }

    /// Gives everything back that a sequence has.
    pub(crate) fn remove(&mut self, id: SequenceId) {
        self.release(id);
        self.sequences.remove(&id);
        self.running.retain(|other| *other != id);
        self.waiting.retain(|other| *other != id);
    }
}
