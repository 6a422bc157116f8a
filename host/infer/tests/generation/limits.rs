use swift_infer::{Engine, EngineOptions, Finish, Request, Worker};

use crate::support::{Hashes, engine, greedy, request, run};

#[test]
fn options_out_of_their_range_are_refused_by_name() {
    let mut engine = engine(10, 4, EngineOptions::default());
    let mut message = |change: &dyn Fn(&mut Request)| {
        let (mut request, _) = request(&[1], 5);
        change(&mut request);
        engine.submit(request).unwrap_err().to_string()
    };
    assert_eq!(message(&|r| r.prompt.clear()), "`prompt` must have at least one token");
    assert_eq!(message(&|r| r.prompt = vec![97]), "`prompt` has a token that the model does not know");
    assert_eq!(message(&|r| r.sampling.temperature = -0.1), "`temperature` must be from 0 to 100");
    assert_eq!(message(&|r| r.sampling.temperature = f64::NAN), "`temperature` must be from 0 to 100");
    assert_eq!(message(&|r| r.sampling.top_p = 0.0), "`top_p` must be above 0 and at most 1");
    assert_eq!(message(&|r| r.sampling.top_k = Some(0)), "`top_k` must be at least 1");
    assert_eq!(message(&|r| r.sampling.min_p = 1.5), "`min_p` must be from 0 to 1");
    assert_eq!(
        message(&|r| r.sampling.logit_bias = vec![(97, 0.0)]),
        "`logit_bias` names a token that the model does not know"
    );
    assert_eq!(message(&|r| r.stop.min_tokens = 6), "`min_tokens` must be at most `max_tokens`");
    assert_eq!(message(&|r| r.n = 0), "`n` must be from 1 to 128");
    assert_eq!(message(&|r| (r.n, r.best_of) = (3, Some(2))), "`best_of` must be from `n` to 128");
    assert_eq!(message(&|r| r.logprobs = Some(129)), "`logprobs` must be at most 128");
    assert_eq!(message(&|r| r.adapter = Some("c".into())), "There is no adapter `c`");
    let long = message(&|r| r.prompt = vec![1; 40]);
    assert_eq!(long, "The prompt has 40 tokens, but the model's context has room for 40");
}

#[test]
fn an_answer_ends_where_the_context_ends() {
    let mut engine = engine(10, 4, EngineOptions { context_length: 15, ..Default::default() });
    let (mut request, answer) = request(&[1, 2, 3], 100);
    request.stop.ignore_eos = true;
    engine.submit(request).unwrap();
    run(&mut engine);
    let answer = answer.lock().unwrap();
    assert_eq!((answer.tokens(0).len(), answer.finish(0)), (12, Some(Finish::Length)));
}

#[test]
fn a_full_queue_refuses_more() {
    let mut engine = engine(10, 4, EngineOptions { max_waiting: 2, ..Default::default() });
    let mut submit = || engine.submit(request(&[1], 1).0);
    assert!(submit().is_ok() && submit().is_ok());
    assert_eq!(submit().unwrap_err().to_string(), "The queue is full: 2 requests wait");
}

#[test]
fn a_failing_step_ends_its_requests_and_nothing_else() {
    let mut backend = Hashes::new(50, 4);
    backend.fails_at = Some(2);
    let mut engine = Engine::new(backend, None, vec![], EngineOptions::default());
    let (first, failed) = request(&[1, 2], 10);
    engine.submit(first).unwrap();
    engine.step();
    engine.step();
    assert!(matches!(failed.lock().unwrap().finish(0), Some(Finish::Failed(_))));
    let (second, answer) = request(&[1, 2], 4);
    engine.submit(second).unwrap();
    run(&mut engine);
    assert_eq!(answer.lock().unwrap().tokens(0).len(), 4);
    assert_eq!(engine.statistics().free_blocks, 50);
}

#[test]
fn a_worker_answers_everything_before_it_ends() {
    let (worker, thread) = Worker::start(engine(50, 4, EngineOptions::default())).unwrap();
    let answers: Vec<_> = (0..20)
        .map(|i| {
            let (request, answer) = request(&[i, 3], 10);
            worker.submit(request).unwrap();
            ([i, 3], answer)
        })
        .collect();
    drop(worker);
    thread.join().unwrap();
    for (prompt, answer) in answers {
        assert_eq!(answer.lock().unwrap().tokens(0), greedy(&prompt, 10, None));
    }
}
