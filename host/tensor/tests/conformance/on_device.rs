//! The same table on a CUDA device: run on a machine that has one, by `tests/gpu/run.sh`.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use swift_tensor::{device, set_tf32, with_device};

use crate::cases::cases;
use crate::check::check_case;
use crate::float8;
use crate::graph::{
    recorded_work_is_done_again_with_other_numbers, what_the_host_has_a_part_in_is_not_recorded,
};
use crate::long_attention::differences;
use crate::row_norms::{
    norms_are_those_of_the_sum_even_where_it_nearly_cancels, norms_of_a_plain_weight_need_no_addition,
};
use crate::staging::{
    a_weight_of_few_bits_is_the_same_wherever_it_is_kept,
    values_that_come_in_parts_have_all_elements_in_their_places,
};

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
fn what_is_no_operation_of_the_contract_is_right_on_a_cuda_device() {
    let device = device("cuda").unwrap();
    let checks: [(&str, fn()); 6] = [
        ("norms of adapted rows", norms_are_those_of_the_sum_even_where_it_nearly_cancels),
        ("recorded work", recorded_work_is_done_again_with_other_numbers),
        ("what is not recorded", what_the_host_has_a_part_in_is_not_recorded),
        ("norms of rows", norms_of_a_plain_weight_need_no_addition),
        ("values in parts", values_that_come_in_parts_have_all_elements_in_their_places),
        ("weights of few bits", a_weight_of_few_bits_is_the_same_wherever_it_is_kept),
    ];
    let failed = with_device(&device, || {
        checks
            .iter()
            .filter(|(name, check)| {
                let ok = catch_unwind(check).is_ok();
                println!("{name} | {} of 1 | all | {}", u8::from(ok), if ok { "yes" } else { "NO" });
                !ok
            })
            .count()
    });
    assert_eq!(failed, 0);
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

#[test]
fn products_in_8_bits_are_those_of_the_rounded_operands_on_a_cuda_device() {
    // Matrix units keep fewer bits of a sum than `float32` has.
    const LIMIT: f64 = 1e-3;
    let device = device("cuda").unwrap();
    if let Err(error) = swift_tensor::fused::require_float8(&device) {
        println!("products in 8 bits | needs compute capability 8.9 ({error}) | {LIMIT:.0e} | left out");
        return;
    }
    let off = with_device(&device, float8::worst_difference);
    println!("products in 8 bits | {off:.1e} | {LIMIT:.0e} | {}", if off <= LIMIT { "yes" } else { "NO" });
    assert!(off <= LIMIT);
}
