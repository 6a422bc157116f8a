//! What definitions of models with a mixture of experts share: choosing experts, and sending tokens to them.

mod attention;
mod balance;
mod experts;
mod routing;

pub use attention::{Attention, AttentionStyle};
pub use balance::Balance;
pub use experts::{ExpertSizes, Experts, refuse_activation};
pub use routing::{Routing, Rows, top_k};

#[cfg(test)]
mod tests;
