//! Every case that ms-swift 4.6.0 gave, token for token: `tests/golden/templates` of the repository.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may stop at the first surprise; helpers outside of test functions are not recognised"
)]

mod agents;
mod common;
mod options;
mod templates;
