use serde_json::Value;
use swift_data::{
    Arrangement, BatchPlan, Dataset, LoadOptions, PackedBatch, Packing, PackingStrategy, PlanOptions,
    RowShape, TrainedParts,
};

use crate::support::{golden, golden_json, load, plan_in_order, template};

fn dataset(trace: &str, pairs: bool, max_length: usize) -> Dataset {
    let path = golden(&format!("traces/{trace}/data.jsonl"));
    let options = LoadOptions {
        shape: if pairs { RowShape::Pair } else { RowShape::Conversation },
        trained_parts: if pairs { TrainedParts::LastRound } else { TrainedParts::Answers },
        max_length: Some(max_length),
        ..LoadOptions::default()
    };
    load(&[path.to_str().unwrap()], &mut template("qwen"), &options).unwrap()
}

fn collate(dataset: &Dataset, indices: &[usize]) -> PackedBatch {
    let examples: Vec<_> = indices.iter().map(|index| dataset.example(*index).unwrap()).collect();
    PackedBatch::collate(&examples, Arrangement::Runs)
}

fn numbers(value: &Value) -> Vec<i64> {
    serde_json::from_value(value.clone()).unwrap()
}

/// Compares a packed batch with ms-swift's: sequences in rows, labels not shifted, padding at the end.
fn expect_batch(batch: &PackedBatch, golden: &Value, what: &str) {
    let rows = golden["input_ids"].as_array().unwrap().iter().zip(golden["labels"].as_array().unwrap());
    assert_eq!(rows.len(), batch.lengths.len(), "{what}");
    let mut start = 0;
    for ((ids, labels), length) in rows.zip(&batch.lengths) {
        let length = *length as usize;
        let range = start..start + length;
        let ours: Vec<i64> = batch.input_ids[range.clone()].iter().map(|id| i64::from(*id)).collect();
        assert_eq!(ours, numbers(ids)[..length], "{what}");
        let (labels, padding) = {
            let mut labels = numbers(labels);
            let padding = labels.split_off(length);
            (labels, padding)
        };
        assert!(padding.iter().all(|label| *label == -100), "{what}");
        assert_eq!(labels[0], -100);
        assert_eq!(batch.labels[range.clone()][..length - 1], labels[1..], "{what}");
        assert_eq!(batch.labels[range.end - 1], -100, "{what}");
        start = range.end;
    }
    assert_eq!(start, batch.input_ids.len());
}

/// All micro-batches of a run, in order, with the labels of their windows.
fn expect_run(trace: &str, pairs: bool, accumulation: usize) {
    let dataset = dataset(trace, pairs, 512);
    let plan = plan_in_order(&dataset, 2, accumulation);
    let golden = golden_json(&format!("traces/{trace}/batches.json"));
    let mut golden = golden.as_array().unwrap().iter();
    expect_batch(
        &collate(&dataset, &plan.epoch(0)[0].micro_batches[0]),
        &golden_json(&format!("traces/{trace}/batch0.json")),
        "first batch",
    );
    let mut step = 0;
    for epoch in 0.. {
        for window in plan.epoch(epoch) {
            step += 1;
            let batches: Vec<_> = window.micro_batches.iter().map(|rows| collate(&dataset, rows)).collect();
            let labels: usize = batches.iter().map(PackedBatch::label_count).sum();
            for (rows, batch) in window.micro_batches.iter().zip(&batches) {
                let Some(expected) = golden.next() else {
                    assert!(step > 6);
                    return;
                };
                let what = format!("{trace} step {step}");
                assert_eq!(expected["optimizer_step"], step, "{what}");
                assert_eq!(
                    numbers(&expected["rows"]),
                    rows.iter().map(|row| *row as i64).collect::<Vec<_>>(),
                    "{what}"
                );
                expect_batch(batch, expected, &what);
                if !pairs {
                    assert_eq!(expected["num_items_in_batch"], labels, "{what}");
                }
            }
        }
    }
}

#[test]
fn sft_batches_are_those_of_ms_swift() {
    expect_run("sft", false, 1);
}

#[test]
fn accumulated_sft_batches_are_those_of_ms_swift() {
    expect_run("sft_grad_accum", false, 4);
}

#[test]
fn dpo_batches_are_those_of_ms_swift() {
    expect_run("dpo", true, 1);
}

#[test]
fn accumulated_dpo_batches_with_a_short_last_window_are_those_of_ms_swift() {
    expect_run("dpo_grad_accum", true, 4);
}

#[test]
fn packs_are_those_of_ms_swift() {
    let dataset = dataset("sft_packing", false, 256);
    let packing = Packing { length: 256, strategy: PackingStrategy::BinPack };
    let options = PlanOptions {
        batch_size: 1,
        gradient_accumulation_steps: 1,
        shuffle_dataset: false,
        shuffle: false,
        seed: 42,
        packing: Some(packing),
    };
    let plan = BatchPlan::new(&dataset, options).unwrap();
    assert_eq!(plan.windows_per_epoch(), 5);
    let golden = golden_json("traces/sft_packing/batches.json");
    let windows = (0..2).flat_map(|epoch| plan.epoch(epoch));
    for (window, expected) in windows.zip(golden.as_array().unwrap()) {
        let batch = collate(&dataset, &window.micro_batches[0]);
        let ids: Vec<i64> = batch.input_ids.iter().map(|id| i64::from(*id)).collect();
        assert_eq!(ids, numbers(&expected["input_ids"][0]));
        let positions: Vec<i64> = batch.position_ids.iter().map(|id| i64::from(*id)).collect();
        assert_eq!(positions, numbers(&expected["position_ids"][0]));
        let mut labels = numbers(&expected["labels"][0]);
        labels.rotate_left(1);
        assert_eq!(
            batch.labels, labels,
            "the first token of a sequence has no label, so rotating shifts each one"
        );
        assert_eq!(expected["num_items_in_batch"], batch.label_count());
    }
}
