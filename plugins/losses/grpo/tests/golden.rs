//! Loss, metrics and gradients, against those of ms-swift.

#[path = "../../../tests/golden/mod.rs"]
mod golden;

use golden::Golden;
use golden::check::check;
use plugin_grpo::Grpo;

#[test]
fn every_case_is_that_of_ms_swift() {
    check::<Grpo>(&Golden::grpo()).assert("grpo", 56, 56, 1e-10);
}
