//! What definitions of decoders share: reading a `config.json` in the spellings of transformers 4 and 5, rotary tables, slopes, norms,
//! and what lies before and after the layers.

mod activation;
mod family;
mod feed_forward;
mod norm;
mod outline;
mod projections;
mod rotary;
mod sizes;
mod slopes;
mod windows;

pub use activation::Activation;
pub use family::{Family, family, read_config};
pub use feed_forward::{FeedForward, FusedFeedForward};
pub use norm::{Norm, NormStyle};
pub use outline::{Decoder, Outline, further_layers};
pub use projections::Projections;
pub use rotary::{longer_sequences, rotary_of_layers, rotary_scaled, rotary_share, rotary_table};
pub use sizes::{Sizes, refuse_quantised, refuse_unless};
pub use slopes::alibi_slopes;
pub use windows::{all_but_each, layer_types, sliding_window};

#[cfg(test)]
mod tests;
