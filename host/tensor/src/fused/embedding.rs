use crate::{Result, Tensor};

/// Rows of `weight` `[vocab, hidden_size]` for `ids` `[tokens]`: `[tokens, hidden_size]`.
///
/// # Errors
/// If an id is outside of the vocabulary.
pub fn embedding(weight: &Tensor, ids: &Tensor) -> Result<Tensor> {
    weight.index_select(0, ids)
}
