//! How many rows a batch has, and what they consist of.

use std::iter;

use swift_runtime::Input;

/// Tokens of one row's sequences and of several rows', which are ragged. Rows of two sequences use the second list too.
const ONE: [&[u32]; 2] = [&[5], &[3]];
const SEVERAL: [&[u32]; 2] = [&[4, 2, 6, 3], &[3, 5, 2, 4]];

/// The rows of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// At the beginning of a sentence.
    pub(crate) name: &'static str,
    pub(crate) rows: usize,
    /// Tokens of each sequence, in the order that the loss's input says.
    pub(crate) lengths: Vec<u32>,
    /// Sequences of each row.
    pub(crate) groups: Vec<u32>,
    /// For groups: how many of a row's sequences are positive.
    pub(crate) positives: Vec<f64>,
    /// Whether labels count.
    pub(crate) labelled: bool,
}

impl Shape {
    /// A single row, and several of different lengths.
    pub(crate) fn both(input: Input) -> Vec<Self> {
        match input {
            Input::Groups => vec![
                Self::grouped("One row", &[3], &[1.0]),
                Self::grouped("Several ragged rows", &[3, 2, 5], &[1.0, 1.0, 2.0]),
            ],
            _ => vec![Self::new("One row", input, ONE), Self::new("Several ragged rows", input, SEVERAL)],
        }
    }

    /// The same for losses that take groups of two sequences only.
    pub(crate) fn pairs() -> Vec<Self> {
        vec![
            Self::grouped("One row", &[2], &[1.0]),
            Self::grouped("Several ragged rows", &[2, 2, 2, 2], &[1.0, 0.0, 1.0, 0.0]),
        ]
    }

    fn new(name: &'static str, input: Input, [first, second]: [&[u32]; 2]) -> Self {
        let (lengths, groups) = match input {
            // All first sequences, then all second ones.
            Input::PreferencePairs | Input::UnpairedPreferenceWithMismatches => {
                ([first, second].concat(), vec![2; first.len()])
            }
            // The answers to one prompt follow one another.
            Input::Rollouts => (
                iter::zip(first, second).flat_map(|(first, second)| [*first, *second]).collect(),
                vec![2; first.len()],
            ),
            _ => (first.to_vec(), vec![1; first.len()]),
        };
        let labelled = input != Input::Labelled;
        Self { name, rows: first.len(), lengths, groups, positives: Vec::new(), labelled }
    }

    /// Texts of two to four tokens, of which nothing is labelled.
    fn grouped(name: &'static str, groups: &[u32], positives: &[f64]) -> Self {
        let sequences = groups.iter().sum::<u32>();
        let lengths = (0..sequences).map(|sequence| 2 + sequence % 3).collect();
        let positives = positives.to_vec();
        Self { name, rows: groups.len(), lengths, groups: groups.to_vec(), positives, labelled: false }
    }

    pub(crate) fn tokens(&self) -> u64 {
        self.lengths.iter().copied().map(u64::from).sum()
    }

    pub(crate) fn sequences(&self) -> u64 {
        self.lengths.len() as u64
    }

    /// 1 where a label counts, else 0: not for a sequence's last token, and for its first only if there is no other.
    pub(crate) fn mask(&self) -> Vec<f64> {
        let counts =
            |length: u32, place: u32| self.labelled && place + 1 < length && (place > 0 || length <= 2);
        let tokens = self.lengths.iter().flat_map(|&length| (0..length).map(move |place| (length, place)));
        tokens.map(|(length, place)| f64::from(u8::from(counts(length, place)))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_what_the_input_says() {
        let lengths =
            |input| -> Vec<Vec<u32>> { Shape::both(input).into_iter().map(|shape| shape.lengths).collect() };
        assert_eq!(lengths(Input::Causal), [vec![5], vec![4, 2, 6, 3]]);
        assert_eq!(lengths(Input::PreferencePairs)[1], [4, 2, 6, 3, 3, 5, 2, 4]);
        assert_eq!(lengths(Input::Rollouts)[1], [4, 3, 2, 5, 6, 2, 3, 4]);
        let [_, groups] = Shape::both(Input::Groups).try_into().unwrap();
        assert_eq!((groups.rows, groups.sequences(), groups.groups), (3, 10, vec![3, 2, 5]));
    }

    #[test]
    fn every_sequence_of_a_conversation_has_a_label() {
        let [one, several] = Shape::both(Input::Causal).try_into().unwrap();
        assert_eq!(one.mask(), [0.0, 1.0, 1.0, 1.0, 0.0]);
        assert_eq!(several.mask()[4..6], [1.0, 0.0]);
        assert!(Shape::both(Input::Labelled).iter().all(|shape| !shape.mask().contains(&1.0)));
    }
}
