//! Loss, metrics and gradients, against those of ms-swift.

#[path = "../../../tests/golden/mod.rs"]
mod golden;

use golden::Golden;
use golden::check::check;
use plugin_gkd::Gkd;

#[test]
fn every_case_is_that_of_ms_swift() {
    check::<Gkd>(&Golden::gkd()).assert("gkd", 30, 10, 1e-10);
}
