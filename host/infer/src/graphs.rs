//! Steps that are recorded once and then repeated (CUDA graphs).
//!
//! While answers are generated and no prompt is read, each step computes one token for each sequence. Such steps are made up to a few
//! sizes, as vLLM does it, so that most of them were seen before. A step that can't be repeated is computed as any other.

use std::collections::BTreeMap;
use std::sync::Arc;

use swift_model::{Continuation, Model, RepeatedStep};
use swift_tensor::Value;
use swift_tensor::fused::PagedCache;

use crate::{Result, Step};

/// The most sequences of a step that is repeated: in larger ones kernels take so long that it does not matter how they are queued.
const MOST_SEQUENCES: usize = 256;
/// Steps that are kept, each some megabytes on the device besides memory that all have in common: those of all sizes without
/// adapters, and as many with. The one that was not used for longest makes place.
const MOST_STEPS: usize = 2 * (4 + MOST_SEQUENCES / 8);

/// What steps have in common that are the same but for their numbers: how many tokens each adapter works on, the last one also on
/// what a step is made up with.
pub(crate) type Shape = Vec<(usize, Option<String>)>;

/// The shape of a step, if such steps are repeated, and how many tokens that is.
fn shape(step: &Step) -> Option<(Shape, usize)> {
    let count = step.ids.len();
    let each_one = step.sequences.sequences.iter().all(|sequence| sequence.count == 1);
    if !each_one || step.rows.is_empty() || count > MOST_SEQUENCES {
        return None;
    }
    let mut shape = step.adapters.clone();
    let size = made_up(count);
    shape.last_mut()?.0 += size - count;
    Some((shape, size))
}

/// Powers of two up to 8, and then multiples of 8.
fn made_up(count: usize) -> usize {
    if count <= 8 { count.next_power_of_two() } else { count.next_multiple_of(8) }
}

/// What is kept for the shapes that were used last.
struct Recent<S> {
    /// The one that was used last at the end.
    all: Vec<(Shape, S)>,
    most: usize,
}

impl<S> Recent<S> {
    fn new(most: usize) -> Self {
        Self { all: Vec::new(), most }
    }

    /// Takes out what is kept for a shape.
    fn take(&mut self, shape: &Shape) -> Option<S> {
        let place = self.all.iter().position(|(kept, _)| kept == shape)?;
        Some(self.all.remove(place).1)
    }

    fn keep(&mut self, shape: Shape, what: S) {
        if self.all.len() >= self.most {
            self.all.remove(0);
        }
        self.all.push((shape, what));
    }
}

/// How often steps were repeated, and how often not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GraphStatistics {
    /// Steps that were recorded.
    pub recorded: u64,
    /// Steps that were computed by what had been recorded.
    pub repeated: u64,
    /// Shapes of steps that can't be.
    pub refused: u64,
    /// Why the first of them can't.
    pub obstacle: Option<String>,
}

enum Kept {
    Step(Box<RepeatedStep>),
    /// It can't be repeated.
    Refused,
}

/// The steps that are repeated.
pub(crate) struct Graphs {
    recent: Recent<Kept>,
    /// Memory for logits by how many rows it has room for, which all steps have in common.
    logits: BTreeMap<usize, Value>,
    pub(crate) statistics: GraphStatistics,
}

impl Graphs {
    pub(crate) fn new() -> Self {
        let recent = Recent::new(MOST_STEPS);
        Self { recent, logits: BTreeMap::new(), statistics: GraphStatistics::default() }
    }

    /// Forgets all: what was recorded may read what is not there any more.
    pub(crate) fn forget(&mut self) {
        self.recent.all.clear();
    }

    /// The logits of a step, if it is one that is repeated. Whatever goes wrong, it can then be computed in the ordinary way.
    pub(crate) fn logits<'a>(
        &mut self,
        (model, cache): (&Model, &Arc<PagedCache>),
        step: &Step,
        continuation: impl FnOnce() -> Result<Continuation<'a>>,
    ) -> Option<Vec<f32>> {
        let (shape, size) = shape(step)?;
        let kept = self.recent.take(&shape);
        let done = match kept {
            Some(Kept::Refused) => {
                self.recent.keep(shape, Kept::Refused);
                return None;
            }
            Some(Kept::Step(repeated)) => self.again((model, cache), repeated, continuation, &step.rows),
            None => self.begin((model, cache), size, continuation, &step.rows),
        };
        match done {
            Ok((logits, kept)) => {
                self.recent.keep(shape, kept);
                Some(logits)
            }
            Err(error) => {
                self.refuse(&error.to_string());
                self.recent.keep(shape, Kept::Refused);
                None
            }
        }
    }

    fn begin<'a>(
        &mut self,
        (model, cache): (&Model, &Arc<PagedCache>),
        size: usize,
        continuation: impl FnOnce() -> Result<Continuation<'a>>,
        rows: &[u32],
    ) -> Result<(Vec<f32>, Kept)> {
        // Memory for up to twice as many rows serves several sizes.
        let room = size.next_power_of_two();
        let memory = match self.logits.get(&room) {
            Some(memory) => memory.clone(),
            None => self.logits.entry(room).or_insert(model.logits_memory(room)?).clone(),
        };
        let memory = memory.narrow(0, 0, size).map_err(swift_tensor::Error::from)?;
        let (repeated, obstacle) = RepeatedStep::begin(model, cache, continuation()?, rows, memory)?;
        let logits = repeated.logits(rows.len())?;
        let kept = match obstacle {
            None => Kept::Step(Box::new(repeated)),
            Some(obstacle) => {
                self.refuse(&obstacle);
                Kept::Refused
            }
        };
        Ok((logits, kept))
    }

    fn again<'a>(
        &mut self,
        (model, cache): (&Model, &Arc<PagedCache>),
        mut repeated: Box<RepeatedStep>,
        continuation: impl FnOnce() -> Result<Continuation<'a>>,
        rows: &[u32],
    ) -> Result<(Vec<f32>, Kept)> {
        let recorded = repeated.is_recorded();
        repeated.again(model, cache, continuation()?, rows)?;
        self.statistics.recorded += u64::from(!recorded);
        self.statistics.repeated += 1;
        Ok((repeated.logits(rows.len())?, Kept::Step(repeated)))
    }

    fn refuse(&mut self, why: &str) {
        self.statistics.refused += 1;
        if self.statistics.obstacle.is_none() {
            tracing::warn!("steps are not repeated as CUDA graphs: {why}");
            self.statistics.obstacle = Some(why.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use swift_tensor::fused::{PagedBatch, PagedTokens};

    use super::*;

    fn step(adapters: &[(usize, Option<&str>)], tokens_each: usize) -> Step {
        let sequences: usize = adapters.iter().map(|(count, _)| count).sum();
        let one = PagedTokens { count: tokens_each, length: 9, blocks: vec![0] };
        Step {
            ids: vec![3; sequences * tokens_each],
            sequences: PagedBatch { sequences: vec![one; sequences] },
            adapters: adapters.iter().map(|&(count, name)| (count, name.map(str::to_owned))).collect(),
            rows: (0..sequences as u32).collect(),
        }
    }

    #[test]
    fn steps_of_up_to_as_many_sequences_have_one_shape() {
        let sizes = |counts: &[usize]| -> Vec<usize> {
            counts.iter().map(|&count| shape(&step(&[(count, None)], 1)).unwrap().1).collect()
        };
        assert_eq!(sizes(&[1, 2, 3, 4, 5, 8, 9, 16, 17, 255, 256]), [1, 2, 4, 4, 8, 8, 16, 16, 24, 256, 256]);
        let shapes = [5, 7].map(|count| shape(&step(&[(1, Some("a")), (count, None)], 1)));
        assert_eq!(shapes[0], shapes[1]);
        assert_eq!(shapes[0], Some((vec![(1, Some("a".to_owned())), (7, None)], 8)));
        let other = shape(&step(&[(2, Some("a")), (5, None)], 1));
        assert_ne!(other, shapes[0], "another number of tokens with the adapter");
    }

    #[test]
    fn prompts_and_what_is_too_large_have_no_shape() {
        assert_eq!(shape(&step(&[(2, None)], 3)), None);
        assert_eq!(shape(&step(&[(MOST_SEQUENCES + 1, None)], 1)), None);
        assert_eq!(shape(&Step { rows: Vec::new(), ..step(&[(2, None)], 1) }), None);
    }

    #[test]
    fn the_shape_that_was_not_used_for_longest_makes_place() {
        let of = |count: usize| vec![(count, None)];
        let mut recent = Recent::new(2);
        recent.keep(of(1), "one");
        recent.keep(of(2), "two");
        let one = recent.take(&of(1)).unwrap();
        recent.keep(of(1), one);
        recent.keep(of(4), "four");
        assert_eq!(recent.take(&of(2)), None);
        assert_eq!((recent.take(&of(1)), recent.take(&of(4))), (Some("one"), Some("four")));
    }
}
