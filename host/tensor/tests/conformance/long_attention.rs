//! Attention over sequences that are longer than the tiles of any kernel, against the same of plain operations.

use std::collections::HashMap;
use std::sync::Arc;

use swift_tensor::fused::{AttentionOptions, HeadScores, attention_with};
use swift_tensor::{DType, ParameterId, Result, Tensor, backward, cat, from_list, normal};

use crate::check::Gradients;

const LENGTHS: [usize; 4] = [1, 70, 0, 19];
const HEADS: usize = 4;
const KV_HEADS: usize = 2;
const HEAD_DIM: usize = 20;
const SLOPES: [f64; HEADS] = [0.5, 0.25, 0.0, -0.1];

/// `[count]` of `0, 1, ..`.
fn positions(count: usize) -> Result<Tensor> {
    let numbers: Vec<f64> = (0..count).map(|i| i as f64).collect();
    from_list(&numbers, &[count as u64], DType::F64)
}

/// A sequence's `[count, dim]` of one head.
fn of_head(x: &Tensor, start: usize, count: usize, head: usize) -> Result<Tensor> {
    let dim = x.dims()[2] as i64;
    x.narrow(0, start as u64, count as u64)?.narrow(1, head as u64, 1)?.reshape(&[count as i64, dim])
}

/// Scores as a whole, a mask, and a softmax.
fn plain(x: &[Tensor], slopes: &[f64], options: &AttentionOptions) -> Result<Tensor> {
    let (mut start, mut sequences) = (0, Vec::new());
    for count in LENGTHS.into_iter().filter(|&count| count > 0) {
        let row = positions(count)?.reshape(&[count as i64, 1])?;
        let column = positions(count)?.reshape(&[1, count as i64])?;
        let behind = row.sub(&column)?;
        let limit = |value: f64| from_list(&[value], &[1, 1], DType::F64);
        let ahead = behind.lt(&limit(0.0)?)?;
        let far = behind.ge(&limit(options.window.map_or(1e9, |window| window as f64))?)?;
        let hidden = ahead.cast(DType::F64)?.add(&far.cast(DType::F64)?)?.gt(&limit(0.0)?)?;
        let mut heads = Vec::new();
        for head in 0..HEADS {
            let kv_head = head / (HEADS / KV_HEADS);
            let q = of_head(&x[0], start, count, head)?;
            let [k, v] = [&x[1], &x[2]].map(|x| of_head(x, start, count, kv_head));
            let mut scores = q.matmul(&k?.transpose(0, 1)?)?.scale(options.scale)?;
            if let Some(slope) = slopes.get(head) {
                scores = scores.sub(&behind.scale(*slope)?)?;
            }
            if let Some(cap) = options.soft_cap {
                scores = scores.scale(1.0 / cap)?.tanh()?.scale(cap)?;
            }
            let scores = hidden.choose(&limit(-1e9)?, &scores)?;
            let sink = x[3].narrow(0, head as u64, 1)?.reshape(&[1, 1])?;
            let scores = cat(&[&scores, &sink.broadcast_to(&[count as u64, 1])?], 1)?;
            let weights = scores.softmax(1)?.narrow(1, 0, count as u64)?;
            heads.push(weights.matmul(&v?)?.reshape(&[count as i64, 1, HEAD_DIM as i64])?);
        }
        sequences.push(cat(&heads.iter().collect::<Vec<_>>(), 1)?);
        start += count;
    }
    cat(&sequences.iter().collect::<Vec<_>>(), 0)
}

/// The result and the gradients of all inputs, for the gradient `weights` of the result.
fn both(y: &Tensor, weights: &Tensor) -> Vec<Vec<f64>> {
    let mut sink = Gradients(HashMap::new());
    let loss = y.cast(DType::F64).unwrap().mul(weights).unwrap().sum(&[], false).unwrap();
    backward(&loss, &mut sink).unwrap();
    let mut found = vec![y.to_list().unwrap()];
    found.extend((0..4).map(|id| sink.0.remove(&id).unwrap()));
    found
}

/// The distance of all elements together, beside their length.
fn distance(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let length = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    length(&mut got.iter().zip(want).map(|(a, b)| a - b)) / length(&mut want.iter().copied())
}

/// What differs, as sentences.
pub(crate) fn differences() -> Vec<String> {
    let tokens = LENGTHS.iter().sum::<usize>() as u64;
    let dim = HEAD_DIM as u64;
    let shapes: [&[u64]; 4] = [
        &[tokens, HEADS as u64, dim],
        &[tokens, KV_HEADS as u64, dim],
        &[tokens, KV_HEADS as u64, dim],
        &[4],
    ];
    let lengths: Arc<[usize]> = LENGTHS.into();
    let mut found = Vec::new();
    for (window, soft_cap, slopes) in
        [(None, None, &[][..]), (Some(5), None, &SLOPES), (Some(40), Some(2.0), &SLOPES)]
    {
        let options = AttentionOptions { scale: 0.3, window, soft_cap };
        for (dtype, limit) in
            [(DType::F64, 1e-9), (DType::F32, 2e-5), (DType::BF16, 2e-2), (DType::F16, 2.5e-3)]
        {
            let drawn = shapes.iter().zip(0..).map(|(shape, seed)| {
                let x = normal(0.0, 1.0, shape, DType::F64, seed).unwrap().cast(dtype).unwrap();
                (x.value().clone(), seed as u32)
            });
            let (narrow, wide): (Vec<_>, Vec<_>) = drawn
                .map(|(x, id)| {
                    let wide = x.to_dtype(DType::F64).unwrap();
                    (Tensor::parameter(x, ParameterId(id)), Tensor::parameter(wide, ParameterId(id)))
                })
                .unzip();
            let weights = normal(0.0, 1.0, shapes[0], DType::F64, 9).unwrap();
            let [q, k, v, sinks] = &narrow[..] else { panic!("four inputs") };
            let got =
                attention_with([q, k, v], HeadScores { sinks: Some(sinks), slopes }, &lengths, &options)
                    .unwrap();
            let want = both(&plain(&wide, slopes, &options).unwrap(), &weights);
            for ((got, want), what) in
                both(&got, &weights).iter().zip(&want).zip(["out", "dq", "dk", "dv", "dsinks"])
            {
                let distance = distance(got, want);
                if distance.is_nan() || distance > limit {
                    found.push(format!("{what} in {dtype:?} with {options:?} is off by {distance:.1e}"));
                }
            }
        }
    }
    found
}

#[test]
fn attention_over_several_tiles_agrees_with_plain_operations() {
    assert_eq!(differences(), Vec::<String>::new());
}
