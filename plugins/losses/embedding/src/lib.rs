//! Losses of text embeddings, which are the last tokens' hidden states, scaled to length 1.

mod infonce;
mod pairs;

#[cfg(test)]
mod tests;

use swift_plugin::prelude::*;

parameters! {
    /// Text embeddings: texts that belong together come close to each other.
    pub struct Embedding {
        /// The formula: `infonce`, `cosine_similarity`, `contrastive` or `online_contrastive`.
        pub loss_type: String = "infonce".into(),
        /// What similarities are divided by.
        pub infonce_temperature: f64 = 0.1,
        /// Whether the texts of the other rows of a micro-batch count as negative ones.
        pub infonce_use_batch: bool = true,
        /// So many negative texts of a row count: more are left out, fewer repeated. By default all.
        pub infonce_hard_negatives: Option<u64> = None,
        /// Leaves out negative texts that are closer to the anchor than its positive text is, and the margin.
        pub infonce_mask_fake_negative: bool = false,
        /// By how much closer.
        pub infonce_fake_neg_margin: f64 = 0.1,
        /// Whether the anchors of other rows count as negative texts.
        pub infonce_include_qq: bool = false,
        /// Whether the positive text is to be far from all other texts, too.
        pub infonce_include_dd: bool = false,
    }
}

/// A formula: the micro-batch's share of the loss, of embeddings `[sequences, hidden_size]`.
type Share = fn(&Embedding, &Batch, &Tensor) -> Result<Tensor>;

/// Every loss type.
const VARIANTS: &[(&str, Share)] = &[
    ("infonce", infonce::infonce),
    ("cosine_similarity", pairs::cosine_similarity),
    ("contrastive", pairs::contrastive),
    ("online_contrastive", pairs::online_contrastive),
];

impl Loss for Embedding {
    fn requirements(&self) -> Requirements {
        Requirements { input: Input::Groups, ..Requirements::default() }
    }

    fn compute(&self, batch: &Batch, policy: &Outputs, _reference: Option<&Outputs>) -> Result<Report> {
        let share = choose("loss type", &self.loss_type, VARIANTS)?;
        let hidden = policy.last_hidden()?.at_least_float32();
        let length = hidden.pow(2.0).sum(&[-1], true).maximum(SHORTEST * SHORTEST).sqrt();
        Ok(Report::new(share(self, batch, &(hidden / length))?))
    }
}

/// Vectors that are shorter have no direction. (PyTorch's `normalize` has the same bound.)
const SHORTEST: f64 = 1e-12;

/// Rows of `embeddings` in the order of `sequences`.
fn rows(embeddings: &Tensor, sequences: &[u64]) -> Tensor {
    let indices: Vec<f64> = sequences.iter().map(|&sequence| sequence as f64).collect();
    embeddings.index_select(0, &Tensor::from_list(&indices, &[indices.len() as u64], Dtype::Int64))
}

export!(Embedding: Loss);
