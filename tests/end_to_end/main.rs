//! The real executable, run as a user would run it.

mod bad_input;
mod resume;
mod run_directory;
mod traces;
