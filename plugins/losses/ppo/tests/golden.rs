//! Loss, metrics and gradients, against those of TRL.

#[path = "../../../tests/golden/mod.rs"]
mod golden;

use golden::Golden;
use golden::check::check;
use plugin_ppo::Ppo;

#[test]
fn every_case_is_that_of_trl() {
    check::<Ppo>(&Golden::ppo()).assert("ppo", 20, 20, 1e-10);
}
