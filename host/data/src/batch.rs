use crate::rows::{Encoded, Example, IGNORED};

/// Sequences laid end to end, without padding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PackedBatch {
    /// `[tokens]`.
    pub input_ids: Vec<u32>,
    /// `[tokens]`: the place in its sequence, from 0.
    pub position_ids: Vec<u32>,
    /// Tokens in each sequence. Pairs come as two runs: all chosen, then all rejected.
    pub lengths: Vec<u32>,
    /// `[tokens]`, shifted: the label of the next token of the same sequence, [`IGNORED`] at its last.
    pub labels: Vec<i64>,
    /// `[tokens]`: 1 where there is a label, else 0.
    pub label_mask: Vec<f32>,
    /// `[tokens]`: the weight of each label's loss. All labels weigh 1.
    pub loss_weights: Vec<f32>,
    /// `[tokens]`: the sequence that a token belongs to, from 0.
    pub segment_ids: Vec<u32>,
    /// Numeric columns that every example has, `[examples]` each.
    pub fields: Vec<(String, Vec<f32>)>,
}

impl PackedBatch {
    /// Lays out examples: the first sequences of all of them, then the second ones if they have two.
    pub fn collate(examples: &[Example]) -> Self {
        let mut batch = Self { fields: common_fields(examples), ..Self::default() };
        let runs = examples.iter().map(|example| example.sequences.len()).max().unwrap_or(0);
        for run in 0..runs {
            examples
                .iter()
                .filter_map(|example| example.sequences.get(run))
                .for_each(|sequence| batch.push(sequence));
        }
        batch.label_mask =
            batch.labels.iter().map(|label| if *label == IGNORED { 0.0 } else { 1.0 }).collect();
        batch.loss_weights = batch.label_mask.clone();
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
        let next = sequence.labels.iter().skip(1).copied();
        self.labels.extend(next.chain(std::iter::once(IGNORED)).take(length));
    }
}

/// Columns that all examples have, in the first one's order.
fn common_fields(examples: &[Example]) -> Vec<(String, Vec<f32>)> {
    let Some(first) = examples.first() else {
        return Vec::new();
    };
    let value = |example: &Example, name: &str| {
        example.fields.iter().find(|(known, _)| known == name).map(|(_, value)| *value as f32)
    };
    first
        .fields
        .iter()
        .filter_map(|(name, _)| {
            let column = examples.iter().map(|example| value(example, name)).collect::<Option<_>>()?;
            Some((name.clone(), column))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(ids: &[u32], trained_from: usize) -> Encoded {
        let labels =
            ids.iter().enumerate().map(|(at, id)| if at < trained_from { IGNORED } else { i64::from(*id) });
        Encoded { input_ids: ids.to_vec(), labels: labels.collect() }
    }

    #[test]
    fn pairs_lie_as_all_chosen_then_all_rejected_with_labels_of_the_next_token() {
        let field = |name: &str, value| (name.to_owned(), value);
        let examples = [
            Example {
                sequences: vec![sequence(&[1, 2, 3], 2), sequence(&[4, 5], 1)],
                fields: vec![field("margin", 0.5), field("other", 1.0)],
            },
            Example {
                sequences: vec![sequence(&[6], 1), sequence(&[7, 8], 1)],
                fields: vec![field("margin", 2.0)],
            },
        ];
        let batch = PackedBatch::collate(&examples);
        let expected = PackedBatch {
            input_ids: vec![1, 2, 3, 6, 4, 5, 7, 8],
            position_ids: vec![0, 1, 2, 0, 0, 1, 0, 1],
            lengths: vec![3, 1, 2, 2],
            labels: vec![-100, 3, -100, -100, 5, -100, 8, -100],
            label_mask: vec![0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0],
            loss_weights: vec![0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0],
            segment_ids: vec![0, 0, 0, 1, 2, 2, 3, 3],
            fields: vec![("margin".into(), vec![0.5, 2.0])],
        };
        assert_eq!(batch, expected);
        assert_eq!(batch.label_count(), 3);
    }

    #[test]
    fn no_examples_make_an_empty_batch() {
        assert_eq!(PackedBatch::collate(&[]), PackedBatch::default());
    }
}
