use super::*;

const LOGITS: [f32; 6] = [1.0, 3.0, 2.0, -1.0, 3.0, 0.0];

fn take(options: SamplingOptions, uniform: f64) -> Option<u32> {
    choose(&LOGITS, &options, uniform)
}

/// The tokens that are possible at all.
fn possible(options: &SamplingOptions) -> Vec<u32> {
    let mut ids: Vec<u32> =
        (0..1000).filter_map(|step| take(options.clone(), f64::from(step) / 1000.0)).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

#[test]
fn temperature_zero_takes_the_first_of_the_most_probable() {
    let options = SamplingOptions { temperature: 0.0, ..Default::default() };
    assert_eq!(take(options, 0.99), Some(1));
}

#[test]
fn filters_leave_what_their_definition_says() {
    let plain = SamplingOptions::default();
    assert_eq!(possible(&plain), [0, 1, 2, 3, 4, 5]);
    assert_eq!(possible(&SamplingOptions { top_k: Some(1), ..plain.clone() }), [1]);
    assert_eq!(possible(&SamplingOptions { top_k: Some(3), ..plain.clone() }), [1, 2, 4]);
    assert_eq!(possible(&SamplingOptions { min_p: 0.3, ..plain.clone() }), [1, 2, 4]);
    // Probabilities are 0.053, 0.394, 0.145, 0.007, 0.394, 0.020... of a total of exp: 1 and 4 have 0.76 together.
    let total: f64 = LOGITS.iter().map(|logit| f64::from(*logit).exp()).sum();
    let two = 2.0 * 3f64.exp() / total;
    assert_eq!(possible(&SamplingOptions { top_p: two - 1e-6, ..plain.clone() }), [1, 4]);
    assert_eq!(possible(&SamplingOptions { top_p: two + 1e-6, ..plain.clone() }), [1, 2, 4]);
    assert_eq!(possible(&SamplingOptions { top_p: 1e-9, ..plain }), [1]);
}

#[test]
fn tokens_come_as_often_as_they_are_probable() {
    let options = SamplingOptions { temperature: 0.7, ..Default::default() };
    let weights = LOGITS.map(|logit| (f64::from(logit) / 0.7).exp());
    let total: f64 = weights.iter().sum();
    let draws = 20_000;
    let mut counts = [0u32; 6];
    for position in 0..draws {
        counts[take(options.clone(), uniform(7, 0, position)).unwrap() as usize] += 1;
    }
    // Chi-squared with five degrees of freedom is below 20.5 with a probability of 0.999.
    let chi: f64 = counts
        .iter()
        .zip(weights)
        .map(|(count, weight)| {
            let expected = weight / total * draws as f64;
            (f64::from(*count) - expected).powi(2) / expected
        })
        .sum();
    assert!(chi < 20.5, "{counts:?} {chi}");
}

/// Logits of a large vocabulary, many of them the same.
fn many() -> Vec<f32> {
    (0..50_000).map(|place| (uniform(5, 0, place) * 400.0).floor() as f32 / 100.0).collect()
}

#[test]
fn the_best_of_many_are_those_of_a_full_sort() {
    let mut rising = many();
    rising.sort_unstable_by(f32::total_cmp);
    for logits in [many(), rising, vec![f32::NEG_INFINITY; 500]] {
        let mut sorted: Vec<(u32, f32)> = (0..).zip(logits.iter().copied()).collect();
        sorted.sort_by(|a, b| b.1.total_cmp(&a.1));
        for count in [0, 1, 20, 700, 49_999, 50_000, 60_000] {
            assert_eq!(most_probable(&logits, count), sorted[..count.min(sorted.len())]);
        }
    }
}

#[test]
fn a_nucleus_of_many_has_the_probability_and_no_token_more() {
    let logits = many();
    let mut sorted: Vec<f64> = logits.iter().map(|logit| f64::from(*logit).exp()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let total: f64 = sorted.iter().sum();
    for top_p in [0.001, 0.1, 0.9] {
        let mut sum = 0.0;
        let count =
            1 + sorted.iter().rev().take_while(|weight| (sum += **weight, sum < top_p * total).1).count();
        let options = SamplingOptions { top_p, ..Default::default() };
        let drawn = (0..200).map(|position| choose(&logits, &options, uniform(9, 0, position)).unwrap());
        let best: Vec<u32> = most_probable(&logits, count).into_iter().map(|(id, _)| id).collect();
        assert!(drawn.into_iter().all(|id| best.contains(&id)));
        // The last of the nucleus is what comes when the number is next to 1.
        let last = choose(&logits, &options, 1.0 - 1e-12).unwrap();
        assert_eq!(best.iter().position(|id| *id == last), Some(count - 1), "{top_p}");
    }
}

#[test]
fn penalties_follow_their_formulas() {
    let options = SamplingOptions {
        repetition_penalty: 2.0,
        presence_penalty: 0.5,
        frequency_penalty: 0.25,
        logit_bias: vec![(5, 10.0)],
        ..Default::default()
    };
    let mut logits = LOGITS;
    adjust(&mut logits, &options, [4].into_iter(), &[0, 3], &[1, 1]);
    assert_eq!(logits, [0.5, 1.5 - 1.0, 2.0, -2.0, f32::NEG_INFINITY, 10.0]);
}

#[test]
fn only_allowed_tokens_are_left() {
    let options = SamplingOptions {
        allowed_token_ids: Some(vec![5, 2]),
        logit_bias: vec![(1, 100.0), (2, 1.0)],
        ..Default::default()
    };
    let mut logits = LOGITS;
    adjust(&mut logits, &options, [].into_iter(), &[], &[]);
    let none = f32::NEG_INFINITY;
    assert_eq!(logits, [none, none, 3.0, none, none, 0.0]);
}

#[test]
fn nothing_is_taken_where_nothing_is_possible() {
    let none = [f32::NEG_INFINITY, f32::NAN];
    for temperature in [0.0, 1.0] {
        let options = SamplingOptions { temperature, ..Default::default() };
        assert_eq!(choose(&none, &options, 0.5), None);
        let some = [f32::NAN, f32::INFINITY, 0.0, f32::NAN];
        for options in [options.clone(), SamplingOptions { top_k: Some(1), top_p: 0.5, ..options }] {
            assert_eq!(choose(&some, &options, 0.5), Some(1));
        }
    }
}

#[test]
fn logprobs_are_those_of_the_softmax() {
    let total: f64 = LOGITS.iter().map(|logit| f64::from(*logit).exp()).sum();
    let logprobs = token_logprobs(&LOGITS, 2, 3);
    assert_eq!((logprobs.token, logprobs.rank), (2, 3));
    assert!((f64::from(logprobs.logprob) - (2.0 - total.ln())).abs() < 1e-6);
    assert_eq!(logprobs.top.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 4, 2]);
    assert!(token_logprobs(&LOGITS, 0, 0).top.is_empty());
}

#[test]
fn random_numbers_are_spread_evenly() {
    let numbers: Vec<f64> = (0..10_000).map(|position| uniform(3, 1, position)).collect();
    assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
    let mean = numbers.iter().sum::<f64>() / 1e4;
    assert!((mean - 0.5).abs() < 0.01, "{mean}");
    assert_ne!(uniform(3, 1, 0), uniform(3, 2, 0));
    assert_ne!(uniform(3, 1, 0), uniform(4, 1, 0));
}
