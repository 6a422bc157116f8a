//! What a server keeps of requests that are over: nothing, whether their clients read all of the answer or went away.
//!
//! What a process has allocated is counted, so the tests take turns.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may stop at the first surprise; helpers outside of test functions are not recognised"
)]

#[cfg(test)]
#[path = "../../../runtime/tests/hostile/measure.rs"]
mod measure;
#[cfg(test)]
#[allow(dead_code, reason = "the server's other tests use more of it")]
#[path = "../server/support.rs"]
mod support;

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use serde_json::{Map, Value, json};
    use swift_data::Tokenizer;
    use swift_infer::{EngineOptions, Sampler};
    use swift_runtime::Limits;
    use swift_serve::ServeOptions;

    use crate::measure::{alone, measure};
    use crate::support::{Running, folder, registry, serve_with};

    const MODEL: &str = "../tiny-qwen2";
    /// Clients at the same time.
    const CLIENTS: u64 = 8;
    /// Fewer than the clients could fill, so that sequences have to give theirs back.
    const BLOCKS: usize = 96;
    /// Requests of each client: so many that half a kilobyte of each is more than may be left.
    const REQUESTS: u64 = 80;
    /// Of a server without clients: one accepts connections, and one waits for the server's end.
    const TASKS: usize = 2;

    /// What requests ask for besides a prompt.
    fn ways() -> Vec<(&'static str, Value)> {
        let (plain, chat) = ("/v1/completions", "/v1/chat/completions");
        vec![
            (plain, json!({})),
            (plain, json!({ "stream": true })),
            (plain, json!({ "stream": true, "n": 3, "logprobs": 2 })),
            (plain, json!({ "use_beam_search": true, "n": 2 })),
            (plain, json!({ "sampler": "typical", "stream": true, "temperature": 1 })),
            (plain, json!({ "guided_regex": "[0-9]{20}", "stream": true })),
            (plain, json!({ "surprise": 1, "temperature": -1 })),
            (chat, json!({ "stream": true, "stream_options": { "include_usage": true } })),
            (chat, json!({ "n": 2, "logprobs": true })),
        ]
    }

    /// A request, whose client reads all of the answer, the beginning, or nothing.
    fn request(server: &Running, number: u64) {
        let ways = ways();
        let (path, mut body) = ways[number as usize % ways.len()].clone();
        // Few words, which a tokeniser may keep, in an order that the cache has not seen.
        let words: String =
            (0..6 + number % 5).map(|place| format!("{} ", number / 9_u64.pow(place as u32) % 9)).collect();
        let fields = match path {
            "/v1/completions" => json!({ "prompt": words }),
            _ => json!({ "messages": [{ "role": "user", "content": words }] }),
        };
        let fields = [fields, json!({ "max_tokens": 8 + number % 40, "ignore_eos": true, "seed": number })];
        let all = body.as_object_mut().unwrap();
        fields.into_iter().for_each(|more| all.extend(more.as_object().unwrap().clone()));
        let mut answer = server.open("POST", path, body.to_string().as_bytes(), "");
        // How much is read goes with the number in another step than the way.
        match number / ways.len() as u64 % 4 {
            0 => {}
            1 => answer.read_exact(&mut [0; 200]).unwrap(),
            _ => drop(answer.read_to_end(&mut Vec::new()).unwrap()),
        }
    }

    /// Requests of all clients, and then what they left comes to its end.
    fn load(server: &Running, round: u64) {
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let first = (round * CLIENTS + client) * REQUESTS;
                scope.spawn(move || (first..first + REQUESTS).for_each(|number| request(server, number)));
            }
        });
        let is_over = || {
            let statistics = server.worker.call(|engine| engine.statistics()).unwrap();
            statistics.running + statistics.waiting == 0
                && statistics.free_blocks == BLOCKS
                && server.runtime.metrics().num_alive_tasks() == TASKS
        };
        let tasks = || server.runtime.metrics().num_alive_tasks();
        assert!((0..1_000_000).any(|_| is_over()), "{} {:?}", tasks(), server.worker.statistics());
    }

    #[test]
    fn clients_that_stream_and_go_away_leave_nothing_behind() {
        let _alone = alone();
        let arguments: Map<String, Value> = json!({ "typical_p": 0.5 }).as_object().cloned().unwrap();
        let sampler = registry().resolve("typical").unwrap().sampler(&arguments, &Limits::default()).unwrap();
        let engine = EngineOptions { context_length: 256, ..Default::default() };
        let server = serve_with(MODEL, BLOCKS, engine, ServeOptions::default(), vec![Sampler::new(sampler)]);
        // Threads begin, and buffers get the size that the load asks for.
        load(&server, 0);
        let before = server.worker.statistics();
        measure(|| load(&server, 1));
        let after = server.worker.statistics();
        assert!(after.preemptions > before.preemptions, "{after:?}");
        assert!(after.finished_requests - before.finished_requests > CLIENTS * REQUESTS / 2, "{after:?}");
    }

    #[test]
    fn a_tokeniser_keeps_few_words() {
        let _alone = alone();
        let tokenizer = Tokenizer::load(&folder(MODEL)).unwrap();
        let read = |numbers: std::ops::Range<u32>| {
            for number in numbers {
                // One word, for its letters are not divided, and of the most bytes that are kept.
                let letter = |place| char::from(b'a' + (number / 26_u32.pow(place) % 26) as u8);
                let word: String = (0..3).map(letter).chain(std::iter::repeat_n('x', 250)).collect();
                assert!(!tokenizer.encode(&word).unwrap().is_empty());
            }
        };
        read(0..2000);
        measure(|| read(2000..10_000));
    }
}
