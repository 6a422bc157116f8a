//! Operations with a hand-written way back: what would cost memory or time if it were composed of smaller ones.

mod attention;
mod attention_projected;
mod embedding;
mod grouped_linear;
mod head_linear;
mod layer_norm;
mod linear;
mod low_rank_rows;
mod paged_attention;
mod rms_norm;
mod rope;
mod row_norms;
mod swiglu;
mod token_statistics;
mod weight;

pub use attention::{AttentionOptions, HeadScores, attention, attention_with};
pub use attention_projected::attention_projected;
pub use embedding::{embedding, rows};
#[cfg(any(feature = "cuda", feature = "emulation"))]
pub(crate) use grouped_linear::Groups;
pub use grouped_linear::{GroupedLinear, group_counts, grouped_linear};
pub use head_linear::{Way, head_linear};
pub use layer_norm::layer_norm;
#[cfg(any(feature = "cuda", feature = "emulation"))]
pub(crate) use linear::{Back, Gradients, Wanted, drop_elements};
pub use linear::{Dropout, Linear, LowRank, dropout, linear};
pub use low_rank_rows::{LowRankRows, low_rank_rows};
pub use paged_attention::{CacheShape, PagedBatch, PagedCache, PagedStep, PagedTokens};
pub use rms_norm::{rms_norm, rms_norm_offset};
pub use rope::{LongerSequences, RotaryPart, RotaryTable, rope, rotary_parts};
#[cfg(any(feature = "cuda", feature = "emulation"))]
pub(crate) use row_norms::LowRankPart;
pub use row_norms::{Addition, row_norms};
pub use swiglu::swiglu;
#[cfg(any(feature = "cuda", feature = "emulation"))]
pub(crate) use token_statistics::{Head, Statistics};
pub use token_statistics::{TokenStatistics, token_statistics};
pub use weight::{FLOAT8_UNIT, Quantised, Weight, require_float8};
