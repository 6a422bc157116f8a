//! Loss, metrics and gradients, against those of ms-swift.

#[path = "../../../tests/golden/mod.rs"]
mod golden;

use golden::Golden;
use golden::check::check;
use plugin_dpo::Dpo;

#[test]
fn every_case_is_that_of_ms_swift() {
    check::<Dpo>(&Golden::dpo()).assert("dpo", 86, 86, 1e-10);
}
