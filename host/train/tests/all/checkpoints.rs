use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use swift_runtime::{Action, Event, RunState, RunView};
use swift_tensor::DType;
use swift_train::{Callback, Ending, Error, Numbers, Result, When, last_checkpoint, verify_checkpoint};

use crate::losses::{NegativeLogLikelihood, Remembers};
use crate::support::{Setup, one_or_more, steps};

/// Counts all events, also those before a checkpoint, and logs how many there were.
#[derive(Default)]
struct Counter(u64);

impl Callback for Counter {
    fn name(&self) -> &str {
        "counter"
    }

    fn on_event(&mut self, _event: Event, _state: &RunState, _run: Arc<dyn RunView>) -> Result<Vec<Action>> {
        self.0 += 1;
        Ok(vec![Action::LogMetric(format!("events_{}", self.0), self.0 as f64 / 3.0)])
    }

    fn save_state(&mut self) -> Result<String> {
        Ok(self.0.to_string())
    }

    fn restore_state(&mut self, state: &str) -> Result<()> {
        self.0 = state.parse().unwrap();
        Ok(())
    }
}

fn counter() -> Vec<Box<dyn Callback>> {
    vec![Box::new(Counter::default())]
}

/// A run with everything that a checkpoint must hold: dropout, a mean over several steps, evaluations, a callback.
fn demanding() -> Setup {
    let mut setup = Setup::new();
    setup.adapter_dropout = Some(0.3);
    setup.validate = true;
    setup.accumulation = 2;
    setup.batch_size = 1;
    setup.options.logging_steps = steps(4);
    setup.options.save = When::Steps(steps(2));
    setup.options.evaluate = When::Steps(steps(3));
    setup
}

/// All files of a checkpoint, without what tells the time.
fn content(checkpoint: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(checkpoint).unwrap().map(|entry| entry.unwrap().path());
    let timed = ["trainer_state.json", "checkpoint.json", "resume.json"];
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    entries
        .filter(|path| !timed.contains(&&*name(path)))
        .map(|path| (name(&path), fs::read(&path).unwrap()))
        .collect()
}

/// A log without what tells the time.
fn timeless(mut log: Vec<Numbers>) -> Vec<Numbers> {
    let timed = |name: &str| {
        ["time", "speed", "second", "memory", "log_history"].iter().any(|part| name.contains(part))
    };
    log.iter_mut().for_each(|line| line.retain(|name, value| !timed(name) && !value.is_string()));
    log
}

#[test]
fn a_run_that_is_interrupted_and_resumed_is_the_run_that_never_was() {
    for dtype in [DType::F32, DType::BF16, DType::F16] {
        let mut setup = demanding();
        setup.dtype = dtype;
        if dtype == DType::BF16 {
            setup.adapter_dropout = None;
        }
        setup.run_with(NegativeLogLikelihood, counter(), None).0.unwrap();
        let (whole_log, whole_run) = (timeless(setup.log()), setup.run.clone());

        setup.run = setup.root.join("interrupted");
        setup.interrupt_after = Some(3);
        let summary = setup.run_with(NegativeLogLikelihood, counter(), None).0.unwrap();
        assert_eq!(summary.ending, Ending::Interrupted);
        assert_eq!(summary.last_checkpoint, Some(setup.run.join("checkpoint-3")));
        setup.interrupt_after = None;
        // What an earlier attempt left behind must not matter.
        fs::create_dir(setup.run.join(".checkpoint-4.partial")).unwrap();
        fs::OpenOptions::new()
            .append(true)
            .open(setup.run.join("logging.jsonl"))
            .and_then(|mut file| {
                use std::io::Write as _;
                file.write_all(b"{\"loss\": 7}\n{\"lo")
            })
            .unwrap();

        let last = last_checkpoint(&setup.run).unwrap().path;
        let summary = setup.run_with(NegativeLogLikelihood, counter(), Some(&last)).0.unwrap();
        assert_eq!((summary.ending, summary.step), (Ending::Completed, 6));
        let (whole, resumed) = (whole_run.join("checkpoint-6"), setup.run.join("checkpoint-6"));
        assert_eq!(content(&whole), content(&resumed));
        // The interrupted run wrote one checkpoint more, which the callback heard of.
        let events = |log: &[Numbers]| {
            log.iter().map(|line| line.keys().filter(|key| key.starts_with("events")).count()).sum::<usize>()
        };
        assert_eq!(events(&timeless(setup.log())), events(&whole_log) + 1);
        let plain = |log: Vec<Numbers>| {
            log.into_iter()
                .map(|line| {
                    line.into_iter().filter(|(key, _)| !key.starts_with("events")).collect::<Numbers>()
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(plain(timeless(setup.log())), plain(whole_log));
    }
}

#[test]
fn a_resumed_loss_remembers_what_it_had_seen() {
    let setup = demanding();
    setup.run_with(Remembers::default(), counter(), None).0.unwrap();
    let (log, last) = (timeless(setup.log()), content(&setup.run.join("checkpoint-6")));
    let checkpoint = setup.run.join("checkpoint-2");
    setup.run_with(Remembers::default(), counter(), Some(&checkpoint)).0.unwrap();
    assert_eq!(timeless(setup.log()), log);
    assert_eq!(content(&setup.run.join("checkpoint-6")), last);
}

#[test]
fn resuming_from_any_checkpoint_of_a_run_repeats_what_came_after_it() {
    let setup = demanding();
    setup.run_with(NegativeLogLikelihood, counter(), None).0.unwrap();
    let (log, last) = (timeless(setup.log()), content(&setup.run.join("checkpoint-6")));
    for step in [6, 4, 2] {
        let checkpoint = setup.run.join(format!("checkpoint-{step}"));
        setup.run_with(NegativeLogLikelihood, counter(), Some(&checkpoint)).0.unwrap();
        assert_eq!(timeless(setup.log()), log, "from {step}");
        assert_eq!(content(&setup.run.join("checkpoint-6")), last, "from {step}");
    }
}

#[test]
fn a_checkpoint_can_be_gone_on_from_in_another_folder() {
    let mut setup = demanding();
    setup.run_with(NegativeLogLikelihood, counter(), None).0.unwrap();
    let (checkpoint, last) = (setup.run.join("checkpoint-4"), content(&setup.run.join("checkpoint-6")));
    setup.run = setup.root.join("other");
    let summary = setup.run_with(NegativeLogLikelihood, counter(), Some(&checkpoint)).0.unwrap();
    assert_eq!(content(&setup.run.join("checkpoint-6")), last);
    assert_eq!(summary.history[0]["step"], 1);
    assert_eq!(setup.log()[0]["global_step/max_steps"], "6/6");
    assert!(setup.root.join("run/checkpoint-6").is_dir());
}

#[test]
fn a_checkpoint_has_the_files_of_ms_swift_and_what_resuming_needs() {
    let mut setup = demanding();
    setup.options.save_total_limit = Some(one_or_more(1));
    setup.run_with(NegativeLogLikelihood, counter(), None).0.unwrap();
    let checkpoint = last_checkpoint(&setup.run).unwrap().path;
    verify_checkpoint(&checkpoint).unwrap();
    let mut names: Vec<String> = fs::read_dir(&checkpoint)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    let expected = [
        "adapter_config.json",
        "adapter_model.safetensors",
        "additional_config.json",
        "args.json",
        "checkpoint.json",
        "optimizer.safetensors",
        "resume.json",
        "trainer_state.json",
    ];
    assert_eq!(names, expected);
    let state: serde_json::Value =
        serde_json::from_slice(&fs::read(checkpoint.join("trainer_state.json")).unwrap()).unwrap();
    assert_eq!(state["global_step"], 6);
    assert_eq!(state["log_history"].as_array().unwrap().len(), 5);
}

#[test]
fn a_damaged_checkpoint_is_refused_and_changes_nothing() {
    let setup = demanding();
    setup.run_with(NegativeLogLikelihood, counter(), None).0.unwrap();
    let checkpoint = setup.run.join("checkpoint-4");
    let weights = checkpoint.join("adapter_model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    let log = fs::read(setup.run.join("logging.jsonl")).unwrap();
    let error = setup.run_with(NegativeLogLikelihood, counter(), Some(&checkpoint)).0.unwrap_err();
    assert!(error.to_string().ends_with("`adapter_model.safetensors` is damaged"), "{error}");
    assert_eq!(fs::read(setup.run.join("logging.jsonl")).unwrap(), log);
}

#[test]
fn a_checkpoint_of_other_inputs_is_refused_by_the_name_of_what_changed() {
    let mut setup = demanding();
    setup.run_with(NegativeLogLikelihood, counter(), None).0.unwrap();
    let checkpoint = setup.run.join("checkpoint-4");
    setup.lock.settings.insert("seed".into(), json!(43));
    let error = setup.run_with(NegativeLogLikelihood, Vec::new(), Some(&checkpoint)).0.unwrap_err();
    let Error::Changed { changes, .. } = &error else { panic!("{error}") };
    assert_eq!(
        changes,
        &["the setting `seed` was `42` and is `43`", "the callback `counter` is not there any more"]
    );
}
