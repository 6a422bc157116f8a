//! What becomes of a step's logits.

use std::borrow::Cow;
use std::sync::Arc;

use crate::sampling::{Progress, adjust, choose, seed, token_logprobs, uniform};
use crate::schedule::Work;
use crate::sequence::{Group, Sequence, SequenceId};
use crate::text::text_stream;
use crate::{Backend, Engine, Error, Finish, LogitsProcessor, Output, Request, Result, Stop};

impl Output {
    /// Nothing of this answer.
    pub(crate) fn of(choice: u32) -> Self {
        Self {
            choice,
            tokens: Vec::new(),
            text: String::new(),
            logprobs: Vec::new(),
            prompt_logprobs: Vec::new(),
            cached_tokens: 0,
            finish: None,
        }
    }
}

impl<B: Backend> Engine<B> {
    /// Notes what is in the cache now, and chooses the tokens that can be chosen.
    pub(crate) fn take_results(&mut self, plan: &[Work], logits: Vec<f32>) {
        let mut rows = logits.chunks_exact(self.backend.vocab_size().max(1));
        for work in plan {
            let Some(sequence) = self.sequences.get(&work.id) else { continue };
            let positions = self.rows(work, sequence);
            let rows: Vec<&[f32]> = rows.by_ref().take(positions.len()).collect();
            self.note_prompt(work, positions.start, &rows);
            let Some(sequence) = self.sequences.get_mut(&work.id) else { continue };
            sequence.cached += work.count;
            sequence.publish(&mut self.pool, self.block_size);
            if sequence.remaining() == 0
                && let Some(logits) = rows.last()
            {
                self.answer(work.id, logits);
            }
        }
    }

    /// Keeps log-probabilities of the prompt's tokens, each from the logits of the position before it.
    fn note_prompt(&mut self, work: &Work, first: usize, rows: &[&[f32]]) {
        let wanted = self.groups.get(&work.id.request).and_then(|group| group.request.prompt_logprobs);
        let (Some(count), Some(sequence)) = (wanted, self.sequences.get_mut(&work.id)) else { return };
        for (position, logits) in (first..).zip(rows) {
            let next = position + 1;
            if sequence.prompt_logprobs.len() == position
                && next < sequence.prompt_length
                && let Some(token) = sequence.tokens.get(next)
            {
                sequence.prompt_logprobs.push(token_logprobs(logits, *token, count));
            }
        }
    }

    /// Chooses the next token of an answer; the first time, of all answers to the request.
    fn answer(&mut self, id: SequenceId, logits: &[f32]) {
        let Some(group) = self.groups.get(&id.request) else { return };
        let (Some(sequence), choices) = (self.sequences.get(&id), group.request.choices()) else { return };
        let beams = group.request.beams.filter(|_| group.request.stop.max_tokens != Some(0));
        let mut forks = Vec::new();
        if !sequence.started {
            self.statistics.prompt_tokens += sequence.prompt_length as u64;
            self.statistics.cached_tokens += sequence.found as u64;
            for choice in 1..if beams.is_some() { 1 } else { choices } {
                let text = text_stream(self.tokenizer.as_ref(), &group.request);
                forks.push((SequenceId { choice, ..id }, sequence.fork(text, &mut self.pool)));
            }
        }
        let ids: Vec<_> = [id].into_iter().chain(forks.iter().map(|(id, _)| *id)).collect();
        self.running.extend(ids.iter().skip(1));
        self.sequences.extend(forks);
        for id in ids {
            let result = match beams {
                Some(options) => self.extend_beam(id, options, logits),
                None => self.next_token(id, logits),
            };
            if let Err(error) = result {
                self.end_request(id.request, &Finish::Failed(Arc::new(error)));
            }
        }
    }

    /// Chooses a token, adds it, and gives out what is new.
    fn next_token(&mut self, id: SequenceId, logits: &[f32]) -> Result<()> {
        let context_length = self.context_length();
        let (Some(group), Some(sequence)) = (self.groups.get(&id.request), self.sequences.get_mut(&id))
        else {
            return Ok(());
        };
        let request = &group.request;
        let mut output = Output { cached_tokens: sequence.found, ..Output::of(id.choice) };
        if id.choice == 0 && !sequence.started {
            output.prompt_logprobs = std::mem::take(&mut sequence.prompt_logprobs);
        }
        sequence.started = true;
        if request.stop.max_tokens == Some(0) {
            output.finish = Some(Finish::Length);
            return self.give(id, output);
        }
        let mut adjusted = Cow::Borrowed(logits);
        let seed = seed(group.seed, id.choice, sequence.tokens.len());
        sequence.adjust(request, &self.ends, seed, &mut adjusted)?;
        let uniform = uniform(group.seed, id.choice, sequence.tokens.len());
        let token = choose(&adjusted, &request.sampling, uniform).ok_or(Error::NoToken)?;
        if request.logprobs.is_some() || request.best_of.is_some() {
            let logprobs = token_logprobs(logits, token, request.logprobs.unwrap_or(0));
            sequence.logprob_sum += f64::from(logprobs.logprob);
            output.logprobs.extend(request.logprobs.map(|_| logprobs));
        }
        sequence.tokens.push(token);
        self.statistics.generated_tokens += 1;
        output.tokens.push(token);

        let is_complete = accept(&mut sequence.processors, token)?;
        let count = sequence.tokens.len() - sequence.prompt_length;
        let stop = request.stop.at(token, &self.ends);
        let shown = request.shows(stop.as_ref());
        let mut stopped = stop.map(Finish::Stop);
        if shown {
            let text = sequence.text.push(token, count >= request.stop.min_tokens)?;
            output.text = text.text;
            stopped = stopped.or(text.stopped.map(|string| Finish::Stop(Stop::String(string))));
        }
        stopped = stopped.or(is_complete.then_some(Finish::Stop(Stop::EndOfSequence)));
        let is_full = request.stop.max_tokens.is_some_and(|most| count >= most)
            || sequence.tokens.len() >= context_length;
        output.finish = stopped.or(is_full.then_some(Finish::Length));
        if output.finish.is_some() && !matches!(output.finish, Some(Finish::Stop(Stop::String(_)))) {
            output.text.push_str(&sequence.text.finish()?);
        }
        self.give(id, output)
    }

    /// Gives a part of an answer out, or keeps it until all answers to the request can be compared.
    fn give(&mut self, id: SequenceId, output: Output) -> Result<()> {
        let finished = output.finish.is_some();
        let mean = self.sequences.get(&id).map_or(0.0, |sequence| {
            sequence.logprob_sum / (sequence.tokens.len() - sequence.prompt_length).max(1) as f64
        });
        if finished {
            self.remove(id);
        }
        let Some(group) = self.groups.get_mut(&id.request) else { return Ok(()) };
        group.open -= u32::from(finished);
        let is_last = group.open == 0;
        let wanted = if group.request.compares() {
            hold(&mut group.held, mean, output);
            !is_last || give_best(group)
        } else {
            (group.request.receiver)(output)
        };
        if is_last {
            self.groups.remove(&id.request);
            self.statistics.finished_requests += 1;
        } else if !wanted {
            self.end_request(id.request, &Finish::Cancelled);
        }
        Ok(())
    }
}

impl Sequence {
    /// What bans, biases, penalties and processors make of the logits of the next token, `[vocab]`. They are copied only if
    /// any of these is asked for.
    ///
    /// # Errors
    /// If a processor fails.
    pub(crate) fn adjust(
        &mut self,
        request: &Request,
        ends: &[u32],
        seed: u64,
        logits: &mut Cow<'_, [f32]>,
    ) -> Result<()> {
        let (prompt, generated) = self.tokens.split_at(self.prompt_length.min(self.tokens.len()));
        let too_early = generated.len() < request.stop.min_tokens;
        if !too_early && self.processors.is_empty() && request.sampling.leaves_logits() {
            return Ok(());
        }
        let logits = logits.to_mut();
        let banned = ends.iter().chain(&request.stop.token_ids).filter(|_| too_early);
        adjust(logits, &request.sampling, banned.copied(), prompt, generated);
        let progress = Progress { prompt, generated, seed };
        self.processors.iter_mut().try_for_each(|processor| processor.process(&progress, logits))
    }
}

/// Tells all processors of the token that was chosen. Gives whether the answer ends with it.
///
/// # Errors
/// If one can't go on.
pub(crate) fn accept(processors: &mut [Box<dyn LogitsProcessor>], token: u32) -> Result<bool> {
    processors
        .iter_mut()
        .try_fold(false, |is_complete, processor| Ok(processor.accept(token)? || is_complete))
}

/// Adds a part to the answer that it belongs to.
fn hold(held: &mut Vec<(f64, Output)>, mean: f64, part: Output) {
    match held.iter_mut().find(|(_, output)| output.choice == part.choice) {
        None => held.push((mean, part)),
        Some((old_mean, output)) => {
            *old_mean = mean;
            output.tokens.extend(part.tokens);
            output.text.push_str(&part.text);
            output.logprobs.extend(part.logprobs);
            output.finish = part.finish;
        }
    }
}

/// Gives out the answers with the greatest mean log-probabilities.
fn give_best(group: &mut Group) -> bool {
    let mut held = std::mem::take(&mut group.held);
    let prompt_logprobs: Vec<_> =
        held.iter_mut().flat_map(|(_, output)| std::mem::take(&mut output.prompt_logprobs)).collect();
    held.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let best = held.into_iter().take(group.request.n as usize).zip(0..);
    best.fold(true, |wanted, ((_, mut output), choice)| {
        output.choice = choice;
        if choice == 0 {
            output.prompt_logprobs.clone_from(&prompt_logprobs);
        }
        wanted && (group.request.receiver)(output)
    })
}
