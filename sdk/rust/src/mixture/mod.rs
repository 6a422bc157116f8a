//! What definitions of models with a mixture of experts share: choosing experts, sending tokens to them,
//! and layers some of which have none.

mod attention;
mod balance;
mod experts;
mod feed;
mod router;
mod routing;

pub use attention::{Attention, AttentionStyle};
pub use balance::Balance;
pub use experts::{ExpertSizes, Experts, refuse_activation};
pub use feed::{Feed, FeedStyle, Mixture, SharedExpert};
pub use router::{Router, RouterRules};
pub use routing::{Routing, Rows, top_k};

#[cfg(test)]
mod tests;
