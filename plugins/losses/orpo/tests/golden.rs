//! Loss, metrics and gradients, against those of TRL, which ms-swift uses.

#[path = "../../../tests/golden/mod.rs"]
mod golden;

use golden::Golden;
use golden::check::check;
use plugin_orpo::Orpo;

#[test]
fn every_case_is_that_of_trl() {
    check::<Orpo>(&Golden::orpo()).assert("orpo", 4, 4, 1e-10);
}
