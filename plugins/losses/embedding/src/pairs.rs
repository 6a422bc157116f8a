//! Losses of pairs of texts with a label each.

use swift_plugin::prelude::*;

use crate::{Embedding, rows};

/// From which distance on texts that don't belong together are left alone.
const MARGIN: f64 = 0.5;

/// Cosines of the pairs, and their labels: `[rows]` each. The label is the column `label`; rows without one say by what the
/// second text is: positive, 1, or negative, 0.
fn labelled_pairs(batch: &Batch, embeddings: &Tensor) -> Result<(Tensor, Tensor)> {
    let groups = batch.groups()?;
    if let Some(group) = groups.iter().find(|group| group.others().count() != 1) {
        bail!("a row has {} texts beside its anchor; pairs have one", group.others().count());
    }
    let anchors: Vec<u64> = groups.iter().map(|group| group.anchor).collect();
    let others: Vec<u64> = anchors.iter().map(|anchor| anchor + 1).collect();
    let cosines = (rows(embeddings, &anchors) * rows(embeddings, &others)).sum(&[-1], false);
    let labels = batch.field("label").or_else(|| batch.field("positive_count"));
    let Some(labels) = labels else { bail!("a row has no column `label`") };
    Ok((cosines, labels))
}

/// `(cos - label)^2`, the mean over the rows of the window: Reimers and Gurevych 2019, "Sentence-BERT", the regression
/// objective.
pub(crate) fn cosine_similarity(_: &Embedding, batch: &Batch, embeddings: &Tensor) -> Result<Tensor> {
    let (cosines, labels) = labelled_pairs(batch, embeddings)?;
    Ok((cosines - labels).pow(2.0).sum_all() / batch.global_row_count())
}

/// `(y d^2 + (1 - y) max(0, margin - d)^2) / 2` with `d = 1 - cos` and `y` the label, the mean over the rows of the window:
/// Hadsell et al. 2006, "Dimensionality Reduction by Learning an Invariant Mapping", eq. 4.
pub(crate) fn contrastive(_: &Embedding, batch: &Batch, embeddings: &Tensor) -> Result<Tensor> {
    let (cosines, labels) = labelled_pairs(batch, embeddings)?;
    let distances = 1.0 - cosines;
    let near = &labels * distances.pow(2.0);
    let far = (1.0 - labels) * (MARGIN - distances).relu().pow(2.0);
    Ok((near + far).sum_all() * 0.5 / batch.global_row_count())
}

/// As [`contrastive`], without the half and summed over hard pairs only: those with label 1 that are farther apart than the
/// closest with label 0, and those with label 0 that are closer than the farthest with label 1. (The online contrastive
/// loss of Sentence Transformers; a kind of which there are not two pairs has its counterparts' mean as the bound.)
pub(crate) fn online_contrastive(_: &Embedding, batch: &Batch, embeddings: &Tensor) -> Result<Tensor> {
    let (cosines, labels) = labelled_pairs(batch, embeddings)?;
    let distances = 1.0 - cosines;
    let (dtype, shape) = (distances.dtype()?, distances.shape()?);
    let zero = Tensor::full(0.0, &shape, dtype);
    let [near, far] = [labels.eq(1.0), labels.eq(0.0)];
    let number = |mask: &Tensor| mask.cast(dtype).sum_all();
    let fixed = distances.detach();
    // The largest of `of`, or of the smallest its negative, if there are two; else the mean of `otherwise`.
    let bound = |of: &Tensor, sign: f64, otherwise: &Tensor| {
        let outside = Tensor::full(f64::NEG_INFINITY, &shape, dtype);
        let extreme = of.choose(&(&fixed * sign), &outside).max(0, false) * sign;
        let mean = otherwise.choose(&fixed, &zero).sum_all() / number(otherwise).maximum(1.0);
        number(of).gt(1.0).choose(&extreme, &mean)
    };
    let is_hard_far = fixed.lt(bound(&near, 1.0, &far));
    let is_hard_near = fixed.gt(bound(&far, -1.0, &near));
    let sum = |of: &Tensor, hard: &Tensor, values: Tensor| {
        of.choose(&hard.choose(&values.pow(2.0), &zero), &zero).sum_all()
    };
    let near = sum(&near, &is_hard_near, distances.clone());
    let far = sum(&far, &is_hard_far, (MARGIN - distances).relu());
    Ok((near + far) / batch.global_batch_count())
}
