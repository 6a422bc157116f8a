//! Information noise-contrastive estimation.

use swift_plugin::prelude::*;

use crate::{Embedding, rows};

/// An anchor with one of its positive texts.
struct Query {
    /// Its row.
    row: usize,
    /// Where the positive text is among the documents.
    target: u64,
    /// A row counts once, however many positive texts it has.
    weight: f64,
}

/// The texts of a micro-batch by what they are compared as.
#[derive(Default)]
struct Texts {
    /// Sequences: the anchor of each row.
    anchors: Vec<u64>,
    /// Sequences: all positive and negative texts.
    documents: Vec<u64>,
    /// The row of each document, and whether it is a positive one.
    origins: Vec<(usize, bool)>,
    queries: Vec<Query>,
}

impl Texts {
    fn new(settings: &Embedding, batch: &Batch) -> Result<Self> {
        let mut texts = Self::default();
        for (row, group) in batch.groups()?.into_iter().enumerate() {
            let positives = group.positives.clone().count();
            if positives == 0 {
                bail!("a row has no positive text");
            }
            let negatives: Vec<u64> = match settings.infonce_hard_negatives {
                None => group.negatives.collect(),
                Some(_) if group.negatives.is_empty() => bail!("a row has no negative text"),
                Some(count) => group.negatives.cycle().take(count as usize).collect(),
            };
            texts.anchors.push(group.anchor);
            for positive in group.positives {
                let target = texts.documents.len() as u64;
                texts.queries.push(Query { row, target, weight: 1.0 / positives as f64 });
                texts.documents.push(positive);
                texts.origins.push((row, true));
            }
            texts.origins.extend(negatives.iter().map(|_| (row, false)));
            texts.documents.extend(negatives);
        }
        Ok(texts)
    }

    /// `[queries, columns]`: 1 where `leave_out` says so, `uint8`.
    fn mask(&self, columns: usize, leave_out: impl Fn(&Query, usize) -> bool) -> Tensor {
        let leave_out = &leave_out;
        let row = |query| (0..columns).map(move |column| if leave_out(query, column) { 1.0 } else { 0.0 });
        let values: Vec<f64> = self.queries.iter().flat_map(row).collect();
        Tensor::from_list(&values, &[self.queries.len() as u64, columns as u64], Dtype::Uint8)
    }
}

/// `-log(e^(cos(q, d+) / t) / sum e^(cos(q, d) / t))`, the mean over the rows of the window: van den Oord et al. 2018,
/// "Representation Learning with Contrastive Predictive Coding", eq. 4, with cosines and a temperature.
///
/// The sum goes over the row's own texts, and over those of the micro-batch's other rows unless `infonce_use_batch` is off.
/// Further terms of it, the other anchors and the distances of `d+` from all texts, and the mask of presumably wrong
/// negatives are those of Zhang et al. 2025, "Qwen3 Embedding", eq. 1 and 2.
pub(crate) fn infonce(settings: &Embedding, batch: &Batch, embeddings: &Tensor) -> Result<Tensor> {
    let texts = Texts::new(settings, batch)?;
    let of_rows: Vec<u64> =
        texts.queries.iter().filter_map(|query| texts.anchors.get(query.row)).copied().collect();
    let targets: Vec<u64> = texts.queries.iter().map(|query| query.target).collect();
    let queries = rows(embeddings, &of_rows);
    let documents = rows(embeddings, &texts.documents);
    let similarity = |of: &Tensor, to: &Tensor| of.matmul(&to.transpose(0, 1));

    let to_documents = similarity(&queries, &documents);
    let index = targets.iter().map(|&target| target as f64).collect::<Vec<_>>();
    let index = Tensor::from_list(&index, &[index.len() as u64, 1], Dtype::Int64);
    let positive = to_documents.gather(1, &index);
    let bound = positive.detach() + settings.infonce_fake_neg_margin;
    let unmask = |similarities: Tensor| match settings.infonce_mask_fake_negative {
        true => without(&similarities.gt(&bound), &similarities),
        false => Ok(similarities),
    };

    let own_positive = |query: &Query, column: usize| texts.origins.get(column) == Some(&(query.row, true));
    let is_target = |query: &Query, column: usize| column as u64 == query.target;
    let is_of_row =
        |query: &Query, column: usize| texts.origins.get(column).is_some_and(|o| o.0 == query.row);
    let count = texts.documents.len();
    let mut terms = Vec::new();
    if settings.infonce_use_batch {
        let left_out =
            texts.mask(count, |query, column| own_positive(query, column) && !is_target(query, column));
        // The positive text itself stays, whatever the margin.
        let unmasked = unmask(without(&left_out, &to_documents)?)?;
        terms.push(texts.mask(count, is_target).choose(&to_documents, &unmasked));
        if settings.infonce_include_qq {
            let to_anchors = similarity(&queries, &rows(embeddings, &texts.anchors));
            let itself = texts.mask(texts.anchors.len(), |query, column| column == query.row);
            terms.push(unmask(without(&itself, &to_anchors)?)?);
        }
        if settings.infonce_include_dd {
            let between = similarity(&documents.index_select(0, &index.reshape(&[-1])), &documents);
            terms.push(without(&texts.mask(count, own_positive), &between)?);
        }
    } else {
        let left_out = texts.mask(count, |query, column| {
            !is_of_row(query, column) || (own_positive(query, column) && !is_target(query, column))
        });
        terms.push(without(&left_out, &to_documents)?);
    }

    let terms = Tensor::cat(&terms.iter().collect::<Vec<_>>(), 1) / settings.infonce_temperature;
    let losses = terms.logsumexp(1, false) - positive.reshape(&[-1]) / settings.infonce_temperature;
    let weights: Vec<f64> = texts.queries.iter().map(|query| query.weight).collect();
    let weights = Tensor::from_list(&weights, &[weights.len() as u64], losses.dtype()?);
    Ok((losses * weights).sum_all() / batch.global_row_count())
}

/// Similarities, of which those under the mask count as infinitely small.
fn without(mask: &Tensor, similarities: &Tensor) -> Result<Tensor> {
    let nothing = Tensor::full(f64::NEG_INFINITY, &similarities.shape()?, similarities.dtype()?);
    mask.choose(&nothing, similarities).check()
}
