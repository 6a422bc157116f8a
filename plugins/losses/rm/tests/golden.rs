//! Loss, metrics and gradients, against those of ms-swift.

#[path = "../../../tests/golden/mod.rs"]
mod golden;

use golden::Golden;
use golden::check::check;
use plugin_rm::Rm;

#[test]
fn every_case_is_that_of_ms_swift() {
    check::<Rm>(&Golden::rm()).assert("rm", 8, 8, 1e-10);
}
