//! How tokens are chosen, on the command line and in the chat.

use clap::Args;
use swift_infer::{
    BeamOptions, GenerationConfig, LogitsProcessor as _, Request, Sampler, SamplingOptions, StopOptions,
};

use crate::report::UsageError;

/// How answers are made.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Generation")]
pub(crate) struct SamplingArguments {
    /// The most tokens of an answer [default: as many as there is room for]
    #[arg(long, alias = "max-tokens", value_name = "TOKENS")]
    max_new_tokens: Option<usize>,
    /// Logits are divided by it; 0 takes the most probable token [default: the model's]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    temperature: Option<f64>,
    /// Only so many most probable tokens; 0 for all [default: the model's]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    top_k: Option<u32>,
    /// Only the most probable tokens that together have this probability [default: the model's]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    top_p: Option<f64>,
    /// Only tokens with at least this share of the greatest probability [default: the model's]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    min_p: Option<f64>,
    /// Positive logits of tokens that occurred are divided by it, negative ones multiplied [default: the model's]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    repetition_penalty: Option<f64>,
    /// Subtracted from the logits of tokens that were generated
    #[arg(long, value_name = "NUMBER", default_value = "0", allow_negative_numbers = true)]
    presence_penalty: f64,
    /// Subtracted from the logits of tokens for each time that they were generated
    #[arg(long, value_name = "NUMBER", default_value = "0", allow_negative_numbers = true)]
    frequency_penalty: f64,
    /// Texts that end an answer
    #[arg(long, value_name = "TEXT", num_args = 1..)]
    stop_words: Vec<String>,
    /// Search for the most probable answer with so many beams, instead of choosing token by token
    #[arg(long, value_name = "N", default_value = "1")]
    num_beams: u32,
    /// With beams, favour long answers if above 0, and short ones below
    #[arg(long, value_name = "NUMBER", default_value = "1", allow_negative_numbers = true)]
    length_penalty: f64,
    /// Seed of what is drawn; the N-th answer has this seed plus N
    #[arg(long, value_name = "N", default_value = "42")]
    pub(crate) seed: u64,
    /// Write the log-probability of each token of an answer
    #[arg(long, value_name = "BOOL", default_value = "false", num_args = 0..=1, default_missing_value = "true",
          action = clap::ArgAction::Set)]
    logprobs: bool,
    /// Write those of so many most probable tokens besides
    #[arg(long, value_name = "N", requires = "logprobs")]
    top_logprobs: Option<u32>,
}

/// How answers are made, once everything is known.
#[derive(Clone, Debug)]
pub(crate) struct Generation {
    pub(crate) sampling: SamplingOptions,
    pub(crate) stop: StopOptions,
    /// How beams are searched, if they are.
    pub(crate) beams: Option<BeamOptions>,
    /// The seed of the first answer.
    pub(crate) seed: u64,
    pub(crate) logprobs: Option<u32>,
    /// Plugins that have a say in it, in this order.
    pub(crate) samplers: Vec<Sampler>,
}

impl SamplingArguments {
    /// What was said, over what the model's folder says.
    pub(crate) fn over(
        &self,
        model: &GenerationConfig,
        samplers: Vec<Sampler>,
    ) -> Result<Generation, UsageError> {
        let own = &model.sampling;
        let generation = Generation {
            sampling: SamplingOptions {
                temperature: self.temperature.unwrap_or(own.temperature),
                top_k: self.top_k.or(own.top_k).filter(|count| *count > 0),
                top_p: self.top_p.unwrap_or(own.top_p),
                min_p: self.min_p.unwrap_or(own.min_p),
                repetition_penalty: self.repetition_penalty.unwrap_or(own.repetition_penalty),
                presence_penalty: self.presence_penalty,
                frequency_penalty: self.frequency_penalty,
                ..own.clone()
            },
            stop: StopOptions {
                max_tokens: self.max_new_tokens,
                strings: self.stop_words.clone(),
                ..StopOptions::default()
            },
            beams: (self.num_beams != 1).then(|| BeamOptions {
                length_penalty: self.length_penalty,
                ..BeamOptions::new(self.num_beams)
            }),
            seed: self.seed,
            logprobs: self.logprobs.then(|| self.top_logprobs.unwrap_or(0)),
            samplers,
        };
        generation.check()?;
        Ok(generation)
    }
}

impl Generation {
    /// The request for the answer with this number, from 0.
    pub(crate) fn request(
        &self,
        prompt: Vec<u32>,
        number: u64,
        adapter: Option<String>,
        receiver: impl Fn(swift_infer::Output) -> bool + Send + Sync + 'static,
    ) -> Request {
        let mut request = Request::new(prompt, receiver);
        let seed = Some(self.seed.wrapping_add(number));
        request.sampling = SamplingOptions { seed, ..self.sampling.clone() };
        request.stop = self.stop.clone();
        (request.logprobs, request.beams) = (self.logprobs, self.beams);
        request.adapter = adapter;
        request.processors = self.samplers.iter().map(|sampler| sampler.fork()).collect();
        request
    }

    /// Refuses what no request can have, before anything is begun.
    pub(crate) fn check(&self) -> Result<(), UsageError> {
        let Self { sampling, stop, logprobs, beams, .. } = self;
        let rules = [
            ("temperature", "must be from 0 to 100", (0.0..=100.0).contains(&sampling.temperature)),
            ("top-p", "must be above 0 and at most 1", sampling.top_p > 0.0 && sampling.top_p <= 1.0),
            ("min-p", "must be from 0 to 1", (0.0..=1.0).contains(&sampling.min_p)),
            (
                "repetition-penalty",
                "must be above 0 and at most 100",
                sampling.repetition_penalty > 0.0 && sampling.repetition_penalty <= 100.0,
            ),
            ("presence-penalty", "must be from -2 to 2", (-2.0..=2.0).contains(&sampling.presence_penalty)),
            ("frequency-penalty", "must be from -2 to 2", (-2.0..=2.0).contains(&sampling.frequency_penalty)),
            ("max-new-tokens", "must be above 0", stop.max_tokens != Some(0)),
            ("stop-words", "must not have an empty text", stop.strings.iter().all(|text| !text.is_empty())),
            (
                "num-beams",
                "must be from 1 to 128",
                beams.is_none_or(|beams| (1..=swift_infer::MOST_CHOICES).contains(&beams.width)),
            ),
            (
                "length-penalty",
                "must be from -10 to 10",
                beams.is_none_or(|beams| (-10.0..=10.0).contains(&beams.length_penalty)),
            ),
            ("stop-words", "cannot be used with beams", beams.is_none() || stop.strings.is_empty()),
            (
                "top-logprobs",
                "must be at most 128",
                logprobs.is_none_or(|count| count <= swift_infer::MOST_LOGPROBS),
            ),
        ];
        match rules.into_iter().find(|(.., holds)| !holds) {
            Some((flag, rule, _)) => Err(UsageError::new(format!("`--{flag}` {rule}"))),
            None => Ok(()),
        }
    }
}
