use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};

use llguidance::Matcher;
use toktrie::SimpleVob;

use super::threads::Threads;
use crate::{Error, LogitsProcessor, Progress};

/// What a lost computation leaves to be said.
const LOST: &str = "the grammar can't be followed any further";

/// Rules tokens out that a grammar does not allow to follow. One belongs to one answer.
pub struct Constraint {
    state: Mutex<State>,
    threads: Threads,
    ends: Arc<[u32]>,
}

struct State {
    stage: Stage,
    /// Tokens of the answer that the matcher has seen.
    seen: usize,
}

#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each answer, and a box would be made at each token"
)]
enum Stage {
    /// While the model computes.
    Computing(Receiver<Ready>),
    Ready(Ready),
    Lost,
}

/// A place in a grammar, and the tokens that may follow.
pub(super) struct Ready {
    matcher: Matcher,
    pub(super) mask: Result<Arc<SimpleVob>, String>,
}

impl Ready {
    /// Computes the mask at this place.
    pub(super) fn compute(mut matcher: Matcher) -> Self {
        let mask = matcher.compute_mask_or_eos().map(Arc::new).map_err(|error| message(&error));
        Self { matcher, mask }
    }
}

/// What the library says, in one line.
fn message(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or(LOST).trim().to_owned()
}

impl State {
    /// Waits for the mask, if it is being computed.
    fn ready(&mut self) -> Result<&mut Ready, String> {
        if let Stage::Computing(receiver) = &self.stage {
            self.stage = receiver.recv().map_or(Stage::Lost, Stage::Ready);
        }
        match &mut self.stage {
            Stage::Ready(ready) => Ok(ready),
            _ => Err(LOST.to_owned()),
        }
    }

    /// Goes on by a token. Gives whether the grammar is at its end.
    fn go_on(&mut self, token: u32, threads: &Threads) -> Result<bool, String> {
        self.ready()?;
        let Stage::Ready(Ready { mut matcher, .. }) = std::mem::replace(&mut self.stage, Stage::Lost) else {
            return Err(LOST.to_owned());
        };
        matcher.consume_token(token).map_err(|error| message(&error))?;
        self.seen += 1;
        if matcher.is_stopped() {
            if !matcher.stop_reason().is_ok() {
                return Err(matcher.get_error().map_or_else(|| LOST.to_owned(), |error| message(&error)));
            }
            self.stage = Stage::Ready(Ready::compute(matcher));
            return Ok(true);
        }
        self.stage = Stage::Computing(threads.run(move || Ready::compute(matcher)));
        Ok(false)
    }
}

impl Constraint {
    pub(super) fn new(ready: Ready, threads: Threads, ends: Arc<[u32]>) -> Self {
        Self { state: Mutex::new(State { stage: Stage::Ready(ready), seen: 0 }), threads, ends }
    }

    fn state(&mut self) -> &mut State {
        self.state.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogitsProcessor for Constraint {
    fn process(&mut self, progress: &Progress<'_>, logits: &mut [f32]) -> crate::Result<()> {
        let Self { state, threads, ends } = self;
        let state = state.get_mut().unwrap_or_else(PoisonError::into_inner);
        for token in progress.generated.iter().skip(state.seen) {
            state.go_on(*token, threads).map_err(Error::Form)?;
        }
        let mask = state.ready().and_then(|ready| ready.mask.clone()).map_err(Error::Form)?;
        for (id, logit) in logits.iter_mut().enumerate() {
            if id >= mask.len() || !mask.get(id) {
                *logit = f32::NEG_INFINITY;
            }
        }
        // The grammar is at its end, which counts for more than a least number of tokens.
        if logits.iter().all(|logit| *logit == f32::NEG_INFINITY) {
            for end in ends.iter().filter(|end| mask.is_allowed(**end)) {
                if let Some(logit) = logits.get_mut(*end as usize) {
                    *logit = 0.0;
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self, token: u32) -> crate::Result<bool> {
        let threads = self.threads.clone();
        self.state().go_on(token, &threads).map_err(Error::Form)
    }

    fn fork(&self) -> Box<dyn LogitsProcessor> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let stage = match state.ready() {
            Ok(ready) => Stage::Ready(Ready { matcher: ready.matcher.clone(), mask: ready.mask.clone() }),
            Err(_) => Stage::Lost,
        };
        let state = Mutex::new(State { stage, seen: state.seen });
        Box::new(Self { state, threads: self.threads.clone(), ends: self.ends.clone() })
    }
}
