use swift_infer::{EngineOptions, Finish};

use crate::support::{END, Form, Shared, engine, greedy, prompts, request, run};

/// All prompts at once through an engine of this kind; gives its statistics.
fn all_answers_are_right(
    blocks: usize,
    block_size: usize,
    options: &EngineOptions,
) -> swift_infer::Statistics {
    let mut engine = engine(blocks, block_size, options.clone());
    let adapters = [None, Some("a"), None, Some("b")];
    let submitted: Vec<_> = prompts()
        .into_iter()
        .enumerate()
        .map(|(i, prompt)| {
            let (mut request, answer) = request(&prompt, 3 + i % 17);
            request.adapter = adapters[i % 4].map(str::to_owned);
            engine.submit(request).unwrap();
            (prompt, 3 + i % 17, adapters[i % 4], answer)
        })
        .collect();
    run(&mut engine);
    for (prompt, most, adapter, answer) in submitted {
        let answer = answer.lock().unwrap();
        let expected = greedy(&prompt, most, adapter);
        assert_eq!(answer.tokens(0), expected, "{prompt:?} {blocks} {block_size} {options:?}");
        let ended = matches!(answer.finish(0), Some(Finish::Stop(_)));
        assert_eq!(ended, expected.last() == Some(&END));
    }
    let statistics = engine.statistics();
    assert_eq!(statistics.free_blocks, statistics.total_blocks, "a block was lost");
    statistics
}

#[test]
fn answers_do_not_depend_on_how_prompts_are_cut() {
    for max_batch_tokens in (1..12).chain([16, 31, 64, 4096]) {
        let options = EngineOptions { max_batch_tokens, ..Default::default() };
        assert_eq!(all_answers_are_right(200, 4, &options).preemptions, 0);
    }
}

#[test]
fn answers_do_not_depend_on_how_many_run_at_once() {
    for max_sequences in [1, 2, 3, 7, 100] {
        let options = EngineOptions { max_sequences, ..Default::default() };
        all_answers_are_right(200, 16, &options);
    }
}

#[test]
fn answers_do_not_depend_on_the_size_of_blocks() {
    for block_size in [1, 2, 3, 5, 8, 64] {
        all_answers_are_right(1200 / block_size, block_size, &EngineOptions::default());
    }
}

#[test]
fn sequences_that_had_to_give_way_answer_the_same() {
    // The longest sequence needs 17 blocks.
    for blocks in 17..30 {
        for prefix_caching in [false, true] {
            let options = EngineOptions { prefix_caching, max_batch_tokens: 50, ..Default::default() };
            let statistics = all_answers_are_right(blocks, 4, &options);
            assert!(statistics.preemptions > 0 || blocks > 20, "{statistics:?}");
        }
    }
}

#[test]
fn equal_beginnings_are_computed_once() {
    let one_by_one = EngineOptions { max_sequences: 1, ..Default::default() };
    let with = all_answers_are_right(500, 8, &one_by_one);
    // Nine prompts begin with the same forty tokens, which three adapters see differently.
    assert!(with.cached_tokens >= 5 * 32, "{with:?}");
    let without = all_answers_are_right(500, 8, &EngineOptions { prefix_caching: false, ..one_by_one });
    assert_eq!(without.cached_tokens, 0);
}

#[test]
fn reading_a_long_prompt_does_not_hold_up_answers() {
    let mut engine = engine(100, 16, EngineOptions { max_batch_tokens: 8, ..Default::default() });
    let (short, answer) = request(&[1, 2], 20);
    engine.submit(short).unwrap();
    engine.step();
    let (long, _) = request(&[3; 400], 1);
    engine.submit(long).unwrap();
    for step in 1..10 {
        assert_eq!(answer.lock().unwrap().tokens(0).len(), step);
        engine.step();
    }
    let sizes = engine.backend().step_sizes.lock().unwrap().clone();
    assert_eq!(&sizes[..4], [2, 8, 8, 8]);
}

#[test]
fn forms_of_answers_hold_when_blocks_run_out() {
    let answers = |blocks| {
        let mut engine = engine(blocks, 4, EngineOptions::default());
        let submit = |seed| {
            let (mut request, answer) = request(&[seed; 10], 40);
            (request.sampling.temperature, request.sampling.seed) = (1.0, Some(7));
            (request.n, request.stop.ignore_eos) = (2, true);
            request.processors.push(Box::new(Form::of(20)));
            engine.submit(request).unwrap();
            answer
        };
        let answers: Vec<_> = (0..5).map(submit).collect();
        run(&mut engine);
        let tokens = |answer: Shared| [0, 1].map(|choice| answer.lock().unwrap().tokens(choice));
        (answers.into_iter().map(tokens).collect::<Vec<_>>(), engine.statistics().preemptions)
    };
    let (plenty, none) = answers(100);
    let (scarce, preemptions) = answers(20);
    assert!(none == 0 && preemptions > 0);
    assert_eq!(plenty, scarce);
    let fits =
        |tokens: &Vec<u32>| tokens.len() == 20 && (0..20).zip(tokens).all(|(place, id)| id / 2 == place);
    assert!(plenty.iter().flatten().all(fits), "{plenty:?}");
}
