use serde::{Deserialize, Serialize};
use swift_data::{Arrangement, Encoded, Example, PackedBatch};

use super::RolloutOptions;

/// A prompt with an answer, and what is known of its tokens.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rollout {
    /// Prompt and answer.
    pub(crate) tokens: Vec<u32>,
    /// Tokens of the prompt.
    pub(crate) prompt: usize,
    /// Numbers for each token, `[tokens]` each.
    pub(crate) columns: Vec<(String, Vec<f32>)>,
}

impl Rollout {
    /// Tokens of the answer.
    pub(crate) fn answer(&self) -> usize {
        self.tokens.len() - self.prompt
    }

    /// Positions that predict the tokens of the answer.
    pub(crate) fn predictions(&self) -> std::ops::Range<usize> {
        let first = self.prompt.saturating_sub(1);
        first..first + self.answer()
    }

    /// A column that has `values` from the first position on that predicts a token of the answer, and 0 elsewhere.
    pub(crate) fn column(&self, values: impl IntoIterator<Item = f64>) -> Vec<f32> {
        let mut column = vec![0.0; self.tokens.len()];
        let first = self.predictions().start;
        column.iter_mut().skip(first).zip(values).for_each(|(place, value)| *place = value as f32);
        column
    }

    fn encoded(&self) -> Encoded {
        let weights = (0..self.tokens.len()).map(|t| if t < self.prompt { 0.0 } else { 1.0 });
        Encoded { input_ids: self.tokens.clone(), weights: weights.collect() }
    }
}

/// The answers that are being learned from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Generation {
    /// Prompt by prompt.
    pub(crate) rollouts: Vec<Rollout>,
    /// Answers to each prompt.
    pub(crate) group: usize,
}

impl Generation {
    /// The micro-batches of an optimiser step, the steps of a generation counted from 0.
    pub(crate) fn window(&self, options: &RolloutOptions, step: usize) -> Vec<PackedBatch> {
        self.batches(options.answers_of(step), options.batch_size)
    }

    /// Micro-batches of some of the answers. Answers to the same prompt are a row, as far as they are in the same
    /// micro-batch.
    pub(crate) fn batches(&self, answers: std::ops::Range<usize>, size: usize) -> Vec<PackedBatch> {
        let indices: Vec<usize> = answers.filter(|index| *index < self.rollouts.len()).collect();
        indices.chunks(size.max(1)).map(|indices| self.batch(indices)).collect()
    }

    fn batch(&self, indices: &[usize]) -> PackedBatch {
        let rollouts = |indices: &[usize]| -> Vec<&Rollout> {
            indices.iter().filter_map(|index| self.rollouts.get(*index)).collect()
        };
        let group = self.group.max(1);
        let rows = indices.chunk_by(|left, right| left / group == right / group).map(|row| Example {
            sequences: rollouts(row).into_iter().map(Rollout::encoded).collect(),
            fields: Vec::new(),
            prompt: None,
        });
        let mut batch = PackedBatch::collate(&rows.collect::<Vec<_>>(), Arrangement::Groups);
        for (column, rollout) in rollouts(indices).iter().enumerate() {
            for (index, (name, values)) in rollout.columns.iter().enumerate() {
                if column == 0 {
                    batch.token_fields.push((name.clone(), Vec::new()));
                }
                if let Some((_, all)) = batch.token_fields.get_mut(index) {
                    all.extend(values);
                }
            }
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rollout(tokens: &[u32], prompt: usize, value: f64) -> Rollout {
        let mut rollout = Rollout { tokens: tokens.to_vec(), prompt, columns: Vec::new() };
        let column = rollout.column(vec![value; rollout.answer()]);
        rollout.columns.push(("advantages".into(), column));
        rollout
    }

    #[test]
    fn numbers_of_tokens_stand_where_the_tokens_are_predicted() {
        let rollouts = vec![
            rollout(&[1, 2, 10, 11], 2, 0.5),
            rollout(&[1, 2, 12], 2, -0.5),
            rollout(&[3, 20], 1, 1.0),
            rollout(&[3, 21, 22], 1, -1.0),
        ];
        let generation = Generation { rollouts, group: 2 };
        let batches = generation.batches(0..4, 3);
        let [first, second] = batches.as_slice() else { panic!("{batches:?}") };
        assert_eq!(first.labels, [-100, 10, 11, -100, -100, 12, -100, 20, -100]);
        assert_eq!((first.groups.as_slice(), first.lengths.as_slice()), (&[2, 1][..], &[4, 3, 2][..]));
        let expected = vec![0.0, 0.5, 0.5, 0.0, 0.0, -0.5, 0.0, 1.0, 0.0];
        assert_eq!(first.token_fields, [("advantages".to_owned(), expected)]);
        assert_eq!(second.token_fields, [("advantages".to_owned(), vec![-1.0, -1.0, 0.0])]);
    }
}
