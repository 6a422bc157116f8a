//! The real executable, run as a user would run it.

#[cfg(test)]
mod author;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod distribution;
#[cfg(test)]
mod float8;
#[cfg(test)]
mod grants;
#[cfg(test)]
mod guides;
#[cfg(test)]
mod half_precision;
#[cfg(test)]
mod infer;
#[cfg(test)]
mod models;
#[cfg(test)]
mod plugin_check;
#[cfg(test)]
mod quantised;
#[cfg(test)]
mod resume;
#[cfg(test)]
mod rollouts;
#[cfg(test)]
mod run_directory;
#[cfg(test)]
mod traces;
#[cfg(test)]
mod wording;
