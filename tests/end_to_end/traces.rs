//! Training runs of ms-swift, step by step: the same loss, gradient norm and final weights, through the command line.

use std::path::Path;

use serde_json::{Map, Value};
use swift_tests::{Run, Weights, golden, last_checkpoint, read_json, read_json_lines, read_weights};

/// Loss, as a part of its size or of 1. The worst is 3.4e-6, of `dpo_sppo_hard`.
const LOSS_TOLERANCE: f64 = 2e-5;
/// Gradient norm, as a part of its size. The worst is 2.7e-6, of `dpo_sppo_hard` and `dpo_full`.
const GRADIENT_NORM_TOLERANCE: f64 = 2e-5;
/// Metrics that plugins report, as a part of their size or of 0.01. The worst is 1e-5.
const METRIC_TOLERANCE: f64 = 2e-5;
/// Metrics that are differences of sums over the tokens of an answer, which nearly cancel, in absolute terms: what counts is
/// the rounding of the sums, about 100 in size, in `float32`. The worst is 4.8e-6, the `kl` of `kto_weights_accum`.
const DIFFERENCE_TOLERANCE: f64 = 2e-5;

/// A test for each trace.
macro_rules! traces {
    ($($name:ident: $trace:literal;)*) => {$(
        #[test]
        fn $name() {
            check($trace, "false");
        }
    )*};
}

traces! {
    sft: "sft";
    sft_of_all_parameters: "sft_full";
    sft_with_accumulation: "sft_grad_accum";
    sft_with_a_short_last_window: "sft_grad_accum_partial";
    sft_with_packing: "sft_packing";
    sft_with_a_cosine_schedule_that_ends_above_zero: "sft_cosine_min_lr";
    sft_with_rank_stabilised_adapters_and_a_linear_schedule: "sft_rslora_warmup_linear";
    sft_with_dora: "sft_dora";
    sft_with_lora_plus: "sft_lorap";
    sft_of_the_last_round: "sft_loss_scale_last_round";
    sft_without_empty_thoughts: "sft_loss_scale_ignore_empty_think";
    sft_with_rules_for_tool_calls: "sft_loss_scale_hermes";
    sft_as_dynamic_fine_tuning: "sft_dft";
    pt: "pt";
    dpo: "dpo";
    dpo_of_all_parameters: "dpo_full";
    dpo_with_accumulation: "dpo_grad_accum";
    dpo_with_apo_zero: "dpo_apo_zero";
    dpo_with_hinge: "dpo_hinge";
    dpo_with_ipo: "dpo_ipo";
    dpo_with_length_desensitisation: "dpo_ld";
    dpo_with_nca_pair: "dpo_nca_pair";
    dpo_with_robust: "dpo_robust";
    dpo_with_rpo: "dpo_rpo";
    dpo_with_sppo_hard: "dpo_sppo_hard";
    kto: "kto";
    kto_with_weights_and_accumulation: "kto_weights_accum";
    kto_with_apo_zero_unpaired: "kto_apo_zero_unpaired";
    cpo: "cpo";
    simpo: "simpo";
    simpo_without_likelihood: "simpo_alpha0";
    orpo: "orpo";
    rm: "rm";
    rm_with_margins_and_centred_rewards: "rm_margin_center";
}

#[test]
fn sft_with_recomputation() {
    check("sft", "true");
}

/// `recompute` says whether stages are computed again on the way back; ms-swift's numbers do not depend on it.
fn check(name: &str, recompute: &str) {
    let trace = golden(&format!("traces/{name}"));
    let facts = read_json(&trace.join("args.json")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let run = Run::succeed(folder.path(), "out", &arguments(name, &facts, recompute)).unwrap();

    let expected: Vec<Value> = lines_with_loss(read_json_lines(&trace.join("logging.jsonl")).unwrap());
    let got = lines_with_loss(run.log_lines("loss").unwrap());
    assert_eq!(got.len(), expected.len(), "{name}: number of log lines");
    for (step, (got, expected)) in got.iter().zip(&expected).enumerate() {
        compare_step(&format!("{name}, step {}", step + 1), got, expected, window_share(name, &facts, step));
    }

    let checkpoint = last_checkpoint(&run.folder).unwrap();
    let statistics = trace.join("final_stats.json");
    if statistics.is_file() {
        let model = |folder: &Path| read_weights(&folder.join("model.safetensors")).unwrap();
        let start = model(&golden(facts["cli"]["model"].as_str().unwrap()));
        return compare_statistics(name, &start, &model(&checkpoint), &read_json(&statistics).unwrap());
    }
    let full = trace.join("final_model").is_dir();
    let (ours, theirs) = match full {
        true => (checkpoint.join("model.safetensors"), trace.join("final_model/model.safetensors")),
        false => (
            checkpoint.join("adapter_model.safetensors"),
            trace.join("final_adapter/adapter_model.safetensors"),
        ),
    };
    let rates: f64 = expected.iter().map(|line| largest_rate(&line["lr_used"])).sum();
    compare_weights(name, &read_weights(&ours).unwrap(), &read_weights(&theirs).unwrap(), rates);
}

/// The flags that ms-swift was given, as they are; a method is a plugin here.
pub(crate) fn arguments(name: &str, facts: &Value, recompute: &str) -> Vec<String> {
    let trace = golden(&format!("traces/{name}"));
    let mut words = Vec::new();
    let mut add = |flag: &str, value: String| words.extend([format!("--{flag}"), value]);
    for (flag, value) in facts["cli"].as_object().unwrap() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match flag.as_str() {
            "rlhf_type" => add("plugin", value),
            "model" => add("model", golden(&value).display().to_string()),
            // Saved once at the end, to be compared.
            "save_strategy" => {}
            "gradient_checkpointing" => add(flag, recompute.to_owned()),
            _ => add(flag, value),
        }
    }
    if facts["command"] == "swift pt" {
        add("plugin", "pt".to_owned());
    }
    let in_order = trace.join("data_in_order.jsonl");
    let data = if in_order.exists() { in_order } else { trace.join("data.jsonl") };
    add("dataset", data.display().to_string());
    if trace.join("init_adapter").is_dir() {
        add("adapters", trace.join("init_adapter").display().to_string());
    }
    words
}

pub(crate) fn lines_with_loss(lines: Vec<Value>) -> Vec<Value> {
    lines.into_iter().filter(|line| line.get("loss").is_some()).collect()
}

/// ms-swift divides the micro-batches of a preference run's short last window by the configured number of them; the true
/// mean is larger by this factor.
fn window_share(name: &str, facts: &Value, step: usize) -> f64 {
    if name != "dpo_grad_accum" {
        return 1.0;
    }
    let accumulation = facts["resolved"]["gradient_accumulation_steps"].as_f64().unwrap();
    let micro_batches = facts["n_micro_batches"].as_f64().unwrap();
    let epochs = 3.0;
    let short = micro_batches / epochs - accumulation;
    if step % 2 == 1 { accumulation / short } else { 1.0 }
}

/// Whether a number says nothing about packed batches: ms-swift's CPO and its like average logits over padding, too, which
/// makes up to 0.3 of them.
fn counts_padding(trace: &str, key: &str) -> bool {
    ["cpo", "simpo", "simpo_alpha0", "orpo"].contains(&trace) && key.starts_with("logits/")
}

fn compare_step(what: &str, got: &Value, expected: &Value, share: f64) {
    let expected: &Map<String, Value> = expected.as_object().unwrap();
    let trace = what.split(',').next().unwrap_or_default();
    for (key, expected) in expected.iter().filter(|(key, _)| !counts_padding(trace, key)) {
        // The share of the reference's number, the tolerance, and the least size that it is a part of.
        let (share, tolerance, least) = match key.as_str() {
            "loss" => (share, LOSS_TOLERANCE, 1.0),
            "grad_norm" => (share, GRADIENT_NORM_TOLERANCE, 0.0),
            "learning_rate" => (1.0, 1e-9, 1e-9),
            "epoch" => (1.0, 1e-9, 1e-2),
            "step" | "lr_used" => continue,
            "kl" | "log_odds_chosen" | "log_odds_ratio" => (1.0, DIFFERENCE_TOLERANCE, f64::INFINITY),
            key if key.starts_with("rewards/") => (1.0, DIFFERENCE_TOLERANCE, f64::INFINITY),
            _ => (1.0, METRIC_TOLERANCE, 1e-2),
        };
        let expected = expected.as_f64().unwrap() * share;
        let got = got[key].as_f64().unwrap_or_else(|| panic!("{what}: `{key}` is missing in {got}"));
        let size = if least.is_infinite() { 1.0 } else { expected.abs().max(least) };
        let difference = (got - expected).abs() / size;
        assert!(
            difference <= tolerance,
            "{what}: `{key}` is {got}, expected {expected} (off by {difference:.1e})"
        );
    }
}

fn largest_rate(rates: &Value) -> f64 {
    match rates {
        Value::Array(rates) => rates.iter().filter_map(Value::as_f64).fold(0.0, f64::max),
        rate => rate.as_f64().unwrap(),
    }
}

/// Compares sums over the elements of each tensor, and over what training changed in them.
fn compare_statistics(name: &str, start: &Weights, end: &Weights, expected: &Value) {
    let expected = expected.as_object().unwrap();
    assert!(expected.keys().eq(end.keys()), "{name}: names of tensors");
    for (tensor, expected) in expected {
        let sum = |elements: &dyn Fn(f64, f64) -> f64| -> f64 {
            let pairs = start[tensor].iter().zip(&end[tensor]);
            pairs.map(|(start, end)| elements(f64::from(*start), f64::from(*end))).sum()
        };
        let [moved, size] = ["delta_abs_sum", "abs_sum"].map(|key| expected[key].as_f64().unwrap());
        let compared: [(&str, f64, f64); 4] = [
            ("sum", sum(&|_, end| end), 1e-3 * moved),
            ("abs_sum", sum(&|_, end| end.abs()), 1e-3 * moved),
            ("delta_sum", sum(&|start, end| end - start), 1e-3 * moved),
            ("delta_abs_sum", sum(&|start, end| (end - start).abs()), 1e-3 * moved),
        ];
        for (key, got, tolerance) in compared {
            // What is left of `float32` weights of this size is rounding.
            let tolerance = tolerance + 1e-8 * size;
            let expected = expected[key].as_f64().unwrap();
            assert!(
                (got - expected).abs() <= tolerance,
                "{name}: `{key}` of `{tensor}` is {got}, expected {expected}"
            );
        }
    }
}

/// Adam divides by tiny gradients now and then, so a few elements may be off by what the steps could have moved them.
fn compare_weights(name: &str, ours: &Weights, theirs: &Weights, rates: f64) {
    assert_eq!(
        ours.keys().collect::<Vec<_>>(),
        theirs.keys().collect::<Vec<_>>(),
        "{name}: names of tensors"
    );
    let (mut beyond, mut count) = (0, 0);
    for (tensor, theirs) in theirs {
        let ours = &ours[tensor];
        assert_eq!(ours.len(), theirs.len(), "{name}: size of `{tensor}`");
        for (a, b) in ours.iter().zip(theirs) {
            let difference = f64::from((a - b).abs());
            assert!(difference <= 2.0 * rates, "{name}: `{tensor}` has {a}, expected {b}");
            beyond += usize::from(difference > 2e-6);
            count += 1;
        }
    }
    assert!(beyond * 1000 <= count, "{name}: {beyond} of {count} weights are off by more than 2e-6");
}
