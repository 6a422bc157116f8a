use half::{bf16, f16};
use swift_kernels::Element;
use swift_kernels::attention::{self, AttentionGradients, AttentionInputs, AttentionOptions, AttentionShape};

use crate::support::{
    assert_close, components, differences, dot, narrow, numbers, pick, scaled, widen, zeros,
};

type Case = (&'static [usize], usize, usize, usize, Option<usize>, Option<f64>);

/// Lengths, heads, key-value heads, components, window, soft cap: no tokens, sequences of one and of none, groups of one
/// and several, windows of one and beyond the sequence, odd sizes, and several tiles and parts of queries and keys.
const CASES: [Case; 12] = [
    (&[], 2, 1, 4, None, None),
    (&[0, 0], 1, 1, 1, None, None),
    (&[1], 1, 1, 1, None, None),
    (&[1, 1, 3], 2, 2, 5, None, Some(1.5)),
    (&[5, 0, 9], 4, 2, 7, Some(1), None),
    (&[6, 2], 6, 2, 8, Some(1000), Some(0.7)),
    (&[131, 3], 4, 1, 8, None, None),
    (&[300], 2, 2, 5, Some(40), None),
    (&[270], 1, 1, 16, Some(150), Some(2.0)),
    (&[140], 5, 1, 3, None, Some(30.0)),
    (&[700, 4], 2, 1, 2, None, None),
    (&[600], 1, 1, 2, Some(90), Some(2.0)),
];

struct Problem {
    shape: AttentionShape<'static>,
    options: AttentionOptions,
    q: Vec<f64>,
    k: Vec<f64>,
    v: Vec<f64>,
    dout: Vec<f64>,
    slopes: Vec<f64>,
}

/// Each case without slopes and with a slope for each head, and what to call it.
fn problems(magnitude: f64) -> impl Iterator<Item = (String, Problem)> {
    let both = move |case| {
        [false, true].map(|sloped| (format!("{case:?} {sloped}"), Problem::new(case, magnitude, sloped)))
    };
    CASES.iter().flat_map(both)
}

impl Problem {
    fn new(
        &(lengths, heads, kv_heads, head_dim, window, soft_cap): &Case,
        magnitude: f64,
        sloped: bool,
    ) -> Self {
        let tokens: usize = lengths.iter().sum();
        let of = |seed, heads| scaled(numbers(seed, tokens * heads * head_dim), magnitude);
        Self {
            shape: AttentionShape { lengths, heads, kv_heads, head_dim },
            options: AttentionOptions { scale: 0.9, window, soft_cap },
            q: of(1, heads),
            k: of(2, kv_heads),
            v: of(3, kv_heads),
            dout: of(4, heads),
            slopes: (0..if sloped { heads } else { 0 }).map(|head| 0.5f64.powi(head as i32 + 1)).collect(),
        }
    }

    /// The formula, and the log-sum-exp.
    fn naive(&self, q: &[f64], k: &[f64], v: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let AttentionShape { lengths, heads, kv_heads, head_dim } = self.shape;
        let tokens: usize = lengths.iter().sum();
        let (mut out, mut lse) = (vec![0.0; q.len()], vec![0.0; heads * tokens]);
        let mut start = 0;
        for &length in lengths {
            for (head, token) in
                (0..heads).flat_map(|head| (start..start + length).map(move |token| (head, token)))
            {
                let row = |token, heads, head| {
                    let first: usize = (token * heads + head) * head_dim;
                    first..first + head_dim
                };
                let first =
                    self.options.window.map_or(start, |window| start.max((token + 1).saturating_sub(window)));
                let kv_head = head / (heads / kv_heads);
                let score = |key| {
                    let slope = self.slopes.get(head).copied().unwrap_or_default();
                    let score = self.options.scale
                        * dot(&q[row(token, heads, head)], &k[row(key, kv_heads, kv_head)])
                        - slope * (token - key) as f64;
                    self.options.soft_cap.map_or(score, |cap| cap * (score / cap).tanh())
                };
                let scores: Vec<f64> = (first..=token).map(score).collect();
                let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let total: f64 = scores.iter().map(|score| (score - highest).exp()).sum();
                lse[head * tokens + token] = highest + total.ln();
                for (key, score) in (first..).zip(&scores) {
                    for (i, v) in v[row(key, kv_heads, kv_head)].iter().enumerate() {
                        out[(token * heads + head) * head_dim + i] += (score - highest).exp() / total * v;
                    }
                }
            }
            start += length;
        }
        (out, lse)
    }

    /// The same numbers as `T` stores them.
    fn rounded<T: Element>(self) -> Self {
        let round = |x: &[f64]| widen(&narrow::<T>(x));
        Self { q: round(&self.q), k: round(&self.k), v: round(&self.v), dout: round(&self.dout), ..self }
    }

    fn forward<T: Element>(&self) -> (Vec<T>, Vec<T::Compute>) {
        let (q, k, v) = (narrow::<T>(&self.q), narrow::<T>(&self.k), narrow::<T>(&self.v));
        let (mut out, mut lse) = (zeros::<T>(q.len()), zeros::<T::Compute>(q.len() / self.shape.head_dim));
        let inputs = AttentionInputs { q: &q, k: &k, v: &v, slopes: &self.slopes };
        attention::forward(&inputs, &self.shape, &self.options, &mut out, &mut lse).unwrap();
        (out, lse)
    }

    fn gradients<T: Element>(&self) -> [Vec<f64>; 3] {
        let (q, k, v, dout) =
            (narrow::<T>(&self.q), narrow::<T>(&self.k), narrow::<T>(&self.v), narrow::<T>(&self.dout));
        let (out, lse) = self.forward::<T>();
        let (mut dq, mut dk, mut dv) = (zeros::<T>(q.len()), zeros::<T>(k.len()), zeros::<T>(v.len()));
        let inputs = AttentionInputs { q: &q, k: &k, v: &v, slopes: &self.slopes };
        let gradients = AttentionGradients { dq: &mut dq, dk: &mut dk, dv: &mut dv };
        attention::backward(&dout, &inputs, &out, &lse, &self.shape, &self.options, gradients).unwrap();
        [widen(&dq), widen(&dk), widen(&dv)]
    }
}

fn follows_the_formula<T: Element>(tolerance: f64) {
    for (case, problem) in problems(2.0) {
        let problem = problem.rounded::<T>();
        let (out, lse) = problem.forward::<T>();
        let (want_out, want_lse) = problem.naive(&problem.q, &problem.k, &problem.v);
        assert_close(&widen(&out), &want_out, tolerance, &format!("out of {case}"));
        assert_close(&widen(&lse), &want_lse, tolerance.min(1e-5), &format!("lse of {case}"));
    }
}

#[test]
fn forward_follows_the_formula_in_every_type() {
    follows_the_formula::<f64>(1e-13);
    follows_the_formula::<f32>(5e-6);
    follows_the_formula::<bf16>(4e-3);
    follows_the_formula::<f16>(5e-4);
}

#[test]
fn gradients_are_central_differences() {
    for (case, problem) in problems(1.0) {
        let [dq, dk, dv] = problem.gradients::<f64>();
        let Problem { q, k, v, dout, .. } = &problem;
        let loss = |q: &[f64], k: &[f64], v: &[f64]| dot(&problem.naive(q, k, v).0, dout);
        let (at_q, at_k) = (components(q.len(), 15), components(k.len(), 15));
        let want = differences(q, &at_q, |q| loss(q, k, v));
        assert_close(&pick(&dq, &at_q), &want, 1e-7, &format!("dq of {case}"));
        let want = differences(k, &at_k, |k| loss(q, k, v));
        assert_close(&pick(&dk, &at_k), &want, 1e-7, &format!("dk of {case}"));
        let want = differences(v, &at_k, |v| loss(q, k, v));
        assert_close(&pick(&dv, &at_k), &want, 1e-7, &format!("dv of {case}"));
    }
}

fn gradients_agree_with_f64<T: Element>(tolerance: f64) {
    for (case, problem) in problems(1.0) {
        let problem = problem.rounded::<T>();
        for (got, want) in problem.gradients::<T>().iter().zip(&problem.gradients::<f64>()) {
            assert_close(got, want, tolerance, &case);
        }
    }
}

#[test]
fn gradients_in_narrow_types_agree_with_f64() {
    gradients_agree_with_f64::<f32>(1e-5);
    gradients_agree_with_f64::<bf16>(2e-2);
    gradients_agree_with_f64::<f16>(2.5e-3);
}

#[test]
fn extreme_scores_choose_single_keys_and_stay_finite() {
    for (case, problem) in problems(300.0) {
        let problem = problem.rounded::<bf16>();
        let (out, lse) = problem.forward::<f64>();
        let (want_out, want_lse) = problem.naive(&problem.q, &problem.k, &problem.v);
        assert_close(&out, &want_out, 1e-8, &format!("out of {case}"));
        assert_close(&lse, &want_lse, 1e-12, &format!("lse of {case}"));
        let (out, lse) = problem.forward::<f32>();
        assert!(out.iter().chain(&lse).all(|x| x.is_finite()), "{case}");
        for gradients in [problem.gradients::<f64>(), problem.gradients::<f32>(), problem.gradients::<bf16>()]
        {
            assert!(gradients.iter().flatten().all(|x| x.is_finite()), "{case}");
        }
    }
}

#[test]
fn what_attention_is_not_defined_for_is_refused() {
    let refused_with = |heads, window, soft_cap, slopes: &[f64]| {
        let shape = AttentionShape { lengths: &[1], heads, kv_heads: 2, head_dim: 1 };
        let (q, k, mut out, mut lse) = (vec![0f32; heads], [0.0; 2], vec![0.0; heads], vec![0.0; heads]);
        let inputs = AttentionInputs { q: &q, k: &k, v: &k, slopes };
        let options = AttentionOptions { scale: 1.0, window, soft_cap };
        attention::forward(&inputs, &shape, &options, &mut out, &mut lse).unwrap_err().to_string()
    };
    let refused = |heads, window, soft_cap| refused_with(heads, window, soft_cap, &[]);
    assert!(refused_with(2, None, None, &[0.5]).ends_with("a slope for each head"));
    assert!(refused(3, None, None).ends_with("a multiple of the number of key-value heads"));
    assert!(refused(0, None, None).ends_with("at least one head of at least one component"));
    assert!(refused(2, Some(0), None).ends_with("a window of at least 1"));
    assert!(refused(2, None, Some(0.0)).ends_with("a soft cap above 0"));
}

#[test]
fn huge_sizes_without_tokens_do_not_overflow() {
    let shape = AttentionShape { lengths: &[0], heads: usize::MAX, kv_heads: 1, head_dim: usize::MAX };
    let options = AttentionOptions { scale: 1.0, window: None, soft_cap: None };
    let inputs = AttentionInputs { q: &[], k: &[], v: &[], slopes: &[] };
    attention::forward::<f32>(&inputs, &shape, &options, &mut [], &mut []).unwrap();
    let gradients = AttentionGradients { dq: &mut [], dk: &mut [], dv: &mut [] };
    attention::backward::<f32>(&[], &inputs, &[], &[], &shape, &options, gradients).unwrap();
}
