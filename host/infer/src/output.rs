use crate::Error;

/// The number of a request, for cancelling it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// A part of an answer.
#[derive(Clone, Debug)]
pub struct Output {
    /// Which of the request's answers it belongs to, from 0.
    pub choice: u32,
    /// New tokens.
    pub tokens: Vec<u32>,
    /// Text that is now certain; it may lag behind the tokens.
    pub text: String,
    /// One for each new token, if they were asked for.
    pub logprobs: Vec<TokenLogprobs>,
    /// With the first part of the first answer, one for each token of the prompt but the first, if they were asked for.
    pub prompt_logprobs: Vec<TokenLogprobs>,
    /// Tokens of the prompt that were found in the cache instead of being computed.
    pub cached_tokens: usize,
    /// Why the answer ends here; none if it goes on.
    pub finish: Option<Finish>,
}

/// Log-probabilities at one position, of the model's own distribution: before temperature and penalties.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLogprobs {
    /// The token that is there.
    pub token: u32,
    /// Its log-probability.
    pub logprob: f32,
    /// Its place among all tokens, from 1.
    pub rank: u32,
    /// The most probable tokens, the best first.
    pub top: Vec<(u32, f32)>,
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Finish {
    /// The model's end, or a token or text that stops.
    Stop(Stop),
    /// As many tokens as were allowed, or as there is room for.
    Length,
    /// Nobody wants it any more.
    Cancelled,
    /// It can't go on.
    Failed(std::sync::Arc<Error>),
}

impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

/// What stopped an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The model said that it is done.
    EndOfSequence,
    /// A token that was asked for.
    Token(u32),
    /// A text that was asked for.
    String(String),
}
