//! Which sequences take part in a step, and with how many tokens.

use crate::sequence::{Sequence, SequenceId};
use crate::{Backend, Engine, Result};

/// A sequence's part in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) id: SequenceId,
    /// Tokens to compute.
    pub(crate) count: usize,
}

impl<B: Backend> Engine<B> {
    /// Shares the step's tokens out: first to sequences that need one, so that reading a long prompt does not hold up
    /// answers, then to those whose prompts are being read, then to those that wait, in the order in which they came. If
    /// blocks run out, the youngest sequences give theirs back and wait.
    ///
    /// # Errors
    /// If a block can't be copied.
    pub(crate) fn schedule(&mut self) -> Result<Vec<Work>> {
        let mut plan: Vec<Work> = Vec::new();
        let mut budget = self.options.max_batch_tokens;
        let remaining = |id: &SequenceId| self.sequences.get(id).map_or(0, Sequence::remaining);
        let computed = self.running.iter().copied().filter(|id| !self.waits(*id));
        let (single, more): (Vec<_>, Vec<_>) = computed.partition(|id| remaining(id) == 1);
        let preempted_before = self.statistics.preemptions;
        for id in single.into_iter().chain(more) {
            let Some(sequence) = self.sequences.get(&id).filter(|_| self.running.contains(&id)) else {
                continue;
            };
            let count = sequence.remaining().min(budget);
            if count == 0 {
                break;
            }
            let length = sequence.cached + count;
            let has_room = loop {
                if self.grow(id, length)? {
                    break true;
                }
                let planned = |id: &SequenceId| plan.iter().any(|work| work.id == *id);
                let victim = self.running.iter().rev().find(|other| **other != id && !planned(other));
                match victim.copied() {
                    Some(victim) => self.preempt(victim),
                    None => {
                        // Those that go on will give blocks back; alone, a sequence always has enough.
                        if plan.is_empty() {
                            self.preempt(id);
                        }
                        break false;
                    }
                }
            };
            if has_room {
                plan.push(Work { id, count });
                budget -= count;
            }
        }
        if self.statistics.preemptions == preempted_before {
            self.admit(&mut plan, budget)?;
        }
        Ok(plan)
    }

    /// Lets sequences that wait begin while there is room.
    fn admit(&mut self, plan: &mut Vec<Work>, mut budget: usize) -> Result<()> {
        while budget > 0
            && self.running.iter().filter(|id| !self.waits(**id)).count() < self.options.max_sequences
        {
            let Some(place) = self.waiting.iter().position(|id| !self.waits(*id)) else { break };
            let Some(&id) = self.waiting.get(place) else { break };
            let wants_all =
                self.groups.get(&id.request).is_some_and(|group| group.request.prompt_logprobs.is_some());
            let Some(sequence) = self.sequences.get_mut(&id) else {
                self.waiting.remove(place);
                continue;
            };
            let complete = sequence.prompt_logprobs.len() + 1 >= sequence.prompt_length;
            if self.options.prefix_caching && (!wants_all || complete) {
                sequence.find_beginning(&mut self.pool, self.block_size);
            }
            let needed = sequence.tokens.len().div_ceil(self.block_size) - sequence.blocks.len();
            let count = sequence.remaining().min(budget);
            let length = sequence.cached + count;
            if needed > self.pool.free() {
                self.release(id);
                // Beams that wait for this one have blocks, which nobody else would ever give back.
                let idle = self.running.iter().rev().find(|id| self.waits(**id)).filter(|_| plan.is_empty());
                let Some(idle) = idle.copied() else { break };
                self.preempt(idle);
                continue;
            }
            self.waiting.remove(place);
            self.running.push(id);
            if self.grow(id, length)? {
                plan.push(Work { id, count });
                budget -= count;
            }
        }
        Ok(())
    }

    /// Sees to it that the sequence has blocks of its own for its tokens from `cached` to `length`; false if there are not
    /// enough.
    fn grow(&mut self, id: SequenceId, length: usize) -> Result<bool> {
        let Some(sequence) = self.sequences.get_mut(&id) else { return Ok(false) };
        if let Some(place) = sequence.blocks.get_mut(sequence.cached / self.block_size)
            && self.pool.is_shared(*place)
        {
            let Some(own) = self.pool.allocate() else { return Ok(false) };
            if let Err(error) = self.backend.copy_block(*place, own) {
                self.pool.release(own);
                return Err(error);
            }
            self.pool.release(std::mem::replace(place, own));
        }
        while sequence.blocks.len() * self.block_size < length {
            let Some(block) = self.pool.allocate() else { return Ok(false) };
            sequence.blocks.push(block);
        }
        Ok(true)
    }

    /// Whether a sequence waits for other beams of its request.
    fn waits(&self, id: SequenceId) -> bool {
        self.sequences.get(&id).is_some_and(|sequence| sequence.waits)
    }

    /// Takes a sequence's blocks away; it waits, before all others, to be computed again.
    fn preempt(&mut self, id: SequenceId) {
        self.running.retain(|other| *other != id);
        self.release(id);
        self.waiting.push_front(id);
        self.statistics.preemptions += 1;
    }

    pub(crate) fn release(&mut self, id: SequenceId) {
        let adapter = self.groups.get(&id.request).and_then(|group| group.request.adapter.clone());
        if let Some(sequence) = self.sequences.get_mut(&id) {
            sequence.release(&mut self.pool, adapter.as_deref());
        }
    }
}
