//! The same table on a CUDA device: run on a machine that has one, by `tests/gpu/run.sh`.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use swift_tensor::{device, set_tf32, with_device};

use crate::cases::cases;
use crate::check::check_case;
use crate::long_attention::differences;

#[test]
fn every_operation_agrees_with_its_formula_on_a_cuda_device() {
    let device = device("cuda").unwrap();
    set_tf32(false);
    let mut counts: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    with_device(&device, || {
        for case in cases() {
            let [passed, failed] = counts.entry(case.name).or_default();
            // All are tried, since a device is not there for long.
            match catch_unwind(AssertUnwindSafe(|| check_case(&case))) {
                Ok(()) => *passed += 1,
                Err(_) => *failed += 1,
            }
        }
    });
    for (name, [passed, failed]) in &counts {
        let ok = if *failed == 0 { "yes" } else { "NO" };
        println!("conformance {name} | {passed} of {} | all | {ok}", passed + failed);
    }
    assert!(counts.values().all(|[_, failed]| *failed == 0));
}

#[test]
fn attention_over_several_tiles_agrees_with_plain_operations_on_a_cuda_device() {
    let device = device("cuda").unwrap();
    set_tf32(false);
    let found = with_device(&device, differences);
    println!(
        "attention over several tiles | {} differences | 0 | {}",
        found.len(),
        if found.is_empty() { "yes" } else { "NO" }
    );
    assert_eq!(found, Vec::<String>::new());
}
