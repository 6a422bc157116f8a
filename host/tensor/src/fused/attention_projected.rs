use std::sync::Arc;

use super::attention::{AttentionOptions, attention};
use crate::{Error, Result, Tensor, cat};

/// [`attention`] of `q` `[tokens, heads, plain + rest]` with what a linear layer made for all heads of one vector for each token,
/// `made` `[tokens, heads * (plain + value)]`: for each head `plain` components of its key, and its value. `shared` `[tokens,
/// rest]` is the rest of every head's key. The result is `[tokens, heads, value]`.
///
/// # Errors
/// If shapes don't fit.
pub fn attention_projected(
    q: &Tensor,
    made: &Tensor,
    shared: &Tensor,
    lengths: &Arc<[usize]>,
    options: &AttentionOptions,
) -> Result<Tensor> {
    let wrong = || Error::shapes("attention_projected", q.dims(), made.dims());
    let (&[tokens, heads, key], &[_, width], &[_, rest]) = (q.dims(), made.dims(), shared.dims()) else {
        return Err(wrong());
    };
    let plain = key.checked_sub(rest).ok_or_else(wrong)? as u64;
    let of_head =
        width.checked_div(heads).filter(|of_head| of_head * heads == width).ok_or_else(wrong)? as u64;
    let value = of_head.checked_sub(plain).ok_or_else(wrong)?;
    let made = made.reshape(&[tokens as i64, heads as i64, of_head as i64])?;
    let shared = shared.reshape(&[tokens as i64, 1, rest as i64])?;
    let shared = shared.broadcast_to(&[tokens as u64, heads as u64, rest as u64])?;
    let k = cat(&[&made.narrow(2, 0, plain)?, &shared], 2)?;
    attention(q, &k, &made.narrow(2, plain, value)?, lengths, options)
}
