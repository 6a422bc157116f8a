//! Whole runs on a tiny model, with a loss and callbacks in native code.

#[cfg(test)]
mod callbacks;
#[cfg(test)]
mod checkpoints;
#[cfg(test)]
mod evaluation;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod half_precision;
#[cfg(test)]
mod losses;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod support;
#[cfg(test)]
mod training;
#[cfg(test)]
mod waits;
