//! Instances of plugins, and calls into them.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre, ResourceTableError};
use wasmtime_wasi::I32Exit;

use crate::bindings::log::Level;
use crate::bindings::tensor;
use crate::engine::Engine;
use crate::limits::{Breach, Limits};
use crate::store::{self, State, Views};
use crate::{Error, Result};

/// Why what a plugin gave is no result.
pub(crate) enum Rejection {
    /// The plugin says that it failed.
    Failed(String),
    /// It gave what the contract forbids.
    Wrong(String),
}

impl From<tensor::Error> for Rejection {
    fn from(error: tensor::Error) -> Self {
        use tensor::Error::{DtypeMismatch, InvalidArgument, Other, OutOfMemory, ShapeMismatch, Unsupported};
        match error {
            ShapeMismatch(message) | DtypeMismatch(message) | InvalidArgument(message) => {
                Self::Failed(message)
            }
            OutOfMemory(message) | Unsupported(message) | Other(message) => Self::Failed(message),
        }
    }
}

/// An instance in a store of its own.
pub(crate) fn new(
    engine: &Engine,
    plugin: &Arc<str>,
    component: &InstancePre<State>,
    limits: &Limits,
) -> Result<(Store<State>, Instance)> {
    let mut store = store::new(engine, plugin.clone(), limits)?;
    let instance = call(
        &mut store,
        "instantiate",
        Views::default(),
        |store| component.instantiate(store),
        |x, _| Ok(x),
    )?;
    Ok((store, instance))
}

/// Calls a function of a plugin: `call` calls it, and `take` makes what the host wants of what it gave, while the call's
/// tensors are still there. After it, [`State::crashed`] says whether the store is of any more use.
pub(crate) fn call<T, U>(
    store: &mut Store<State>,
    function: &'static str,
    views: Views,
    call: impl FnOnce(&mut Store<State>) -> wasmtime::Result<T>,
    take: impl FnOnce(T, &mut State) -> std::result::Result<U, Rejection>,
) -> Result<U> {
    store::begin(store, function, views);
    let given = call(store);
    let state = store.data_mut();
    let output = state.output.take();
    for line in output.lines().filter(|line| !line.trim().is_empty()) {
        state.log(Level::Info, line);
    }
    state.log_omissions();
    let result = match given {
        Ok(given) => take(given, state).map_err(|rejection| rejected(state, function, rejection)),
        Err(error) => Err(crashed(state, function, &error, &output)),
    };
    state.end();
    result
}

fn rejected(state: &mut State, function: &'static str, rejection: Rejection) -> Error {
    let plugin = state.plugin.to_string();
    match (rejection, state.origin.take()) {
        (Rejection::Wrong(message), _) => Error::WrongResult { plugin, function, message },
        (Rejection::Failed(_), Some(cause)) => Error::Tensor { plugin, function, cause },
        (Rejection::Failed(message), None) => {
            Error::Failed { plugin, function, message, denied: state.denials.all() }
        }
    }
}

fn crashed(state: &mut State, function: &'static str, error: &wasmtime::Error, output: &str) -> Error {
    let plugin = state.plugin.to_string();
    tracing::debug!(target: "plugin", plugin, "{error:?}");
    state.crashed = true;
    if let Some(breach) = error.downcast_ref::<Breach>() {
        return Error::Limit { plugin, function, breach: *breach };
    }
    if let Some(cause) = state.origin.take() {
        return Error::Tensor { plugin, function, cause };
    }
    if let Some(ResourceTableError::Full) = error.downcast_ref() {
        let breach = Breach::Resources(state.limits.resources);
        return Error::Limit { plugin, function, breach };
    }
    let cause = error.root_cause().to_string();
    // wasmtime has no public types for these.
    let untyped = [
        ("fuel allocated for hostcalls", Breach::Copied(state.limits.copied_bytes)),
        ("store handle limit exceeded", Breach::Handles(state.limits.handles)),
    ];
    if let Some((_, breach)) = untyped.into_iter().find(|(words, _)| cause.contains(words)) {
        return Error::Limit { plugin, function, breach };
    }
    let cause = match error.downcast_ref::<I32Exit>() {
        Some(I32Exit(code)) => format!("it exited with code {code}"),
        None => cause,
    };
    let said = state.panic.take().or_else(|| last_line(output).map(str::to_owned));
    Error::Crash { plugin, function, message: said.unwrap_or(cause), denied: state.denials.all() }
}

/// The line of a crash's output that says most: runtimes end with the message, Rust's with a note after it.
fn last_line(output: &str) -> Option<&str> {
    output.lines().map(str::trim).rfind(|line| !line.is_empty() && !line.starts_with("note: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_a_crash_is_the_last_line_that_is_no_note() {
        let rust =
            "thread 'main' panicked at src/lib.rs:5:9:\nno beta\nnote: run with `RUST_BACKTRACE=1`\n\n";
        assert_eq!(last_line(rust), Some("no beta"));
        let python = "Traceback (most recent call last):\n  File \"/0/err.py\", line 6\nValueError: boom\n";
        assert_eq!(last_line(python), Some("ValueError: boom"));
        assert_eq!(last_line("\n"), None);
    }
}
