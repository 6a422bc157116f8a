//! Online runs: the model answers, rewards judge, a loss learns from it.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use swift_tests::{Run, golden, last_checkpoint, plugin, read_json_lines, swift_host};

/// The flags of a run with the reward that is easy to learn; those in `more` take the place of the usual ones.
fn arguments(folder: &Path, more: &[&str]) -> Vec<String> {
    let rows = (0..6).map(|i| {
        let answer = json!({"role": "assistant", "content": "nothing that is learned from"});
        let messages = json!([{"role": "user", "content": format!("Say {i}")}, answer]);
        json!({"messages": messages, "bonus": i}).to_string() + "\n"
    });
    fs::write(folder.join("prompts.jsonl"), rows.collect::<String>()).unwrap();
    let model = golden("tiny-qwen2").display().to_string();
    let reward = plugin("judging").unwrap().display().to_string();
    let usual = [
        ("--model", model.as_str()),
        ("--dataset", "prompts.jsonl"),
        ("--template", "qwen"),
        ("--reward-plugin", &reward),
        ("--per-device-train-batch-size", "8"),
        ("--gradient-accumulation-steps", "2"),
        ("--num-generations", "8"),
        ("--max-completion-length", "12"),
        ("--logging-steps", "1"),
        ("--learning-rate", "5e-3"),
        ("--lr-scheduler-type", "constant"),
    ];
    let usual = usual.into_iter().filter(|(flag, _)| !more.contains(flag));
    usual.flat_map(|(flag, value)| [flag, value]).chain(more.iter().copied()).map(str::to_owned).collect()
}

/// A number of all log lines that have it.
fn column(run: &Run, name: &str) -> Vec<f64> {
    run.log_lines(name).unwrap().iter().map(|line| line[name].as_f64().unwrap()).collect()
}

/// By how much the last four numbers are above the first four, on average.
fn rise(numbers: &[f64]) -> f64 {
    let mean = |numbers: &[f64]| numbers.iter().sum::<f64>() / numbers.len() as f64;
    mean(&numbers[numbers.len() - 4..]) - mean(&numbers[..4])
}

/// The log without the times in it.
fn log(run: &Path) -> Vec<Value> {
    let mut lines = read_json_lines(&run.join("logging.jsonl")).unwrap();
    lines.retain(|line| line.get("grad_norm").is_some());
    for line in &mut lines {
        let numbers = line.as_object_mut().unwrap();
        for name in
            ["elapsed_time", "remaining_time", "memory(GiB)", "train_speed(s/it)", "tokens_per_second"]
        {
            numbers.remove(name);
        }
    }
    lines
}

fn adapter(run: &Path) -> Vec<u8> {
    fs::read(last_checkpoint(run).unwrap().join("adapter_model.safetensors")).unwrap()
}

#[test]
fn the_reward_rises_and_what_happened_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let more = [
        "--plugin",
        "grpo,format",
        "--max-steps",
        "36",
        "--tuner-type",
        "full",
        "--log-completions",
        "true",
        "--reward-weights",
        "0.5",
        "2",
    ];
    let run = Run::succeed(folder.path(), "out", &arguments(folder.path(), &more)).unwrap();
    let rewards = column(&run, "rewards/judging/mean");
    assert!(rewards.len() == 36 && rise(&rewards) > 0.3, "{rewards:?}");
    assert_eq!(column(&run, "rewards/format/mean"), [0.0; 36]);
    // `--plugin` comes before `--reward-plugin`, and the weights are in this order.
    for (total, reward) in column(&run, "reward").iter().zip(&rewards) {
        assert!((total - 2.0 * reward).abs() < 1e-12, "{total} {reward}");
    }
    for name in ["rewards/judging/std", "reward_std", "frac_reward_zero_std", "completions/mean_length"] {
        let numbers = column(&run, name);
        assert!(numbers.len() == 36 && numbers.iter().all(|number| *number >= 0.0), "{name}: {numbers:?}");
    }
    assert!(column(&run, "completions/max_length").iter().all(|length| *length <= 12.0));
    // The reference is what the model was at first.
    let divergence = column(&run, "kl");
    assert!(divergence[0].abs() < 1e-6 && divergence[35] > 1.0, "{divergence:?}");

    let answers = read_json_lines(&run.folder.join("completions.jsonl")).unwrap();
    assert_eq!(answers.len(), 36 * 16);
    for answers in answers.chunks(8) {
        let (first, sum) =
            (&answers[0], answers.iter().map(|answer| answer["advantage"].as_f64().unwrap()).sum::<f64>());
        assert!(answers.iter().all(|answer| answer["prompt"] == first["prompt"]), "{first}");
        assert!(sum.abs() < 1e-9, "{first}");
        let prompt = first["prompt"].as_array().unwrap();
        assert_eq!((prompt.len(), &prompt[0]["role"]), (1, &json!("user")));
        assert_eq!(first["rewards"]["format"], json!(0.0));
    }
}

#[test]
fn a_run_that_was_killed_among_steps_on_the_same_answers_ends_with_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    // A generation has four steps, and a checkpoint comes after every third.
    let more = [
        "--plugin",
        "grpo",
        "--max-steps",
        "12",
        "--save-steps",
        "3",
        "--num-iterations",
        "2",
        "--steps-per-generation",
        "4",
        "--log-completions",
        "true",
        "--lora-dropout",
        "0.1",
    ];
    let arguments = arguments(folder.path(), &more);
    let whole =
        Run::succeed(folder.path(), "whole", &[&arguments[..], &["--threads".into(), "1".into()]].concat())
            .unwrap();
    assert!(
        column(&whole, "clip_ratio/region_mean").iter().any(|share| *share > 0.0),
        "no step was off policy"
    );
    for doomed_at in [3, 6] {
        let output = folder.path().join(format!("killed-{doomed_at}"));
        let mut command = swift_host(folder.path()).unwrap();
        command.arg("run").args(&arguments).arg("--output-dir").arg(&output);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let marker = output.join(format!("checkpoint-{doomed_at}"));
        while !marker.exists() && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let resume = ["--resume-from-checkpoint", "last"].map(str::to_owned);
        let name = format!("killed-{doomed_at}");
        Run::succeed(folder.path(), &name, &[&arguments[..], &resume].concat()).unwrap();
        assert_eq!(adapter(&output), adapter(&whole.folder), "killed after {doomed_at} steps");
        assert_eq!(log(&output), log(&whole.folder));
        let answers = |run: &Path| fs::read_to_string(run.join("completions.jsonl")).unwrap();
        assert_eq!(answers(&output), answers(&whole.folder));
    }
}

#[test]
fn rewards_read_columns_and_every_estimator_runs() {
    let folder = tempfile::tempdir().unwrap();
    for (estimator, scale) in [("rloo", "none"), ("reinforce_plus_plus", "batch"), ("grpo", "gdpo")] {
        let more = [
            "--plugin",
            "grpo",
            "--mode",
            "column",
            "--max-steps",
            "1",
            "--advantage-estimator",
            estimator,
            "--scale-rewards",
            scale,
            "--beta",
            "0",
            "--kl-coef",
            "0.1",
        ];
        let run = Run::succeed(folder.path(), estimator, &arguments(folder.path(), &more)).unwrap();
        // The mean of two of the numbers from 0 to 5, and all answers to a prompt have the same.
        let reward = column(&run, "reward")[0];
        assert!((0.5..=4.5).contains(&reward) && (2.0 * reward).fract().abs() < 1e-4, "{reward}");
        assert_eq!(column(&run, "rewards/judging/mean").len(), 1);
    }
}

#[test]
fn all_parameters_and_a_value_function_are_trained_on_answers() {
    let folder = tempfile::tempdir().unwrap();
    let more = [
        "--plugin",
        "ppo",
        "--max-steps",
        "60",
        "--kl-coef",
        "0",
        "--num-iterations",
        "2",
        "--tuner-type",
        "full",
        "--learning-rate",
        "2e-3",
        "--vf-coef",
        "0.5",
    ];
    let run = Run::succeed(folder.path(), "out", &arguments(folder.path(), &more)).unwrap();
    let rewards = column(&run, "rewards/judging/mean");
    assert!(rise(&rewards) > 0.1, "{rewards:?}");
    let errors = column(&run, "loss/value_avg");
    assert!(rise(&errors) < 0.0, "{errors:?}");
}

#[test]
fn a_reward_that_fails_ends_the_run_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (mode, expected) in [
        ("boom", "The plugin `judging` crashed in `score`: the mode `boom` is meant to panic"),
        ("infinite", "The reward `judging` gave a number that is not finite"),
        ("endless", "The plugin `judging` was stopped in `score`: it ran for more than 1 second"),
    ] {
        let more = ["--plugin", "grpo", "--mode", mode, "--max-steps", "1", "--grant", "judging.timeout=1"];
        let run = Run::start(folder.path(), mode, &arguments(folder.path(), &more)).unwrap();
        assert_eq!(run.outcome.code, Some(1), "{}", run.outcome.stderr);
        assert!(run.outcome.stderr.contains(&format!("error: {expected}")), "{}", run.outcome.stderr);
        assert!(!run.folder.exists(), "a run that came nowhere leaves nothing");
    }
}

#[test]
fn what_a_run_lacks_for_rewards_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let said = |more: &[&str]| {
        let run = Run::start(folder.path(), "out", &arguments(folder.path(), more)).unwrap();
        assert_eq!(run.outcome.code, Some(2), "{}", run.outcome.stderr);
        run.outcome.stderr
    };
    let weights = said(&["--plugin", "grpo", "--reward-weights", "1", "2"]);
    assert!(weights.contains("`--reward-weights` gives 2 weights for 1 rewards"), "{weights}");
    let groups = said(&["--plugin", "grpo", "--num-generations", "7"]);
    assert!(groups.contains("`--num-generations` is `7`, but must divide the 16 answers"), "{groups}");
    let mut alone = arguments(folder.path(), &["--plugin", "grpo"]);
    let at = alone.iter().position(|word| word == "--reward-plugin").unwrap();
    alone.drain(at..at + 2);
    let stderr = Run::start(folder.path(), "out", &alone).unwrap().outcome.stderr;
    assert!(stderr.contains("error: The loss learns from rewards, but no reward takes part"), "{stderr}");
}
