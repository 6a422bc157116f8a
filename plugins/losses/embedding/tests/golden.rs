//! Loss, metrics and gradients, against those of ms-swift.

#[path = "../../../tests/golden/mod.rs"]
mod golden;

use golden::Golden;
use golden::check::check;
use plugin_embedding::Embedding;

#[test]
fn every_case_is_that_of_ms_swift() {
    check::<Embedding>(&Golden::embedding()).assert("embedding", 18, 18, 1e-10);
}
