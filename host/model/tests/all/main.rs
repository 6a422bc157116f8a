//! Models out of golden files, driven by a native definition.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may stop at the first surprise, helpers of tests too"
)]

mod adapters;
mod bad_config;
mod families;
mod families_trained;
mod float8;
mod generation;
mod golden;
mod gradients;
mod merging;
mod native;
mod quantised;
mod router;
mod saving;
mod score_head;
mod stages;
mod weights;
