use swift_infer::{BeamOptions, EarlyStopping, EngineOptions, Finish, Stop};

use crate::support::{END, Form, VOCABULARY, engine, logits, request, run};

fn logprobs(tokens: &[u32]) -> Vec<f64> {
    let logits = logits(tokens, None);
    let total: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
    logits.iter().map(|logit| f64::from(*logit) - total.ln()).collect()
}

fn thorough(width: u32) -> BeamOptions {
    BeamOptions { width, length_penalty: 0.0, early_stopping: EarlyStopping::Never }
}

#[test]
fn with_a_beam_for_each_token_the_most_probable_answers_of_two_tokens_are_found() {
    let prompt = [3, 1, 4];
    let first = logprobs(&prompt);
    let mut all = vec![(first[END as usize], vec![END])];
    for token in 0..END {
        let second = logprobs(&[&prompt[..], &[token]].concat());
        let both = (0..VOCABULARY as u32)
            .map(|next| (first[token as usize] + second[next as usize], vec![token, next]));
        all.extend(both);
    }
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    let expected: Vec<Vec<u32>> = all.into_iter().take(97).map(|(_, tokens)| tokens).collect();

    let mut engine = engine(400, 4, EngineOptions::default());
    let (mut request, answer) = request(&prompt, 2);
    (request.n, request.beams) = (97, Some(thorough(97)));
    engine.submit(request).unwrap();
    run(&mut engine);
    let answer = answer.lock().unwrap();
    assert_eq!((0..97).map(|choice| answer.tokens(choice)).collect::<Vec<_>>(), expected);
}

/// Answers to the same request, with so many blocks and so many tokens of a step, beside others.
fn found(blocks: usize, max_batch_tokens: usize, others: usize) -> (Vec<Vec<u32>>, u64) {
    let options = EngineOptions { max_batch_tokens, max_sequences: 6, ..EngineOptions::default() };
    let mut engine = engine(blocks, 4, options);
    let mut plain = Vec::new();
    for other in 0..others {
        let (request, answer) = request(&[other as u32 + 7; 9], 12);
        engine.submit(request).unwrap();
        plain.push((other, answer));
    }
    let (mut request, answer) = request(&[4; 10], 12);
    (request.n, request.beams) = (4, Some(thorough(4)));
    engine.submit(request).unwrap();
    run(&mut engine);
    let statistics = engine.statistics();
    assert_eq!((statistics.free_blocks, statistics.finished_requests), (blocks, others as u64 + 1));
    for (other, answer) in plain {
        assert_eq!(
            answer.lock().unwrap().tokens(0),
            crate::support::greedy(&[other as u32 + 7; 9], 12, None)
        );
    }
    let answer = answer.lock().unwrap();
    ((0..4).map(|choice| answer.tokens(choice)).collect(), statistics.preemptions)
}

#[test]
fn beams_do_not_depend_on_what_else_is_computed_or_on_blocks_running_out() {
    let (alone, preemptions) = found(100, 2048, 0);
    assert_eq!(preemptions, 0);
    assert!(alone.iter().all(|tokens| !tokens.is_empty()));
    for (blocks, max_batch_tokens, others) in
        [(100, 1, 0), (100, 3, 5), (6, 2048, 0), (6, 5, 4), (9, 2048, 7)]
    {
        let (answers, preemptions) = found(blocks, max_batch_tokens, others);
        assert_eq!(answers, alone, "{blocks} {max_batch_tokens} {others}");
        assert_eq!(preemptions > 0, blocks < 100);
    }
}

#[test]
fn one_beam_is_the_greedy_answer_and_is_given_out_whole() {
    let mut engine = engine(100, 4, EngineOptions::default());
    let (mut request, answer) = request(&[5, 6], 9);
    (request.beams, request.logprobs, request.prompt_logprobs) = (Some(thorough(1)), Some(3), Some(0));
    engine.submit(request).unwrap();
    run(&mut engine);
    let answer = answer.lock().unwrap();
    let [whole] = answer.parts.as_slice() else { panic!("{:?}", answer.parts) };
    assert_eq!(whole.tokens, crate::support::greedy(&[5, 6], 9, None));
    assert_eq!((whole.logprobs.len(), whole.prompt_logprobs.len()), (9, 1));
    let mut seen = vec![5, 6];
    for given in &whole.logprobs {
        assert!((f64::from(given.logprob) - logprobs(&seen)[given.token as usize]).abs() < 1e-5);
        seen.push(given.token);
    }
}

#[test]
fn a_cancelled_and_a_failed_search_end_each_answer_once_and_give_all_blocks_back() {
    for fails in [true, false] {
        let mut engine = engine(100, 4, EngineOptions::default());
        engine.backend().fails_at = fails.then_some(5);
        let (mut request, answer) = request(&[4; 10], 12);
        (request.n, request.beams) = (2, Some(thorough(5)));
        let id = engine.submit(request).unwrap();
        (0..4).for_each(|_| engine.step());
        match fails {
            true => run(&mut engine),
            false => engine.cancel(id),
        }
        let answer = answer.lock().unwrap();
        assert_eq!(answer.parts.iter().map(|part| part.choice).collect::<Vec<_>>(), [0, 1]);
        assert!(answer.parts.iter().all(|part| match &part.finish {
            Some(Finish::Cancelled) => !fails,
            Some(Finish::Failed(_)) => fails,
            _ => false,
        }));
        assert_eq!((engine.statistics().free_blocks, engine.is_idle()), (100, true));
    }
}

#[test]
fn each_beam_keeps_to_the_form_of_answers_with_a_state_of_its_own() {
    let answers = |n, width| {
        let mut engine = engine(100, 4, EngineOptions::default());
        let (mut request, answer) = request(&[8, 9], 20);
        (request.n, request.beams) = (n, Some(thorough(width)));
        request.processors.push(Box::new(Form::of(3)));
        engine.submit(request).unwrap();
        run(&mut engine);
        let answer = answer.lock().unwrap();
        answer.clone()
    };
    let all = answers(8, 8);
    let mut tokens: Vec<Vec<u32>> = (0..8).map(|choice| all.tokens(choice)).collect();
    assert!((0..8).all(|choice| all.finish(choice) == Some(Finish::Stop(Stop::EndOfSequence))));
    tokens.sort();
    let expected: Vec<Vec<u32>> =
        (0..8).map(|bits| vec![bits >> 2 & 1, 2 + (bits >> 1 & 1), 4 + (bits & 1)]).collect();
    assert_eq!(tokens, expected);
    let Some(Finish::Failed(error)) = answers(9, 9).finish(0) else { panic!() };
    assert_eq!(error.to_string(), "Only 8 different answers are possible, but 9 were asked for");
}

#[test]
fn beams_that_make_no_sense_are_refused() {
    let mut engine = engine(100, 4, EngineOptions::default());
    let mut message = |change: &dyn Fn(&mut swift_infer::Request)| {
        let (mut request, _) = request(&[1], 5);
        request.beams = Some(BeamOptions::new(4));
        change(&mut request);
        engine.submit(request).unwrap_err().to_string()
    };
    assert_eq!(message(&|request| request.n = 5), "`num_beams` must be from `n` to 128");
    assert_eq!(message(&|request| request.best_of = Some(2)), "`best_of` cannot be used with beam search");
    assert_eq!(
        message(&|request| request.stop.strings = vec!["x".into()]),
        "`stop` cannot be a text in beam search"
    );
    let penalty = |request: &mut swift_infer::Request| {
        request.beams = Some(BeamOptions { length_penalty: f64::NAN, ..BeamOptions::new(4) });
    };
    assert_eq!(message(&penalty), "`length_penalty` must be from -10 to 10");
}
