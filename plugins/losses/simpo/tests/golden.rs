//! Loss, metrics and gradients, against those of TRL, which ms-swift uses.

#[path = "../../../tests/golden/mod.rs"]
mod golden;

use golden::Golden;
use golden::check::check;
use plugin_simpo::Simpo;

#[test]
fn every_case_is_that_of_trl() {
    check::<Simpo>(&Golden::simpo()).assert("simpo", 10, 10, 1e-10);
}
