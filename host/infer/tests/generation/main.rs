//! Answers are the same whatever else is computed, however the cache is shared, and however prompts are cut.
//!
//! The model of these tests is a function of the tokens that it finds in the cache, so a wrong block, a block that was
//! given away too early or a token that was not computed changes the answer.

#[cfg(test)]
mod answers;
#[cfg(test)]
mod beams;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod scheduling;
#[cfg(test)]
mod support;
