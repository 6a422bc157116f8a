//! Loss, metrics and gradients, against those of TRL, which ms-swift uses.

#[path = "../../../tests/golden/mod.rs"]
mod golden;

use golden::Golden;
use golden::check::check;
use plugin_cpo::Cpo;

#[test]
fn every_case_is_that_of_trl() {
    check::<Cpo>(&Golden::cpo()).assert("cpo", 12, 12, 1e-10);
}
