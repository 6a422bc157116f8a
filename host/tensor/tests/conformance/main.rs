//! Every operation of the contract's `tensor` interface against an independent formula in `float64` and against finite
//! differences, on awkward shapes. One row of the table for each operation; a test checks that none is missing.

#[cfg(test)]
mod cases;
#[cfg(test)]
mod check;
#[cfg(test)]
mod documented;
#[cfg(test)]
mod float8;
#[cfg(test)]
mod fused;
#[cfg(test)]
mod graph;
#[cfg(test)]
mod long_attention;
#[cfg(all(test, feature = "cuda"))]
mod on_device;
#[cfg(test)]
mod row_norms;
#[cfg(test)]
mod staging;
#[cfg(test)]
mod tape;
#[cfg(test)]
mod workers;

#[cfg(test)]
use cases::cases;
#[cfg(test)]
use check::{check_case, wit_operations};

#[test]
fn every_operation_agrees_with_its_formula_and_its_gradient_with_finite_differences() {
    for case in cases() {
        check_case(&case);
    }
}

#[test]
fn the_table_covers_every_operation_of_the_contract() {
    let covered: std::collections::BTreeSet<&str> = cases().iter().map(|case| case.name).collect();
    // These make or read tensors and have tests of their own.
    let others = ["shape", "dtype", "to-list", "from-list", "full", "arange", "uniform", "normal", "detach"];
    let missing: Vec<String> = wit_operations()
        .into_iter()
        .filter(|name| !covered.contains(name.as_str()) && !others.contains(&name.as_str()))
        .collect();
    assert!(missing.is_empty(), "operations without a conformance case: {missing:?}");
}
