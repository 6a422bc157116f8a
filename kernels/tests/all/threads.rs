//! Each operation gives the same bits on one, two, three and eight threads.

use half::{bf16, f16};
use swift_kernels::attention::{self, AttentionGradients, AttentionInputs, AttentionOptions, AttentionShape};
use swift_kernels::quantised::{self, nf4};
use swift_kernels::token_logps::{self, TokenLogpsGradients, TokenLogpsInputs, TokenStatistics};
use swift_kernels::{Element, matmul, rms_norm};

use crate::support::{narrow, numbers, on_threads, widen, zeros};

/// All results of `f` on each number of threads must be those on one.
#[track_caller]
fn assert_same_bits(f: impl Fn() -> Vec<Vec<f64>> + Send + Sync, what: &str) {
    let bits = |threads| on_threads(threads, &f).into_iter().flatten().map(f64::to_bits).collect::<Vec<_>>();
    let one = bits(1);
    for threads in [2, 3, 8] {
        assert!(bits(threads) == one, "{what} differs on {threads} threads");
    }
}

fn products<T: Element>() {
    for (m, k, n) in
        [(257, 1031, 513), (64, 64, 64), (3, 900, 2049), (1, 4096, 300), (700, 2100, 24), (16, 16, 3000)]
    {
        let (a, b) = (narrow::<T>(&numbers(1, m * k)), narrow::<T>(&numbers(2, k * n)));
        for (transpose_a, transpose_b) in [(false, false), (false, true), (true, false), (true, true)] {
            let product = || {
                let mut c = narrow::<T>(&numbers(3, m * n));
                matmul::product(&a, &b, &mut c, m, k, n, transpose_a, transpose_b, true).unwrap();
                vec![widen(&c)]
            };
            assert_same_bits(product, &format!("{m} x {k} x {n}, {transpose_a} {transpose_b}"));
        }
    }
}

#[test]
fn matrix_products_do_not_depend_on_the_number_of_threads() {
    products::<f32>();
    products::<f64>();
    products::<bf16>();
    products::<f16>();
}

#[test]
fn products_with_quantised_weights_do_not_depend_on_the_number_of_threads() {
    let (rows, columns) = (700, 2100);
    let options = nf4::Options { block: 64, double: true };
    let weight = nf4::Matrix::quantise(&numbers(1, rows * columns), rows, columns, options).unwrap();
    let weight = quantised::Matrix::Nf4(weight);
    for tokens in [1, 5, 40] {
        let (x, dy) =
            (narrow::<bf16>(&numbers(2, tokens * columns)), narrow::<bf16>(&numbers(3, tokens * rows)));
        let there_and_back = || {
            let (mut y, mut dx) = (zeros::<bf16>(tokens * rows), zeros::<bf16>(tokens * columns));
            quantised::forward(&x, &weight, tokens, &mut y, false).unwrap();
            quantised::input_gradient(&dy, &weight, tokens, &mut dx).unwrap();
            vec![widen(&y), widen(&dx)]
        };
        assert_same_bits(there_and_back, &format!("{tokens} tokens"));
    }
}

#[test]
fn attention_does_not_depend_on_the_number_of_threads() {
    let shape = AttentionShape { lengths: &[1300, 1, 170], heads: 4, kv_heads: 2, head_dim: 24 };
    let options = AttentionOptions { scale: 0.2, window: None, soft_cap: None };
    let of = |seed, heads: usize| narrow::<f32>(&numbers(seed, 1471 * heads * 24));
    let (q, k, v, dout) = (of(1, 4), of(2, 2), of(3, 2), of(4, 4));
    let both = || {
        let inputs = AttentionInputs { q: &q, k: &k, v: &v, slopes: &[] };
        let (mut out, mut lse) = (zeros::<f32>(q.len()), zeros::<f32>(1471 * 4));
        attention::forward(&inputs, &shape, &options, &mut out, &mut lse).unwrap();
        let (mut dq, mut dk, mut dv) = (zeros::<f32>(q.len()), zeros::<f32>(k.len()), zeros::<f32>(v.len()));
        let gradients = AttentionGradients { dq: &mut dq, dk: &mut dk, dv: &mut dv };
        attention::backward(&dout, &inputs, &out, &lse, &shape, &options, gradients).unwrap();
        [&out, &lse, &dq, &dk, &dv].map(|x| widen(x)).to_vec()
    };
    assert_same_bits(both, "attention");
}

fn statistics<T: Element>() {
    let (tokens, vocab, width) = (530, 4200, 40);
    let (hidden, weight) =
        (narrow::<T>(&numbers(1, tokens * width)), narrow::<T>(&numbers(2, vocab * width)));
    let labels: Vec<i64> = (0..tokens as i64).collect();
    let dlogp = narrow::<T::Compute>(&numbers(3, tokens));
    let both = || {
        let inputs = TokenLogpsInputs {
            hidden: &hidden,
            weight: &weight,
            bias: None,
            labels: &labels,
            width,
            soft_cap: Some(2.0),
        };
        let results = || zeros::<T::Compute>(tokens);
        let (mut logps, mut entropies, mut mean_logits, mut log_sum_exp) =
            (results(), results(), results(), results());
        let (mut predictions, mut direction) = (vec![0; tokens], zeros::<T>(hidden.len()));
        let statistics = TokenStatistics {
            logps: &mut logps,
            predictions: &mut predictions,
            entropies: &mut entropies,
            mean_logits: &mut mean_logits,
            log_sum_exp: &mut log_sum_exp,
        };
        token_logps::forward(&inputs, statistics, Some(&mut direction)).unwrap();
        let (mut dhidden, mut dweight) = (zeros::<T>(hidden.len()), zeros::<T::Compute>(weight.len()));
        let gradients =
            TokenLogpsGradients { dhidden: Some(&mut dhidden), dweight: Some(&mut dweight), dbias: None };
        token_logps::backward(&dlogp, &inputs, &log_sum_exp, gradients).unwrap();
        let mut all = [&logps, &entropies, &mean_logits, &log_sum_exp, &dweight].map(|x| widen(x)).to_vec();
        all.extend([widen(&direction), widen(&dhidden), predictions.iter().map(|&i| i as f64).collect()]);
        all
    };
    assert_same_bits(both, "token_logps");
}

#[test]
fn token_statistics_do_not_depend_on_the_number_of_threads() {
    statistics::<f32>();
    statistics::<bf16>();
    statistics::<f16>();
}

#[test]
fn norms_do_not_depend_on_the_number_of_threads() {
    let (x, weight, dy) =
        (narrow::<f32>(&numbers(1, 1000 * 33)), narrow(&numbers(2, 33)), narrow(&numbers(3, 1000 * 33)));
    let norm = rms_norm::RmsNorm { width: 33, epsilon: 1e-6, offset: 0.0 };
    let both = || {
        let (mut y, mut rstd) = (zeros::<f32>(x.len()), zeros::<f32>(1000));
        rms_norm::forward(&x, &weight, &norm, &mut y, &mut rstd).unwrap();
        let (mut dx, mut dweight) = (zeros::<f32>(x.len()), zeros::<f32>(33));
        rms_norm::backward(&dy, &x, &weight, &rstd, &norm, Some(&mut dx), Some(&mut dweight)).unwrap();
        [&y, &rstd, &dx, &dweight].map(|x| widen(x)).to_vec()
    };
    assert_same_bits(both, "rms_norm");
}
