use half::{bf16, f16};
use swift_kernels::Element;
use swift_kernels::token_logps::{self, TokenLogpsGradients, TokenLogpsInputs, TokenStatistics};

use crate::support::{
    assert_close, components, differences, dot, narrow, numbers, pick, scaled, widen, zeros,
};

/// Tokens, vocabulary, width, bias: none, one of everything, odd ones, several chunks of tokens, several tiles.
const CASES: [(usize, usize, usize, bool); 6] = [
    (0, 3, 2, true),
    (1, 1, 1, false),
    (3, 5, 7, true),
    (4, 70, 9, false),
    (515, 6, 3, true),
    (6, 9000, 3, true),
];

struct Problem {
    width: usize,
    hidden: Vec<f64>,
    weight: Vec<f64>,
    bias: Option<Vec<f64>>,
    labels: Vec<i64>,
    dlogp: Vec<f64>,
    soft_cap: Option<f64>,
}

/// Without a cap, and with one that bends most logits.
const CAPS: [Option<f64>; 2] = [None, Some(1.5)];

/// Log-probabilities, entropies, mean logits and log-sum-exps.
struct Statistics {
    logps: Vec<f64>,
    entropies: Vec<f64>,
    mean_logits: Vec<f64>,
    log_sum_exp: Vec<f64>,
}

struct Outputs<T> {
    statistics: Statistics,
    predictions: Vec<i64>,
    direction: Vec<T>,
}

impl Problem {
    fn new<T: Element>(&(tokens, vocab, width, bias): &(usize, usize, usize, bool), magnitude: f64) -> Self {
        let round = |x: Vec<f64>| widen(&narrow::<T>(&scaled(x, magnitude)));
        Self {
            width,
            hidden: round(numbers(1, tokens * width)),
            weight: round(numbers(2, vocab * width)),
            bias: bias.then(|| round(numbers(3, vocab))),
            labels: (0..tokens).map(|i| ((i * 7919 + 11) % vocab) as i64).collect(),
            dlogp: numbers(4, tokens),
            soft_cap: None,
        }
    }

    fn capped(self, soft_cap: Option<f64>) -> Self {
        Self { soft_cap, ..self }
    }

    fn naive(&self, hidden: &[f64], weight: &[f64], bias: Option<&[f64]>) -> Statistics {
        let mut result =
            Statistics { logps: vec![], entropies: vec![], mean_logits: vec![], log_sum_exp: vec![] };
        for (hidden, &label) in hidden.chunks(self.width).zip(&self.labels) {
            let mut logits: Vec<f64> = weight.chunks(self.width).map(|weight| dot(hidden, weight)).collect();
            if let Some(bias) = bias {
                logits.iter_mut().zip(bias).for_each(|(logit, bias)| *logit += bias);
            }
            if let Some(cap) = self.soft_cap {
                logits.iter_mut().for_each(|logit| *logit = cap * (*logit / cap).tanh());
            }
            let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let lse = highest + logits.iter().map(|logit| (logit - highest).exp()).sum::<f64>().ln();
            result.logps.push(logits[label as usize] - lse);
            result
                .entropies
                .push(-logits.iter().map(|logit| (logit - lse).exp() * (logit - lse)).sum::<f64>());
            result.mean_logits.push(logits.iter().sum::<f64>() / logits.len() as f64);
            result.log_sum_exp.push(lse);
        }
        result
    }

    fn forward<T: Element>(&self) -> Outputs<T> {
        let (hidden, weight) = (narrow::<T>(&self.hidden), narrow::<T>(&self.weight));
        let bias = self.bias.as_ref().map(|bias| narrow::<T>(bias));
        let results = || zeros::<T::Compute>(self.labels.len());
        let (mut logps, mut entropies, mut mean_logits, mut log_sum_exp) =
            (results(), results(), results(), results());
        let (mut predictions, mut direction) = (vec![0; self.labels.len()], zeros::<T>(hidden.len()));
        let statistics = TokenStatistics {
            logps: &mut logps,
            predictions: &mut predictions,
            entropies: &mut entropies,
            mean_logits: &mut mean_logits,
            log_sum_exp: &mut log_sum_exp,
        };
        let inputs = TokenLogpsInputs {
            hidden: &hidden,
            weight: &weight,
            bias: bias.as_deref(),
            labels: &self.labels,
            width: self.width,
            soft_cap: self.soft_cap,
        };
        token_logps::forward(&inputs, statistics, Some(&mut direction)).unwrap();
        let statistics = Statistics {
            logps: widen(&logps),
            entropies: widen(&entropies),
            mean_logits: widen(&mean_logits),
            log_sum_exp: widen(&log_sum_exp),
        };
        Outputs { statistics, predictions, direction }
    }

    /// Gradients of hidden states, weight and bias.
    fn gradients<T: Element>(&self) -> [Vec<f64>; 3] {
        let (hidden, weight) = (narrow::<T>(&self.hidden), narrow::<T>(&self.weight));
        let bias = self.bias.as_ref().map(|bias| narrow::<T>(bias));
        let log_sum_exp = narrow::<T::Compute>(&self.forward::<T>().statistics.log_sum_exp);
        let inputs = TokenLogpsInputs {
            hidden: &hidden,
            weight: &weight,
            bias: bias.as_deref(),
            labels: &self.labels,
            width: self.width,
            soft_cap: self.soft_cap,
        };
        let (mut dhidden, mut dweight) = (zeros::<T>(hidden.len()), zeros::<T::Compute>(weight.len()));
        let mut dbias = zeros::<T::Compute>(weight.len() / self.width);
        let gradients = TokenLogpsGradients {
            dhidden: Some(&mut dhidden),
            dweight: Some(&mut dweight),
            dbias: Some(&mut dbias),
        };
        token_logps::backward(&narrow(&self.dlogp), &inputs, &log_sum_exp, gradients).unwrap();
        [widen(&dhidden), widen(&dweight), widen(&dbias)]
    }
}

fn follows_the_formula<T: Element>(tolerance: f64) {
    for case in &CASES {
        for (magnitude, cap) in [(1.0, None), (10.0, None), (1.0, Some(1.5)), (10.0, Some(4.0))] {
            let problem = Problem::new::<T>(case, magnitude).capped(cap);
            let got = problem.forward::<T>().statistics;
            let want = problem.naive(&problem.hidden, &problem.weight, problem.bias.as_deref());
            assert_close(&got.logps, &want.logps, tolerance, &format!("logps of {case:?}"));
            assert_close(
                &got.entropies,
                &want.entropies,
                10.0 * tolerance,
                &format!("entropies of {case:?}"),
            );
            assert_close(&got.mean_logits, &want.mean_logits, tolerance, &format!("mean logits of {case:?}"));
            assert_close(
                &got.log_sum_exp,
                &want.log_sum_exp,
                tolerance,
                &format!("log-sum-exps of {case:?}"),
            );
        }
    }
}

#[test]
fn statistics_follow_the_formulas_in_every_type() {
    follows_the_formula::<f64>(1e-12);
    follows_the_formula::<f32>(1e-5);
    follows_the_formula::<bf16>(1e-5);
    follows_the_formula::<f16>(1e-5);
}

#[test]
fn gradients_are_central_differences_and_the_direction_gives_that_of_the_hidden_states() {
    for (case, cap) in CASES.iter().flat_map(|case| CAPS.map(|cap| (case, cap))) {
        let problem = Problem::new::<f64>(case, 1.0).capped(cap);
        let [dhidden, dweight, dbias] = problem.gradients::<f64>();
        let Problem { hidden, weight, bias, dlogp, .. } = &problem;
        let loss = |h: &[f64], w: &[f64], b: Option<&[f64]>| dot(&problem.naive(h, w, b).logps, dlogp);
        let at = components(hidden.len(), 20);
        let want = differences(hidden, &at, |hidden| loss(hidden, weight, bias.as_deref()));
        assert_close(&pick(&dhidden, &at), &want, 1e-7, &format!("dhidden of {case:?}"));
        let at = components(weight.len(), 20);
        let want = differences(weight, &at, |weight| loss(hidden, weight, bias.as_deref()));
        assert_close(&pick(&dweight, &at), &want, 1e-7, &format!("dweight of {case:?}"));
        if let Some(bias) = bias {
            let at = components(bias.len(), 20);
            let want = differences(bias, &at, |bias| loss(hidden, weight, Some(bias)));
            assert_close(&pick(&dbias, &at), &want, 1e-7, &format!("dbias of {case:?}"));
        }
        let direction = problem.forward::<f64>().direction;
        let steps = direction
            .chunks(problem.width)
            .zip(dlogp)
            .flat_map(|(row, dlogp)| row.iter().map(move |x| x * dlogp));
        assert_close(&steps.collect::<Vec<_>>(), &dhidden, 1e-12, &format!("direction of {case:?}"));
    }
}

fn gradients_agree_with_f64<T: Element>(tolerance: f64) {
    for (case, cap) in CASES.iter().flat_map(|case| CAPS.map(|cap| (case, cap))) {
        let problem = Problem::new::<T>(case, 2.0).capped(cap);
        for (got, want) in problem.gradients::<T>().iter().zip(&problem.gradients::<f64>()) {
            assert_close(got, want, tolerance, &format!("{case:?}"));
        }
        let (got, want) = (problem.forward::<T>().direction, problem.forward::<f64>().direction);
        assert_close(&widen(&got), &want, tolerance, &format!("direction of {case:?}"));
    }
}

#[test]
fn gradients_in_narrow_types_agree_with_f64() {
    gradients_agree_with_f64::<f32>(1e-5);
    gradients_agree_with_f64::<bf16>(4e-3);
    gradients_agree_with_f64::<f16>(1e-3);
}

#[test]
fn predictions_are_the_first_of_the_greatest_logits_across_tiles() {
    let mut weight = vec![0.0; 5000];
    for (greatest, want) in
        [(vec![4999], 4999), (vec![4095, 4096], 4095), (vec![17, 18, 4500], 17), (vec![], 0)]
    {
        weight.fill(0.0);
        greatest.iter().for_each(|&i: &usize| weight[i] = 1.0);
        let problem = Problem {
            width: 1,
            hidden: vec![1.0],
            weight: weight.clone(),
            bias: None,
            labels: vec![3],
            dlogp: vec![1.0],
            soft_cap: None,
        };
        assert_eq!(problem.forward::<f32>().predictions, [want]);
    }
}

#[test]
fn extreme_and_forbidden_logits_give_finite_statistics() {
    for bias in [vec![300.0, -300.0, 0.0], vec![f64::NEG_INFINITY, 1.0, 2.0], vec![-300.0; 3]] {
        let problem = Problem {
            width: 1,
            hidden: vec![0.0],
            weight: vec![0.0; 3],
            bias: Some(bias),
            labels: vec![2],
            dlogp: vec![1.0],
            soft_cap: None,
        };
        let got = problem.forward::<f32>().statistics;
        assert!(got.logps[0].is_finite() && got.entropies[0].is_finite() && got.log_sum_exp[0].is_finite());
        assert!(problem.gradients::<f32>().iter().flatten().all(|x| x.is_finite()));
    }
}

#[test]
fn labels_outside_the_vocabulary_are_refused() {
    for label in [3, -100] {
        let labels = [label];
        let inputs = TokenLogpsInputs {
            hidden: &[0f32],
            weight: &[0.0; 3],
            bias: None,
            labels: &labels,
            width: 1,
            soft_cap: None,
        };
        let gradients = TokenLogpsGradients { dhidden: None, dweight: None, dbias: None };
        let error = token_logps::backward(&[1.0], &inputs, &[0.0], gradients).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("Index {label} in `labels` of `token_logps backward` is not in 0..3")
        );
    }
}
