//! The promise of compatibility: components that were built for an earlier contract load, work, and give the numbers that
//! their formulas give; the contract that they were built for is part of today's.
//!
//! `README.md` beside this file says what is kept here and how it was made.

#[cfg(test)]
mod contract;
#[cfg(test)]
mod frozen;
#[cfg(test)]
mod kinds;
#[cfg(test)]
mod newer;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod views;
