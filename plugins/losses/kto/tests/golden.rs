//! Loss, metrics and gradients, against those of TRL, which ms-swift uses.

#[path = "../../../tests/golden/mod.rs"]
mod golden;

use golden::Golden;
use golden::check::check;
use plugin_kto::Kto;

#[test]
fn every_case_is_that_of_trl() {
    check::<Kto>(&Golden::kto()).assert("kto", 20, 20, 1e-10);
}
