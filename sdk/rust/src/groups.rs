//! Rows of several texts that are compared with each other.

use std::ops::Range;

use crate::{Batch, Result, bail};

/// Where the sequences of a row lie among those of the batch: first an anchor, which is no part of either range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The text that the others are compared with.
    pub anchor: u64,
    /// What belongs to it.
    pub positives: Range<u64>,
    /// What does not belong to it.
    pub negatives: Range<u64>,
}

impl Group {
    /// All texts but the anchor.
    pub fn others(&self) -> Range<u64> {
        self.positives.start..self.negatives.end
    }
}

impl Batch<'_> {
    /// The sequences of each row, for a loss whose input is groups. One text of each is a positive one if the rows don't say
    /// otherwise in the column `positive_count`.
    ///
    /// # Errors
    /// If a row has no anchor, or more positive texts than texts.
    pub fn groups(&self) -> Result<Vec<Group>> {
        let lengths = self.group_lengths();
        let positive_counts = match self.field("positive_count") {
            Some(counts) => counts.to_list()?,
            None => vec![1.0; lengths.len()],
        };
        let mut anchor = 0;
        let mut groups = Vec::with_capacity(lengths.len());
        for (length, positives) in lengths.into_iter().map(u64::from).zip(positive_counts) {
            let positives = positives as u64;
            if length < 1 + positives {
                bail!("a row of {length} texts can't have an anchor and {positives} positive ones");
            }
            let first_negative = anchor + 1 + positives;
            groups.push(Group {
                anchor,
                positives: anchor + 1..first_negative,
                negatives: first_negative..anchor + length,
            });
            anchor += length;
        }
        Ok(groups)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::PackedBatch;
    use crate::{Input, Result};

    fn groups(batch: &PackedBatch) -> Result<Vec<Group>> {
        Batch(batch.view(Input::Groups)).groups()
    }

    #[test]
    fn groups_lie_one_behind_the_other() {
        let batch = PackedBatch::new(&[1; 7]).groups(&[4, 3]);
        let expected = [
            Group { anchor: 0, positives: 1..2, negatives: 2..4 },
            Group { anchor: 4, positives: 5..6, negatives: 6..7 },
        ];
        assert_eq!(groups(&batch).unwrap(), expected);
        let positives = groups(&batch.field("positive_count", &[3.0, 0.0])).unwrap();
        assert_eq!(positives[0], Group { anchor: 0, positives: 1..4, negatives: 4..4 });
        assert_eq!(positives[1], Group { anchor: 4, positives: 5..5, negatives: 5..7 });
        assert_eq!(positives[1].others(), 5..7);
    }

    #[test]
    fn more_positive_texts_than_texts_are_an_error() {
        let batch = PackedBatch::new(&[1; 2]).groups(&[2]).field("positive_count", &[2.0]);
        let error = groups(&batch).unwrap_err();
        assert_eq!(error.to_string(), "a row of 2 texts can't have an anchor and 2 positive ones");
    }
}
