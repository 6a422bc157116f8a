use crate::rows::{Encoded, Example, Field, IGNORED};

/// Sequences laid end to end, without padding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PackedBatch {
    /// `[tokens]`.
    pub input_ids: Vec<u32>,
    /// `[tokens]`: the place in its sequence, from 0.
    pub position_ids: Vec<u32>,
    /// Tokens in each sequence.
    pub lengths: Vec<u32>,
    /// Sequences of each example.
    pub groups: Vec<u32>,
    /// `[tokens]`, shifted: the label of the next token of the same sequence, [`IGNORED`] at its last.
    pub labels: Vec<i64>,
    /// `[tokens]`: 1 where there is a label, else 0.
    pub label_mask: Vec<f32>,
    /// `[tokens]`: the weight of each label's loss, 0 where there is none.
    pub loss_weights: Vec<f32>,
    /// `[tokens]`: the sequence that a token belongs to, from 0.
    pub segment_ids: Vec<u32>,
    /// Numeric columns that every example has.
    pub fields: Vec<(String, Column)>,
    /// A number for each token, `[tokens]` each, that whoever made the batch attached to it.
    pub token_fields: Vec<(String, Vec<f32>)>,
}

/// A numeric column of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Column {
    /// `[examples]`, or `[examples, width]`.
    pub values: Vec<f32>,
    /// Of a column of lists: the length of the longest. Shorter lists are filled up with NaN.
    pub width: Option<usize>,
}

/// In which order the sequences of several examples lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arrangement {
    /// The first sequences of all examples, then the second ones if they have two.
    #[default]
    Runs,
    /// All sequences of the first example, then those of the second.
    Groups,
}

impl PackedBatch {
    /// Lays out examples.
    pub fn collate(examples: &[Example], arrangement: Arrangement) -> Self {
        let groups = examples.iter().map(|example| example.sequences.len() as u32).collect();
        let mut batch = Self { fields: common_fields(examples), groups, ..Self::default() };
        match arrangement {
            Arrangement::Groups => {
                examples
                    .iter()
                    .flat_map(|example| &example.sequences)
                    .for_each(|sequence| batch.push(sequence));
            }
            Arrangement::Runs => {
                let runs = examples.iter().map(|example| example.sequences.len()).max().unwrap_or(0);
                (0..runs)
                    .flat_map(|run| examples.iter().filter_map(move |example| example.sequences.get(run)))
                    .for_each(|sequence| batch.push(sequence));
            }
        }
        batch
    }

    /// Number of labels.
    pub fn label_count(&self) -> usize {
        self.labels.iter().filter(|label| **label != IGNORED).count()
    }

    fn push(&mut self, sequence: &Encoded) {
        let segment = self.lengths.len() as u32;
        let length = sequence.input_ids.len();
        self.lengths.push(length as u32);
        self.input_ids.extend(&sequence.input_ids);
        self.position_ids.extend(0..length as u32);
        self.segment_ids.extend(std::iter::repeat_n(segment, length));
        // What is known at a position is how the next token of the same sequence is to be predicted.
        let next = sequence.input_ids.iter().zip(&sequence.weights).skip(1);
        for (id, &weight) in next {
            self.push_label(i64::from(*id), weight);
        }
        if length > 0 {
            self.push_label(IGNORED, 0.0);
        }
    }

    fn push_label(&mut self, label: i64, weight: f32) {
        let counts = weight > 0.0;
        self.labels.push(if counts { label } else { IGNORED });
        self.label_mask.push(if counts { 1.0 } else { 0.0 });
        self.loss_weights.push(weight);
    }
}

/// Columns that all examples have, in the first one's order.
fn common_fields(examples: &[Example]) -> Vec<(String, Column)> {
    let Some(first) = examples.first() else {
        return Vec::new();
    };
    let cell = |example: &'_ Example, name: &str| {
        example.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    let column = |name: &str| -> Option<Column> {
        Some(column(&examples.iter().map(|example| cell(example, name)).collect::<Option<Vec<_>>>()?))
    };
    first.fields.iter().filter_map(|(name, _)| Some((name.clone(), column(name)?))).collect()
}

/// Cells below each other. Where one is a list, all are.
fn column(cells: &[Field]) -> Column {
    let list = |cell: &Field| match cell {
        Field::Number(number) => vec![*number as f32],
        Field::Numbers(numbers) => numbers.iter().map(|number| *number as f32).collect(),
    };
    let lists: Vec<Vec<f32>> = cells.iter().map(list).collect();
    if !cells.iter().any(|cell| matches!(cell, Field::Numbers(_))) {
        return Column { values: lists.concat(), width: None };
    }
    let width = lists.iter().map(Vec::len).max().unwrap_or(0);
    let filled = lists.into_iter().flat_map(|mut list| {
        list.resize(width, f32::NAN);
        list
    });
    Column { values: filled.collect(), width: Some(width) }
}

/// Adds to each example of an accumulation window a second sequence: its question with the answer of the example before
/// it, the first with that of the last. (What TRL's `KTOTrainer` estimates the divergence from the reference with.)
///
/// The question is what comes before the first token that is trained on.
pub fn add_mismatches(window: &mut [Vec<Example>]) {
    let sequences =
        window.iter().flatten().map(|example| example.sequences.first().cloned().unwrap_or_default());
    let sequences: Vec<Encoded> = sequences.collect();
    let answers = sequences.iter().cycle().skip(sequences.len().saturating_sub(1));
    for (example, (own, other)) in window.iter_mut().flatten().zip(sequences.iter().zip(answers)) {
        let start = |encoded: &Encoded| encoded.weights.iter().take_while(|weight| **weight == 0.0).count();
        let (question, answer) = (start(own), start(other));
        let mut mismatch = Encoded {
            input_ids: own.input_ids.get(..question).unwrap_or_default().to_vec(),
            weights: vec![0.0; question],
        };
        mismatch.input_ids.extend(other.input_ids.get(answer..).unwrap_or_default());
        mismatch.weights.extend(other.weights.get(answer..).unwrap_or_default());
        example.sequences.push(mismatch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(ids: &[u32], trained_from: usize) -> Encoded {
        let weights = (0..ids.len()).map(|at| if at < trained_from { 0.0 } else { 1.0 });
        Encoded { input_ids: ids.to_vec(), weights: weights.collect() }
    }

    #[test]
    fn pairs_lie_as_all_chosen_then_all_rejected_with_labels_of_the_next_token() {
        let field = |name: &str, value| (name.to_owned(), Field::Number(value));
        let mut weighted = sequence(&[7, 8], 1);
        weighted.weights[1] = 0.5;
        let examples = [
            Example {
                sequences: vec![sequence(&[1, 2, 3], 2), sequence(&[4, 5], 1)],
                fields: vec![field("margin", 0.5), field("other", 1.0)],
                prompt: None,
            },
            Example {
                sequences: vec![sequence(&[6], 1), weighted],
                fields: vec![field("margin", 2.0)],
                prompt: None,
            },
        ];
        let batch = PackedBatch::collate(&examples, Arrangement::Runs);
        let expected = PackedBatch {
            input_ids: vec![1, 2, 3, 6, 4, 5, 7, 8],
            position_ids: vec![0, 1, 2, 0, 0, 1, 0, 1],
            lengths: vec![3, 1, 2, 2],
            groups: vec![2, 2],
            labels: vec![-100, 3, -100, -100, 5, -100, 8, -100],
            label_mask: vec![0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0],
            loss_weights: vec![0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.5, 0.0],
            segment_ids: vec![0, 0, 0, 1, 2, 2, 3, 3],
            fields: vec![("margin".into(), Column { values: vec![0.5, 2.0], width: None })],
            token_fields: Vec::new(),
        };
        assert_eq!(batch, expected);
        assert_eq!(batch.label_count(), 3);
    }

    #[test]
    fn groups_lie_one_after_the_other_and_lists_are_filled_up() {
        let example = |ids: &[&[u32]], labels: &[f64]| Example {
            sequences: ids.iter().map(|ids| sequence(ids, 9)).collect(),
            fields: vec![("label".into(), Field::Numbers(labels.to_vec()))],
            prompt: None,
        };
        let examples = [example(&[&[1], &[2, 3]], &[4.0]), example(&[&[4], &[5], &[6]], &[1.0, 2.0])];
        let batch = PackedBatch::collate(&examples, Arrangement::Groups);
        assert_eq!(batch.input_ids, [1, 2, 3, 4, 5, 6]);
        assert_eq!((batch.lengths, batch.groups), (vec![1, 2, 1, 1, 1], vec![2, 3]));
        let Column { values, width } = &batch.fields[0].1;
        assert_eq!((values.len(), *width), (4, Some(2)));
        assert!(values[0] == 4.0 && values[1].is_nan() && values[2..] == [1.0, 2.0]);
    }

    #[test]
    fn a_mismatch_is_a_question_with_the_answer_of_the_example_before() {
        let example = |ids: &[u32], from| Example {
            sequences: vec![sequence(ids, from)],
            fields: Vec::new(),
            prompt: None,
        };
        let mut window =
            [vec![example(&[1, 2, 10], 2), example(&[3, 20, 21], 1)], vec![example(&[4, 5, 30], 2)]];
        add_mismatches(&mut window);
        let second: Vec<&Encoded> = window.iter().flatten().map(|example| &example.sequences[1]).collect();
        assert_eq!(*second[0], sequence(&[1, 2, 30], 2));
        assert_eq!(*second[1], sequence(&[3, 10], 1));
        assert_eq!(*second[2], sequence(&[4, 5, 20, 21], 2));
    }

    #[test]
    fn no_examples_make_an_empty_batch() {
        assert_eq!(PackedBatch::collate(&[], Arrangement::Runs), PackedBatch::default());
        add_mismatches(&mut []);
    }
}
