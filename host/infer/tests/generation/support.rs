//! A model that is a hash of what it sees, and what it must answer.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use swift_infer::{
    Backend, Engine, EngineOptions, Error, Finish, LogitsProcessor, Output, Pooling, Progress, Request,
    Result, Step,
};

pub(crate) const VOCABULARY: usize = 97;
/// The token that ends an answer.
pub(crate) const END: u32 = 96;

/// A cache of tokens instead of keys and values.
pub(crate) struct Hashes {
    block_size: usize,
    slots: Vec<Option<u32>>,
    pub(crate) adapters: Vec<String>,
    /// Tokens of each step so far.
    pub(crate) step_sizes: Arc<Mutex<Vec<usize>>>,
    /// The step that fails.
    pub(crate) fails_at: Option<usize>,
}

impl Hashes {
    pub(crate) fn new(blocks: usize, block_size: usize) -> Self {
        Self {
            block_size,
            slots: vec![None; blocks * block_size],
            adapters: vec!["a".into(), "b".into()],
            step_sizes: Arc::default(),
            fails_at: None,
        }
    }
}

/// The logits after these tokens.
pub(crate) fn logits(tokens: &[u32], adapter: Option<&str>) -> Vec<f32> {
    let mix = |state: u64, value: u64| (state ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let start = adapter.map_or(1, |name| name.bytes().fold(2, |state, byte| mix(state, byte.into())));
    let state = tokens.iter().fold(start, |state, token| mix(state, u64::from(*token) + 1));
    let logit = |id| (mix(mix(state, id), 7) >> 40) as f32 / (1u64 << 24) as f32 * 8.0 - 4.0;
    // The end is improbable, so that answers have some length.
    (0..VOCABULARY as u64).map(|id| logit(id) - if id == u64::from(END) { 4.0 } else { 0.0 }).collect()
}

impl Backend for Hashes {
    fn vocab_size(&self) -> usize {
        VOCABULARY
    }

    fn cache_size(&self) -> (usize, usize) {
        (self.slots.len() / self.block_size, self.block_size)
    }

    fn forward(&mut self, step: Step) -> Result<Vec<f32>> {
        let mut sizes = self.step_sizes.lock().unwrap();
        sizes.push(step.ids.len());
        if self.fails_at == Some(sizes.len()) {
            return Err(Error::NoToken);
        }
        let adapters: Vec<_> =
            step.adapters.iter().flat_map(|(count, name)| vec![name.as_deref(); *count]).collect();
        assert_eq!(adapters.len(), step.ids.len());
        let (mut ids, mut token) = (step.ids.iter(), 0);
        let mut all = BTreeMap::new();
        for sequence in &step.sequences.sequences {
            let slot = |position: usize| {
                sequence.blocks[position / self.block_size] as usize * self.block_size
                    + position % self.block_size
            };
            let new = sequence.length - sequence.count..sequence.length;
            for position in new.clone() {
                self.slots[slot(position)] = ids.next().copied();
            }
            for position in new {
                let seen = |position| self.slots[slot(position)].expect("a token that was not computed");
                let tokens: Vec<u32> = (0..=position).map(seen).collect();
                all.insert(token, logits(&tokens, adapters[token as usize]));
                token += 1;
            }
        }
        Ok(step.rows.iter().flat_map(|row| all[row].clone()).collect())
    }

    fn copy_block(&mut self, from: u32, to: u32) -> Result<()> {
        let start = from as usize * self.block_size;
        self.slots.copy_within(start..start + self.block_size, to as usize * self.block_size);
        Ok(())
    }

    fn embed(&mut self, prompt: &[u32], _: Pooling) -> Result<Vec<f32>> {
        Ok(logits(prompt, None))
    }

    fn adapters(&self) -> Vec<String> {
        self.adapters.clone()
    }

    fn load_adapter(&mut self, name: &str, _: &Path) -> Result<()> {
        self.adapters.push(name.to_owned());
        Ok(())
    }

    fn unload_adapter(&mut self, name: &str) -> Result<()> {
        self.adapters.retain(|known| known != name);
        Ok(())
    }
}

pub(crate) fn engine(blocks: usize, block_size: usize, options: EngineOptions) -> Engine<Hashes> {
    Engine::new(Hashes::new(blocks, block_size), None, vec![END], options)
}

/// What came of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) parts: Vec<Output>,
}

impl Answer {
    pub(crate) fn tokens(&self, choice: u32) -> Vec<u32> {
        let parts = self.parts.iter().filter(|part| part.choice == choice);
        parts.flat_map(|part| part.tokens.iter().copied()).collect()
    }

    pub(crate) fn finish(&self, choice: u32) -> Option<Finish> {
        self.parts.iter().filter(|part| part.choice == choice).find_map(|part| part.finish.clone())
    }
}

pub(crate) type Shared = Arc<Mutex<Answer>>;

/// A request with a greedy answer of at most so many tokens, and where it comes.
pub(crate) fn request(prompt: &[u32], max_tokens: usize) -> (Request, Shared) {
    let answer = Shared::default();
    let kept = answer.clone();
    let mut request = Request::new(prompt.to_vec(), move |output| {
        kept.lock().unwrap().parts.push(output);
        true
    });
    request.sampling.temperature = 0.0;
    request.stop.max_tokens = Some(max_tokens);
    (request, answer)
}

pub(crate) fn run(engine: &mut Engine<Hashes>) {
    for _ in 0..10_000 {
        if engine.is_idle() {
            return;
        }
        engine.step();
    }
    panic!("The engine does not come to an end: {:?}", engine.statistics());
}

/// The greedy answer, by the definition.
pub(crate) fn greedy(prompt: &[u32], max_tokens: usize, adapter: Option<&str>) -> Vec<u32> {
    let mut tokens = prompt.to_vec();
    for _ in 0..max_tokens {
        let logits = logits(&tokens, adapter);
        let best = (0..VOCABULARY).rev().max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap();
        tokens.push(best as u32);
        if best as u32 == END {
            break;
        }
    }
    tokens.split_off(prompt.len())
}

/// Prompts of many lengths, some with the same beginnings.
pub(crate) fn prompts() -> Vec<Vec<u32>> {
    let prompt =
        |seed: u32, length: u32| (0..length).map(|i| (i * i + seed * i + seed) % 90).collect::<Vec<u32>>();
    let common = prompt(5, 40);
    let mut prompts: Vec<Vec<u32>> = (1..12).map(|seed| prompt(seed, seed * 5 % 31 + 1)).collect();
    prompts.extend((1..8).map(|seed| [common.clone(), prompt(seed, seed)].concat()));
    prompts.push(common.clone());
    prompts.push(common);
    prompts
}

/// Allows two tokens at each place of an answer of so many tokens, and has a state of its own to know the place by.
pub(crate) struct Form {
    length: usize,
    accepted: Vec<u32>,
}

impl Form {
    pub(crate) fn of(length: usize) -> Self {
        Self { length, accepted: Vec::new() }
    }
}

impl LogitsProcessor for Form {
    fn process(&mut self, progress: &Progress<'_>, logits: &mut [f32]) -> Result<()> {
        assert_eq!(progress.generated, self.accepted);
        for (id, logit) in logits.iter_mut().enumerate() {
            if id / 2 != self.accepted.len() {
                *logit = f32::NEG_INFINITY;
            }
        }
        Ok(())
    }

    fn accept(&mut self, token: u32) -> Result<bool> {
        self.accepted.push(token);
        Ok(self.accepted.len() == self.length)
    }

    fn fork(&self) -> Box<dyn LogitsProcessor> {
        Box::new(Self { length: self.length, accepted: self.accepted.clone() })
    }
}
