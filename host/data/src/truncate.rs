use std::str::FromStr;

use crate::error::{Error, Result};
use crate::rows::Encoded;
use crate::template::Unfit;

/// What becomes of rows that are too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Truncation {
    /// They are left out.
    #[default]
    Delete,
    /// They lose their beginning.
    Left,
    /// They lose their end.
    Right,
    /// They become several, one after the other and each as long as can be, with what their rows say besides. Each part is read
    /// without those before it. For rows of one conversation only.
    Split,
}

impl FromStr for Truncation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "delete" => Ok(Self::Delete),
            "left" => Ok(Self::Left),
            "right" => Ok(Self::Right),
            "split" => Ok(Self::Split),
            _ => Err(Error::InvalidOption {
                option: "truncation-strategy",
                message: format!("must be `delete`, `left`, `right` or `split`, not `{text}`"),
            }),
        }
    }
}

impl Truncation {
    /// What becomes of a sequence: itself if it has at most `max_length` tokens, above 0; else what is left of it, in one part
    /// or several. The first token of a part is not trained on.
    pub(crate) fn apply(self, encoded: Encoded, max_length: usize) -> Result<Vec<Encoded>, Unfit> {
        let length = encoded.input_ids.len();
        let Some(excess) = length.checked_sub(max_length).filter(|excess| *excess > 0) else {
            return Ok(vec![encoded]);
        };
        let part = |(ids, weights): (&[u32], &[f32])| {
            let mut part = Encoded { input_ids: ids.to_vec(), weights: weights.to_vec() };
            part.weights.iter_mut().take(1).for_each(|first| *first = 0.0);
            part
        };
        let parts = |skipped: usize| {
            let ids = encoded.input_ids.get(skipped..).unwrap_or_default().chunks(max_length);
            ids.zip(encoded.weights.get(skipped..).unwrap_or_default().chunks(max_length)).map(part)
        };
        match self {
            Self::Delete => {
                let reason = format!("longer than {max_length} tokens");
                Err(Unfit::new(reason, format!("{length} tokens")))
            }
            Self::Left => Ok(parts(excess).collect()),
            Self::Right => Ok(parts(0).take(1).collect()),
            Self::Split => Ok(parts(0).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Encoded {
        Encoded { input_ids: vec![1, 2, 3, 4, 5], weights: vec![0.0, 0.0, 1.0, 2.0, 1.0] }
    }

    fn parts(truncation: Truncation, max_length: usize) -> Vec<(Vec<u32>, Vec<f32>)> {
        let parts = truncation.apply(whole(), max_length).unwrap();
        parts.into_iter().map(|part| (part.input_ids, part.weights)).collect()
    }

    #[test]
    fn sequences_lose_their_beginning_or_end_and_the_first_token_is_never_trained_on() {
        assert_eq!(parts(Truncation::Left, 3), [(vec![3, 4, 5], vec![0.0, 2.0, 1.0])]);
        assert_eq!(parts(Truncation::Right, 4), [(vec![1, 2, 3, 4], vec![0.0, 0.0, 1.0, 2.0])]);
    }

    #[test]
    fn sequences_are_split_without_losing_a_token_and_no_part_trains_on_its_first() {
        assert_eq!(
            parts(Truncation::Split, 2),
            [(vec![1, 2], vec![0.0, 0.0]), (vec![3, 4], vec![0.0, 2.0]), (vec![5], vec![0.0])]
        );
        assert_eq!(
            parts(Truncation::Split, 3),
            [(vec![1, 2, 3], vec![0.0, 0.0, 1.0]), (vec![4, 5], vec![0.0, 1.0])]
        );
    }

    #[test]
    fn long_rows_are_left_out_and_rows_that_just_fit_stay_as_they_are() {
        let unfit = Truncation::Delete.apply(whole(), 4).unwrap_err();
        assert_eq!(unfit.to_string(), "longer than 4 tokens: 5 tokens");
        for truncation in [Truncation::Delete, Truncation::Left, Truncation::Right, Truncation::Split] {
            assert_eq!(truncation.apply(whole(), 5).unwrap(), [whole()]);
        }
    }

    #[test]
    fn strategies_have_names() {
        let names: [Truncation; 4] = ["delete", "left", "right", "split"].map(|name| name.parse().unwrap());
        assert_eq!(names, [Truncation::Delete, Truncation::Left, Truncation::Right, Truncation::Split]);
    }
}
