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
}

impl FromStr for Truncation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "delete" => Ok(Self::Delete),
            "left" => Ok(Self::Left),
            "right" => Ok(Self::Right),
            _ => Err(Error::InvalidOption {
                option: "truncation-strategy",
                message: format!("must be `delete`, `left` or `right`, not `{text}`"),
            }),
        }
    }
}

impl Truncation {
    /// Shortens a sequence to `max_length` tokens; says whether it had to. The first token that is left is not trained on.
    pub(crate) fn apply(self, encoded: &mut Encoded, max_length: usize) -> Result<bool, Unfit> {
        let length = encoded.input_ids.len();
        let Some(excess) = length.checked_sub(max_length).filter(|excess| *excess > 0) else {
            return Ok(false);
        };
        match self {
            Self::Delete => {
                let reason = format!("longer than {max_length} tokens");
                return Err(Unfit::new(reason, format!("{length} tokens")));
            }
            Self::Left => {
                encoded.input_ids.drain(..excess);
                encoded.weights.drain(..excess);
            }
            Self::Right => {
                encoded.input_ids.truncate(max_length);
                encoded.weights.truncate(max_length);
            }
        }
        if let Some(first) = encoded.weights.first_mut() {
            *first = 0.0;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shortened(truncation: Truncation, max_length: usize) -> Result<(Encoded, bool), Unfit> {
        let mut encoded = Encoded { input_ids: vec![1, 2, 3, 4, 5], weights: vec![0.0, 0.0, 1.0, 2.0, 1.0] };
        let changed = truncation.apply(&mut encoded, max_length)?;
        Ok((encoded, changed))
    }

    #[test]
    fn sequences_lose_their_beginning_or_end_and_the_first_token_is_never_trained_on() {
        let (left, changed) = shortened(Truncation::Left, 3).unwrap();
        assert_eq!((left.input_ids, left.weights, changed), (vec![3, 4, 5], vec![0.0, 2.0, 1.0], true));
        let (right, changed) = shortened(Truncation::Right, 4).unwrap();
        assert_eq!(
            (right.input_ids, right.weights, changed),
            (vec![1, 2, 3, 4], vec![0.0, 0.0, 1.0, 2.0], true)
        );
    }

    #[test]
    fn long_rows_are_left_out_and_rows_that_just_fit_stay_as_they_are() {
        let unfit = shortened(Truncation::Delete, 4).unwrap_err();
        assert_eq!(unfit.to_string(), "longer than 4 tokens: 5 tokens");
        for truncation in [Truncation::Delete, Truncation::Left, Truncation::Right] {
            assert!(!shortened(truncation, 5).unwrap().1);
        }
    }
}
