//! Beam search: the answers that are the most probable as a whole, as far as a few partial answers followed side by side
//! find them. Steps, scores and ends are those of `generate` with `num_beams` in transformers.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::answer::accept;
use crate::sampling::{log_softmax, most_probable, seed, token_logprobs};
use crate::sequence::{Sequence, SequenceId};
use crate::text::{text_stream, whole_text};
use crate::{
    Backend, Engine, Error, Finish, LogitsProcessor, Output, Request, RequestId, Result, Stop, TokenLogprobs,
};

/// How beams are searched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BeamOptions {
    /// Partial answers that are followed at the same time.
    pub width: u32,
    /// The score of an answer is the sum of its log-probabilities divided by its number of tokens to this power (Wu et al.
    /// 2016, eq. 14, without its constant): above 0 favours long answers.
    pub length_penalty: f64,
    /// When the search ends.
    pub early_stopping: EarlyStopping,
}

impl BeamOptions {
    /// So many beams, with scores that are means, and an end by the usual guess.
    pub fn new(width: u32) -> Self {
        Self { width, length_penalty: 1.0, early_stopping: EarlyStopping::default() }
    }

    fn score(&self, sum: f64, length: usize) -> f64 {
        sum / (length as f64).powf(self.length_penalty)
    }
}

/// When a search of beams ends that has found as many answers as it has beams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EarlyStopping {
    /// When the best beam, if it ended now, would not be better than the worst answer found.
    #[default]
    Heuristic,
    /// At once.
    Always,
    /// When no beam could become better than the worst answer found, however long it grew.
    Never,
}

/// Where the search for the answers to a request is.
#[derive(Default)]
pub(crate) struct Beams {
    /// What is known of the beams whose logits have been computed.
    known: BTreeMap<SequenceId, Logits>,
    /// The best answers found, the best first.
    found: Vec<Found>,
    prompt_logprobs: Vec<TokenLogprobs>,
    cached_tokens: usize,
    /// The number of the next beam.
    next: u32,
}

struct Logits {
    row: Vec<f32>,
    /// Tokens that may follow, with their log-probabilities.
    top: Vec<(u32, f32)>,
}

/// A beam with one more token.
struct Candidate {
    beam: SequenceId,
    token: u32,
    /// The sum of all log-probabilities.
    sum: f64,
}

/// A candidate that is followed.
struct Child {
    token: u32,
    sum: f64,
    logprobs: Vec<TokenLogprobs>,
    processors: Vec<Box<dyn LogitsProcessor>>,
}

struct Found {
    score: f64,
    tokens: Vec<u32>,
    logprobs: Vec<TokenLogprobs>,
    finish: Finish,
}

impl<B: Backend> Engine<B> {
    /// Notes what may follow a beam, and goes on once that is known of all beams of the request.
    pub(crate) fn extend_beam(&mut self, id: SequenceId, options: BeamOptions, logits: &[f32]) -> Result<()> {
        let mut adjusted = Cow::Owned(log_softmax(logits));
        let (Some(group), Some(sequence)) = (self.groups.get_mut(&id.request), self.sequences.get_mut(&id))
        else {
            return Ok(());
        };
        // Beams are told apart by their places in the search, which do not depend on what else is computed.
        let seed = seed(group.seed, id.choice, sequence.tokens.len());
        sequence.adjust(&group.request, &self.ends, seed, &mut adjusted)?;
        let beams = &mut group.beams;
        if !sequence.started {
            beams.prompt_logprobs = std::mem::take(&mut sequence.prompt_logprobs);
            (beams.cached_tokens, beams.next) = (sequence.found, id.choice + 1);
        }
        (sequence.started, sequence.waits) = (true, true);
        let top = most_probable(&adjusted, group.request.candidates(options, &self.ends));
        beams.known.insert(id, Logits { row: logits.to_vec(), top });
        let is_last = self.beams(id.request).all(|(_, sequence)| sequence.waits);
        if is_last { self.advance(id.request, options) } else { Ok(()) }
    }

    fn beams(&self, request: RequestId) -> impl Iterator<Item = (&SequenceId, &Sequence)> {
        self.sequences.range(SequenceId::all(request))
    }

    /// Replaces the beams of a request by their best continuations, and ends the request if that is all.
    fn advance(&mut self, request: RequestId, options: BeamOptions) -> Result<()> {
        let context_length = self.context_length();
        let Some(group) = self.groups.get_mut(&request) else { return Ok(()) };
        let known = std::mem::take(&mut group.beams.known);
        let Some(first) = known.keys().next().and_then(|id| self.sequences.get(id)) else { return Ok(()) };
        let length = first.tokens.len() + 1 - first.prompt_length;
        let room = context_length.saturating_sub(first.prompt_length);
        let longest = group.request.stop.max_tokens.map_or(room, |most| most.min(room));

        let mut children: BTreeMap<SequenceId, Vec<Child>> = BTreeMap::new();
        let (mut best, mut count) = (None, 0);
        let candidates =
            best_candidates(&known, &self.sequences, group.request.candidates(options, &self.ends));
        for (rank, Candidate { beam, token, sum }) in (0..).zip(candidates) {
            let (Some(sequence), Some(logits)) = (self.sequences.get(&beam), known.get(&beam)) else {
                continue;
            };
            let mut processors: Vec<_> =
                sequence.processors.iter().map(|processor| processor.fork()).collect();
            let is_complete = accept(&mut processors, token)?;
            let stop =
                group.request.stop.at(token, &self.ends).or(is_complete.then_some(Stop::EndOfSequence));
            let finish = stop.map(Finish::Stop).or((length >= longest).then_some(Finish::Length));
            let mut logprobs = sequence.logprobs.clone();
            logprobs.extend(group.request.logprobs.map(|top| token_logprobs(&logits.row, token, top)));
            match finish {
                // Of those that end, only the best count; the others are here so that enough are left to follow.
                Some(finish) if rank < options.width => {
                    let answer = sequence.tokens.iter().skip(sequence.prompt_length);
                    let tokens = answer.copied().chain([token]).collect();
                    group.beams.found.push(Found {
                        score: options.score(sum, length),
                        tokens,
                        logprobs,
                        finish,
                    });
                }
                Some(_) => {}
                None if count < options.width => {
                    (best, count) = (best.or(Some(sum)), count + 1);
                    children.entry(beam).or_default().push(Child { token, sum, logprobs, processors });
                }
                None => {}
            }
        }
        let found = &mut group.beams.found;
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        found.truncate(options.width as usize);
        let worst = found.last().filter(|_| found.len() == options.width as usize).map(|found| found.score);
        let could_be_better =
            |length| best.zip(worst).is_none_or(|(best, worst)| options.score(best, length) > worst);
        let goes_on = best.is_some()
            && match options.early_stopping {
                EarlyStopping::Always => worst.is_none(),
                EarlyStopping::Never if options.length_penalty > 0.0 => could_be_better(longest),
                EarlyStopping::Heuristic | EarlyStopping::Never => could_be_better(length),
            };
        if !goes_on {
            return self.give_found(request);
        }
        self.statistics.generated_tokens += u64::from(count);
        known.into_keys().for_each(|beam| self.replace(beam, children.remove(&beam).unwrap_or_default()));
        Ok(())
    }

    /// Replaces a beam by what follows it, if anything does.
    fn replace(&mut self, beam: SequenceId, children: Vec<Child>) {
        let mut children = children.into_iter();
        let Some(first) = children.next() else { return self.remove(beam) };
        for child in children {
            let (Some(group), Some(sequence)) =
                (self.groups.get_mut(&beam.request), self.sequences.get(&beam))
            else {
                return;
            };
            let id = SequenceId { choice: group.beams.next, ..beam };
            group.beams.next += 1;
            let mut fork = sequence.fork(text_stream(None, &group.request), &mut self.pool);
            fork.follow(child);
            self.sequences.insert(id, fork);
            match self.running.contains(&beam) {
                true => self.running.push(id),
                false => self.waiting.push_front(id),
            }
        }
        if let Some(sequence) = self.sequences.get_mut(&beam) {
            sequence.follow(first);
        }
    }

    /// Gives the best answers out and ends the request.
    fn give_found(&mut self, request: RequestId) -> Result<()> {
        let Some(group) = self.groups.get_mut(&request) else { return Ok(()) };
        let beams = std::mem::take(&mut group.beams);
        let (found, wanted) = (beams.found.len(), group.request.n);
        if found < wanted as usize {
            return Err(Error::TooFewAnswers { found, wanted });
        }
        let ids: Vec<SequenceId> = self.beams(request).map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.remove(id));
        let Some(group) = self.groups.remove(&request) else { return Ok(()) };
        self.statistics.finished_requests += 1;
        for (choice, found) in (0..wanted).zip(beams.found) {
            let output = Output {
                text: whole_text(self.tokenizer.as_ref(), &group.request, &self.ends, &found.tokens)?,
                tokens: found.tokens,
                logprobs: found.logprobs,
                prompt_logprobs: if choice == 0 { beams.prompt_logprobs.clone() } else { Vec::new() },
                cached_tokens: beams.cached_tokens,
                finish: Some(found.finish),
                ..Output::of(choice)
            };
            (group.request.receiver)(output);
        }
        Ok(())
    }
}

impl Sequence {
    fn follow(&mut self, child: Child) {
        self.tokens.push(child.token);
        self.processors = child.processors;
        (self.logprob_sum, self.logprobs) = (child.sum, child.logprobs);
        (self.started, self.waits) = (true, false);
    }
}

impl Request {
    /// How many continuations are looked at in a step: even if all ends are among them, enough are left.
    fn candidates(&self, options: BeamOptions, ends: &[u32]) -> usize {
        (1 + ends.len() + self.stop.token_ids.len()).max(2) * options.width as usize
    }
}

/// The best continuations of all beams, the best first.
fn best_candidates(
    known: &BTreeMap<SequenceId, Logits>,
    sequences: &BTreeMap<SequenceId, Sequence>,
    count: usize,
) -> Vec<Candidate> {
    let of_beam = |(beam, logits): (&SequenceId, &Logits)| -> Vec<Candidate> {
        let sum = sequences.get(beam).map_or(f64::NEG_INFINITY, |sequence| sequence.logprob_sum);
        let candidate =
            |&(token, logprob): &(u32, f32)| Candidate { beam: *beam, token, sum: sum + f64::from(logprob) };
        logits.top.iter().map(candidate).filter(|candidate| candidate.sum > f64::NEG_INFINITY).collect()
    };
    let mut all: Vec<Candidate> = known.iter().flat_map(of_beam).collect();
    // The order among equals is that of the beams and of the tokens.
    all.sort_by(|a, b| b.sum.total_cmp(&a.sum));
    all.truncate(count);
    all
}
