//! Loss, metrics and gradients, against those of ms-swift.

#[path = "../../../tests/golden/mod.rs"]
mod golden;

use golden::Golden;
use golden::check::check;
use plugin_reranker::Reranker;

#[test]
fn every_case_is_that_of_ms_swift() {
    check::<Reranker>(&Golden::reranker()).assert("reranker", 3, 3, 1e-10);
}
