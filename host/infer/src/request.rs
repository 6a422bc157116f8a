use std::sync::Arc;

use crate::{BeamOptions, Error, LogitsProcessor, Result, Stop};

/// The most alternatives whose log-probabilities can be asked for at each position.
pub const MOST_LOGPROBS: u32 = 128;
/// The most answers to one request.
pub const MOST_CHOICES: u32 = 128;

/// How tokens are chosen. Names, meanings and defaults are those of OpenAI's interface and of vLLM's additions to it.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplingOptions {
    /// Logits are divided by it; 0 takes the most probable token.
    pub temperature: f64,
    /// Only so many most probable tokens; all of them when none.
    pub top_k: Option<u32>,
    /// The most probable tokens that together have this probability.
    pub top_p: f64,
    /// Only tokens with at least this share of the greatest probability.
    pub min_p: f64,
    /// Positive logits of tokens that occurred, in the prompt too, are divided by it, negative ones multiplied.
    pub repetition_penalty: f64,
    /// Subtracted from the logits of tokens that were generated.
    pub presence_penalty: f64,
    /// Subtracted from the logits of tokens for each time that they were generated.
    pub frequency_penalty: f64,
    /// Added to the logits of single tokens.
    pub logit_bias: Vec<(u32, f32)>,
    /// The only tokens that may be chosen; all when none.
    pub allowed_token_ids: Option<Vec<u32>>,
    /// The same seed gives the same tokens, whatever else is computed at the time; one is drawn when there is none.
    pub seed: Option<u64>,
}

impl Default for SamplingOptions {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: None,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            logit_bias: Vec::new(),
            allowed_token_ids: None,
            seed: None,
        }
    }
}

impl SamplingOptions {
    /// Whether there are no biases, bans and penalties.
    pub(crate) fn leaves_logits(&self) -> bool {
        let penalties = [self.repetition_penalty - 1.0, self.presence_penalty, self.frequency_penalty];
        self.logit_bias.is_empty() && self.allowed_token_ids.is_none() && penalties == [0.0; 3]
    }
}

/// When generation ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StopOptions {
    /// The most new tokens; as many as there is room for when none. 0 only reads the prompt.
    pub max_tokens: Option<usize>,
    /// Nothing that ends an answer is chosen before so many tokens.
    pub min_tokens: usize,
    /// Texts that end an answer.
    pub strings: Vec<String>,
    /// Tokens that end an answer besides the model's own.
    pub token_ids: Vec<u32>,
    /// Whether the model's own end is passed over.
    pub ignore_eos: bool,
    /// Whether what was asked for as an end is part of the answer's text.
    pub include_in_output: bool,
}

impl StopOptions {
    /// Whether an answer stops with this token, where `ends` are those with which the model says that it is done.
    pub(crate) fn at(&self, token: u32, ends: &[u32]) -> Option<Stop> {
        if ends.contains(&token) && !self.ignore_eos {
            return Some(Stop::EndOfSequence);
        }
        self.token_ids.contains(&token).then_some(Stop::Token(token))
    }
}

/// What is to be generated.
pub struct Request {
    /// Token ids of the prompt; at least one.
    pub prompt: Vec<u32>,
    /// How tokens are chosen.
    pub sampling: SamplingOptions,
    /// When generation ends.
    pub stop: StopOptions,
    /// Answers to give.
    pub n: u32,
    /// Answers to generate, of which the `n` with the greatest mean log-probability are given, all at the end; `n` when none.
    pub best_of: Option<u32>,
    /// Searches for the `n` most probable answers instead of choosing token by token; temperature and filters play no part.
    pub beams: Option<BeamOptions>,
    /// How many alternatives to name with log-probabilities at each generated position; 0 gives the chosen token's only.
    pub logprobs: Option<u32>,
    /// The same for the tokens of the prompt.
    pub prompt_logprobs: Option<u32>,
    /// The adapter to answer with.
    pub adapter: Option<String>,
    /// What changes logits before a token is chosen, in this order.
    pub processors: Vec<Box<dyn LogitsProcessor>>,
    /// Whether special tokens are left out of the text.
    pub skip_special_tokens: bool,
    /// Where the answer goes. A receiver that returns false wants no more: the request is cancelled.
    pub receiver: Arc<dyn Fn(crate::Output) -> bool + Send + Sync>,
}

impl Request {
    /// A request with default options.
    pub fn new(prompt: Vec<u32>, receiver: impl Fn(crate::Output) -> bool + Send + Sync + 'static) -> Self {
        Self {
            prompt,
            sampling: SamplingOptions::default(),
            stop: StopOptions::default(),
            n: 1,
            best_of: None,
            beams: None,
            logprobs: None,
            prompt_logprobs: None,
            adapter: None,
            processors: Vec::new(),
            skip_special_tokens: true,
            receiver: Arc::new(receiver),
        }
    }

    /// How many answers are generated.
    pub(crate) fn choices(&self) -> u32 {
        self.best_of.unwrap_or(self.n)
    }

    /// Whether answers are given out at the end only, since they are compared.
    pub(crate) fn compares(&self) -> bool {
        self.beams.is_some() || self.choices() != self.n
    }

    /// Whether the text shows what an answer stops with: a token that was asked for only if ends are to be shown, and the model's
    /// own end where special tokens are.
    pub(crate) fn shows(&self, stop: Option<&Stop>) -> bool {
        stop.is_none_or(|stop| match stop {
            Stop::EndOfSequence => !self.skip_special_tokens,
            _ => self.stop.include_in_output,
        })
    }

    /// # Errors
    /// If a number is out of its range.
    pub(crate) fn check(&self, vocab_size: usize) -> Result<()> {
        let SamplingOptions { temperature, top_k, top_p, min_p, .. } = self.sampling;
        let SamplingOptions { repetition_penalty, presence_penalty, frequency_penalty, .. } = self.sampling;
        let in_vocabulary = |id: u32| (id as usize) < vocab_size;
        let bias = &self.sampling.logit_bias;
        let rules = [
            ("prompt", "must have at least one token", !self.prompt.is_empty()),
            (
                "prompt",
                "has a token that the model does not know",
                self.prompt.iter().copied().all(in_vocabulary),
            ),
            ("temperature", "must be from 0 to 100", (0.0..=100.0).contains(&temperature)),
            ("top_k", "must be at least 1", top_k != Some(0)),
            ("top_p", "must be above 0 and at most 1", top_p > 0.0 && top_p <= 1.0),
            ("min_p", "must be from 0 to 1", (0.0..=1.0).contains(&min_p)),
            (
                "repetition_penalty",
                "must be above 0 and at most 100",
                repetition_penalty > 0.0 && repetition_penalty <= 100.0,
            ),
            ("presence_penalty", "must be from -2 to 2", (-2.0..=2.0).contains(&presence_penalty)),
            ("frequency_penalty", "must be from -2 to 2", (-2.0..=2.0).contains(&frequency_penalty)),
            (
                "logit_bias",
                "names a token that the model does not know",
                bias.iter().all(|(id, _)| in_vocabulary(*id)),
            ),
            (
                "logit_bias",
                "must be from -100 to 100",
                bias.iter().all(|(_, bias)| (-100.0..=100.0).contains(bias)),
            ),
            (
                "allowed_token_ids",
                "must have a token, and none that the model does not know",
                self.sampling
                    .allowed_token_ids
                    .as_ref()
                    .is_none_or(|allowed| !allowed.is_empty() && allowed.iter().copied().all(in_vocabulary)),
            ),
            (
                "stop_token_ids",
                "has a token that the model does not know",
                self.stop.token_ids.iter().copied().all(in_vocabulary),
            ),
            ("stop", "must not be an empty text", self.stop.strings.iter().all(|stop| !stop.is_empty())),
            (
                "min_tokens",
                "must be at most `max_tokens`",
                self.stop.max_tokens.is_none_or(|most| self.stop.min_tokens <= most),
            ),
            ("n", "must be from 1 to 128", (1..=MOST_CHOICES).contains(&self.n)),
            ("best_of", "must be from `n` to 128", (self.n..=MOST_CHOICES).contains(&self.choices())),
            ("best_of", "cannot be used with beam search", self.beams.is_none() || self.best_of.is_none()),
            ("stop", "cannot be a text in beam search", self.beams.is_none() || self.stop.strings.is_empty()),
            (
                "num_beams",
                "must be from `n` to 128",
                self.beams.is_none_or(|beams| (self.n..=MOST_CHOICES).contains(&beams.width)),
            ),
            (
                "length_penalty",
                "must be from -10 to 10",
                self.beams.is_none_or(|beams| (-10.0..=10.0).contains(&beams.length_penalty)),
            ),
            ("logprobs", "must be at most 128", self.logprobs.is_none_or(|count| count <= MOST_LOGPROBS)),
            (
                "prompt_logprobs",
                "must be at most 128",
                self.prompt_logprobs.is_none_or(|count| count <= MOST_LOGPROBS),
            ),
        ];
        match rules.into_iter().find(|(.., holds)| !holds) {
            Some((name, rule, _)) => Err(Error::Option { name, rule }),
            None => Ok(()),
        }
    }
}
