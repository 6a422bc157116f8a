//! Tests of the public interface, most of them against what ms-swift and transformers computed.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may stop at the first surprise, helpers of tests too"
)]

mod cache;
mod chat_templates;
mod files;
mod jinja;
mod loading;
mod support;
mod template_options;
mod templates;
mod traces;
