//! Samplers.

use serde_json::Map;
use swift_runtime::{Adjusted, Error, Generation, Kind, Limits, Result, SamplerPlugin};

use crate::support::{Guest, error, load, message, string};

/// A third of the tokens is ruled out.
const LOGITS: [f32; 3] = [1.5, f32::NEG_INFINITY, -2.0];

fn sampler(adjust: &str) -> SamplerPlugin {
    let plugin = load(&Guest::sampler(adjust).encode()).unwrap();
    assert_eq!(plugin.kinds(), [Kind::Sampler]);
    plugin.sampler(&Map::new(), &Limits::default()).unwrap()
}

fn adjust(sampler: &mut SamplerPlugin, logits: &[f32], memory: Option<&str>) -> Result<Adjusted> {
    let memory = memory.map(str::to_owned);
    sampler.adjust(logits, Generation { prompt: vec![7], answer: vec![8, 9], seed: 1, memory })
}

#[test]
fn what_was_ruled_out_stays_ruled_out() {
    let mut doubles = sampler("(call $ok (call $add (local.get $logits) (local.get $logits)))");
    assert_eq!(adjust(&mut doubles, &LOGITS, None).unwrap().logits, [3.0, f32::NEG_INFINITY, -4.0]);
    let mut flat = sampler("(call $ok (call $flat (local.get $logits)))");
    assert_eq!(adjust(&mut flat, &LOGITS, None).unwrap().logits, [0.0, f32::NEG_INFINITY, 0.0]);
    assert_eq!((flat.usage().operations, flat.usage().left_handles), (1, 0));
}

#[test]
fn results_that_are_no_logits_are_refused() {
    let full = |value: &str| format!("(call $ok (call $full (f64.const {value}) (i32.const 1)))");
    let refused = |value: &str, logits: &[f32]| {
        let text = message(adjust(&mut sampler(&full(value)), logits, None));
        text.strip_prefix("The plugin `hostile` gave a wrong result from `adjust`: ").unwrap().to_owned()
    };
    assert_eq!(refused("0", &LOGITS), "the logits are `f32` [2] and not `f32` [3]");
    assert_eq!(refused("nan", &[f32::NEG_INFINITY, 0.0]), "the logit of token 1 is no number");
    assert_eq!(refused("inf", &[0.0, 0.0]), "the logit of token 0 is no number");
    assert_eq!(refused("-inf", &[0.0, 0.0]), "it leaves no token that is possible");
    // What the model gives is no fault of the plugin.
    let mut doubles = sampler("(call $ok (call $add (local.get $logits) (local.get $logits)))");
    assert!(adjust(&mut doubles, &[f32::NAN, 1.0], None).unwrap().logits[0].is_nan());
}

#[test]
fn what_it_remembers_is_kept_until_it_remembers_something_else() {
    let remembers = format!(
        "(if (i64.eq (call $step (local.get $generation)) (i64.const 2))
           (then (call $remember (local.get $generation) {} (i32.const 256))))
         (call $ok (call $flat (local.get $logits)))",
        string("the state")
    );
    let mut sampler = sampler(&remembers);
    assert_eq!(adjust(&mut sampler, &LOGITS, Some("old")).unwrap().memory.as_deref(), Some("the state"));
    let first = Generation { memory: Some("old".into()), ..Generation::default() };
    assert_eq!(sampler.adjust(&LOGITS, first).unwrap().memory.as_deref(), Some("old"));
    assert_eq!(sampler.adjust(&LOGITS, Generation::default()).unwrap().memory, None);
}

#[test]
fn more_than_may_be_remembered_is_an_error_that_it_can_tell() {
    let mut hoards = sampler(&format!(
        "(drop (memory.grow (i32.const 2)))
         (call $remember (local.get $generation) (i32.const 65536) (i32.const 65537) (i32.const 256))
         (if (i32.eqz (i32.load8_u (i32.const 256))) (then unreachable))
         (call $fail {})",
        string("out of ideas")
    ));
    let text = message(adjust(&mut hoards, &LOGITS, None));
    assert_eq!(text, "The plugin `hostile` failed in `adjust`: out of ideas");
}

#[test]
fn a_sampler_that_crashes_starts_anew() {
    let mut crashes = sampler(
        "(if (i64.eq (call $step (local.get $generation)) (i64.const 2)) (then unreachable))
         (call $ok (call $flat (local.get $logits)))",
    );
    for _ in 0..2 {
        assert!(matches!(error(adjust(&mut crashes, &LOGITS, None)), Error::Crash { .. }));
        let adjusted = crashes.adjust(&LOGITS, Generation::default()).unwrap();
        assert_eq!(adjusted.logits, [0.0, f32::NEG_INFINITY, 0.0]);
    }
}
