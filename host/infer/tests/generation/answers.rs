use std::sync::{Arc, Mutex};

use swift_infer::{EngineOptions, Error, Finish, LogitsProcessor, Progress, Stop};

use crate::support::{END, engine, greedy, logits, request, run};

fn log_softmax(logits: &[f32], id: u32) -> f64 {
    let total: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
    f64::from(logits[id as usize]) - total.ln()
}

#[test]
fn the_same_seed_gives_the_same_answers_and_different_ones_for_each_choice() {
    let answers = |seed, blocks| {
        let mut engine = engine(blocks, 4, EngineOptions::default());
        let (mut request, answer) = request(&[4; 10], 12);
        request.sampling.temperature = 1.0;
        request.sampling.seed = Some(seed);
        request.stop.ignore_eos = true;
        request.n = 4;
        engine.submit(request).unwrap();
        run(&mut engine);
        assert_eq!(engine.statistics().free_blocks, blocks);
        let answer = answer.lock().unwrap();
        (0..4).map(|choice| answer.tokens(choice)).collect::<Vec<_>>()
    };
    let first = answers(1, 100);
    assert!(first.iter().all(|tokens| tokens.len() == 12));
    assert_eq!(first, answers(1, 100));
    // Four answers need up to 24 blocks, of which they share two: some are computed again here.
    assert_eq!(first, answers(1, 12));
    assert_ne!(first, answers(2, 100));
    assert!((1..4).all(|choice| first[choice] != first[0]));
}

#[test]
fn the_best_of_several_answers_have_the_greatest_mean_logprob() {
    let mut engine = engine(100, 4, EngineOptions::default());
    let submit = |engine: &mut swift_infer::Engine<_>, n, best_of| {
        let (mut request, answer) = request(&[7, 8, 9], 6);
        request.sampling.temperature = 1.5;
        request.sampling.seed = Some(3);
        (request.n, request.best_of, request.logprobs) = (n, best_of, Some(0));
        engine.submit(request).unwrap();
        run(engine);
        let answer = answer.lock().unwrap();
        (0..n).map(|choice| answer.tokens(choice)).collect::<Vec<_>>()
    };
    let mut all = submit(&mut engine, 6, None);
    let mean = |tokens: &[u32]| {
        let mut seen = vec![7, 8, 9];
        let each = tokens.iter().map(|token| {
            let logprob = log_softmax(&logits(&seen, None), *token);
            seen.push(*token);
            logprob
        });
        each.sum::<f64>() / tokens.len() as f64
    };
    all.sort_by(|a, b| mean(b).total_cmp(&mean(a)));
    assert_eq!(submit(&mut engine, 2, Some(6)), all[..2]);
}

#[test]
fn logprobs_of_prompt_and_answer_are_those_of_the_model() {
    for max_batch_tokens in [1, 3, 100] {
        let mut engine = engine(100, 4, EngineOptions { max_batch_tokens, ..Default::default() });
        let prompt: Vec<u32> = (0..13).collect();
        // The second time the prompt is in the cache, which must not matter.
        for _ in 0..2 {
            let (mut request, answer) = request(&prompt, 3);
            (request.prompt_logprobs, request.logprobs) = (Some(2), Some(5));
            engine.submit(request).unwrap();
            run(&mut engine);
            let answer = answer.lock().unwrap();
            let given =
                answer.parts.iter().flat_map(|part| part.prompt_logprobs.iter().chain(&part.logprobs));
            let tokens = [prompt.clone(), answer.tokens(0)].concat();
            let mut count = 0;
            for (at, logprobs) in (1..).zip(given) {
                let logits = logits(&tokens[..at], None);
                assert_eq!(logprobs.token, tokens[at]);
                assert!((f64::from(logprobs.logprob) - log_softmax(&logits, tokens[at])).abs() < 1e-5);
                assert_eq!(logprobs.top.len(), if at < 13 { 2 } else { 5 });
                count += 1;
            }
            assert_eq!(count, 12 + 3);
        }
    }
}

#[test]
fn a_request_for_no_tokens_only_reads_its_prompt() {
    let mut engine = engine(10, 4, EngineOptions::default());
    let (mut request, answer) = request(&[1, 2, 3], 0);
    request.prompt_logprobs = Some(0);
    engine.submit(request).unwrap();
    run(&mut engine);
    let answer = answer.lock().unwrap();
    assert_eq!((answer.tokens(0).len(), answer.finish(0)), (0, Some(Finish::Length)));
    assert_eq!(answer.parts[0].prompt_logprobs.len(), 2);
}

#[test]
fn answers_end_where_they_are_told_to() {
    let prompt = [11, 12];
    let whole = greedy(&prompt, 40, None);
    let mut engine = engine(100, 4, EngineOptions::default());
    let mut answer = |change: &dyn Fn(&mut swift_infer::Request)| {
        let (mut request, answer) = request(&prompt, 40);
        change(&mut request);
        engine.submit(request).unwrap();
        run(&mut engine);
        let answer = answer.lock().unwrap();
        (answer.tokens(0), answer.finish(0).unwrap())
    };
    let third = whole[2];
    let at = whole.iter().position(|token| *token == third).unwrap();
    let (tokens, finish) = answer(&|request| request.stop.token_ids = vec![third]);
    assert_eq!((tokens.as_slice(), finish), (&whole[..=at], Finish::Stop(Stop::Token(third))));
    let (tokens, _) = answer(&|request| {
        request.stop.token_ids = vec![third];
        request.stop.min_tokens = 5;
    });
    assert!(tokens.len() >= 5 && !tokens[..4].contains(&third), "{tokens:?}");
    let (tokens, finish) = answer(&|request| {
        request.stop.ignore_eos = true;
        request.sampling.logit_bias = vec![(END, 100.0)];
    });
    assert_eq!((tokens, finish), (vec![END; 40], Finish::Length));
    let (tokens, finish) = answer(&|request| request.sampling.logit_bias = vec![(END, 100.0)]);
    assert_eq!((tokens, finish), (vec![END], Finish::Stop(Stop::EndOfSequence)));
}

/// Allows one token only, another one each time.
struct Counting;

impl LogitsProcessor for Counting {
    fn process(&mut self, progress: &Progress<'_>, logits: &mut [f32]) -> Result<(), Error> {
        let step = progress.generated.len();
        if step == 5 {
            return Err(Error::Form("five is enough".into()));
        }
        logits.fill(f32::NEG_INFINITY);
        logits[step] = 0.0;
        Ok(())
    }

    fn fork(&self) -> Box<dyn LogitsProcessor> {
        Box::new(Self)
    }
}

#[test]
fn a_processor_that_fails_ends_its_own_request_only() {
    let mut engine = engine(100, 4, EngineOptions::default());
    let (mut bad, bad_answer) = request(&[1, 2, 3], 20);
    bad.processors.push(Box::new(Counting));
    let (good, good_answer) = request(&[1, 2, 3], 20);
    engine.submit(bad).unwrap();
    engine.submit(good).unwrap();
    run(&mut engine);
    let (bad, good) = (bad_answer.lock().unwrap(), good_answer.lock().unwrap());
    assert_eq!(bad.tokens(0), [0, 1, 2, 3, 4]);
    let Some(Finish::Failed(error)) = bad.finish(0) else { panic!("{bad:?}") };
    assert_eq!(error.to_string(), "The answer can't be kept in its form: five is enough");
    assert_eq!(good.tokens(0), greedy(&[1, 2, 3], 20, None));
    assert_eq!(engine.statistics().free_blocks, 100);
}

#[test]
fn whoever_does_not_listen_any_more_is_not_answered() {
    let mut engine = engine(100, 4, EngineOptions::default());
    let count = Arc::new(Mutex::new(0));
    let kept = count.clone();
    let mut request = swift_infer::Request::new(vec![1; 9], move |_| {
        *kept.lock().unwrap() += 1;
        *kept.lock().unwrap() < 3
    });
    request.n = 2;
    request.stop.max_tokens = Some(50);
    engine.submit(request).unwrap();
    run(&mut engine);
    let statistics = engine.statistics();
    assert_eq!((statistics.free_blocks, statistics.finished_requests), (100, 1));
    assert!(statistics.generated_tokens < 6 && *count.lock().unwrap() < 6);
}

#[test]
fn requests_are_taken_together_or_not_at_all() {
    let mut engine = engine(100, 4, EngineOptions { max_waiting: 2, ..Default::default() });
    let of = |first| request(&[first; 6], 3).0;
    assert!(matches!(engine.submit_all(vec![of(1), of(2), of(3)]), Err(Error::QueueFull(2))));
    assert!(engine.is_idle());
    engine.submit_all(vec![of(1), of(2)]).unwrap();
    engine.step();
    let statistics = engine.statistics();
    assert_eq!((statistics.running, statistics.waiting), (2, 0));
}

#[test]
fn a_cancelled_request_gives_everything_back() {
    let mut engine = engine(100, 4, EngineOptions::default());
    let (mut first, answer) = request(&[1; 30], 50);
    first.n = 3;
    first.stop.ignore_eos = true;
    let id = engine.submit(first).unwrap();
    let (waiting, _) = request(&[2; 30], 50);
    let waiting = engine.submit(waiting).unwrap();
    engine.cancel(waiting);
    (0..5).for_each(|_| engine.step());
    engine.cancel(id);
    engine.cancel(id);
    assert!(engine.is_idle());
    assert_eq!(engine.statistics().free_blocks, 100);
    assert_eq!(
        (0..3).filter(|choice| answer.lock().unwrap().finish(*choice) == Some(Finish::Cancelled)).count(),
        3
    );
}

#[test]
fn an_adapter_that_is_taken_away_ends_its_own_requests_only() {
    let mut engine = engine(100, 4, EngineOptions::default());
    let (mut with, ended) = request(&[1; 20], 30);
    with.adapter = Some("a".into());
    let (without, answer) = request(&[1; 20], 30);
    engine.submit(with).unwrap();
    engine.submit(without).unwrap();
    (0..3).for_each(|_| engine.step());
    engine.unload_adapter("a").unwrap();
    run(&mut engine);
    assert!(matches!(ended.lock().unwrap().finish(0), Some(Finish::Failed(_))));
    assert_eq!(answer.lock().unwrap().tokens(0), greedy(&[1; 20], 30, None));
    assert_eq!(engine.statistics().free_blocks, 100);
    // What another adapter of the same name would find is gone.
    engine.backend().adapters.push("a".into());
    let (mut again, _) = request(&[1; 20], 1);
    again.adapter = Some("a".into());
    let found = engine.statistics().cached_tokens;
    engine.submit(again).unwrap();
    run(&mut engine);
    assert_eq!(engine.statistics().cached_tokens, found);
}
