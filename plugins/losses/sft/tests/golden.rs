//! Loss, metrics and gradients, against those of ms-swift.

#[path = "../../../tests/golden/mod.rs"]
mod golden;

use golden::Golden;
use golden::check::check;
use plugin_sft::Sft;

#[test]
fn every_case_is_that_of_ms_swift() {
    check::<Sft>(&Golden::sft()).assert("sft", 10, 5, 1e-10);
}
