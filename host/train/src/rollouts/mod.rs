//! Answers that the model gives while it is trained, for losses that learn from them.
//!
//! A *generation* is a number of prompts with several answers each, all given by the policy as it is at that moment. Rewards
//! judge the answers, advantages are estimated, and one or more optimiser steps are taken on them; then comes the next.

mod answers;
mod generation;
mod judgement;
mod options;

pub(crate) use answers::{Answer, answers};
pub(crate) use generation::{Generation, Rollout};
pub(crate) use judgement::{Judgement, observe};
pub use options::{RolloutOptions, Rollouts};
