//! WASI that offers what was granted and by default nothing: no files, no network, no environment. There are no
//! arguments, no sleep, and the same random numbers each time. It is linked because most languages' runtimes import it.
//! stdout and stderr go to the log.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::cli::WasiCliView;
use wasmtime_wasi::clocks::WasiClocksView;
use wasmtime_wasi::filesystem::WasiFilesystemView;
use wasmtime_wasi::p2::bindings::cli::environment::Host as _;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock::Host as _;
use wasmtime_wasi::p2::bindings::filesystem::preopens::Host as _;
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::Host as _;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, Network};
use wasmtime_wasi::p2::{self, DynOutputStream, OutputStream, Pollable, StreamResult};
use wasmtime_wasi::sockets::WasiSocketsView;
use wasmtime_wasi::{Deterministic, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::grants::{Denials, Grants, Want};
use crate::store::State;
use crate::{Result, waiting};

/// Bytes of output that are kept between two looks at it; the oldest are lost first.
const OUTPUT_BYTES: usize = 64 << 10;

/// A context with what was granted to a plugin.
///
/// # Errors
/// If something that was granted is not there.
pub(crate) fn context(plugin: &str, grants: &Grants, denials: &Denials) -> Result<WasiCtx> {
    // Hash tables draw their seeds here; a run must repeat.
    let numbers = || Deterministic::new((0..=u8::MAX).collect());
    let mut builder = WasiCtxBuilder::new();
    builder.secure_random(numbers()).insecure_random(numbers()).insecure_random_seed(0);
    grants.open(plugin, &mut builder, denials)?;
    Ok(builder.build())
}

/// Adds WASI 0.2 to a linker.
///
/// # Errors
/// If two definitions clash, which would be a mistake here.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    p2::add_to_linker_sync(linker)?;
    linker.allow_shadowing(true);
    for (interface, function) in [("stdout", "get-stdout"), ("stderr", "get-stderr")] {
        let mut instance = linker.instance(&format!("wasi:cli/{interface}@{VERSION}"))?;
        instance.func_wrap(function, |mut store: StoreContextMut<'_, State>, (): ()| {
            let state = store.data_mut();
            let stream: DynOutputStream = Box::new(state.output.clone());
            Ok((WasiView::ctx(state).table.push(stream)?,))
        })?;
    }
    // Whoever sleeps holds the host up, and no epoch ends it; so a sleep is over at once.
    let mut clock = linker.instance(&format!("wasi:clocks/monotonic-clock@{VERSION}"))?;
    for function in ["subscribe-duration", "subscribe-instant"] {
        clock.func_wrap(function, |mut store: StoreContextMut<'_, State>, (_,): (u64,)| {
            Ok((store.data_mut().clocks().subscribe_duration(0)?,))
        })?;
    }
    waiting::add_to_linker(linker, VERSION)?;
    add_denials(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Functions that hand out what was granted: they take note of who is given nothing, so that an error can say so.
fn add_denials(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut preopens = linker.instance(&format!("wasi:filesystem/preopens@{VERSION}"))?;
    preopens.func_wrap("get-directories", |mut store: StoreContextMut<'_, State>, (): ()| {
        let state = store.data_mut();
        if state.limits.grants.directories.is_empty() {
            state.denials.add(Want::Directories, None);
        }
        Ok((state.filesystem().get_directories()?,))
    })?;
    let mut environment = linker.instance(&format!("wasi:cli/environment@{VERSION}"))?;
    environment.func_wrap("get-environment", |mut store: StoreContextMut<'_, State>, (): ()| {
        let state = store.data_mut();
        // Interpreters read all variables when they start, and whoever reads one later may be the plugin.
        if state.limits.grants.environment.is_empty() && !state.is_starting() {
            state.denials.add(Want::Environment, None);
        }
        Ok((state.cli().get_environment()?,))
    })?;
    // Whoever may ask for any name can tell the world what it knows.
    let mut names = linker.instance(&format!("wasi:sockets/ip-name-lookup@{VERSION}"))?;
    names.func_wrap(
        "resolve-addresses",
        |mut store: StoreContextMut<'_, State>, (network, name): (Resource<Network>, String)| {
            let state = store.data_mut();
            if !state.limits.grants.allows_name(&name) {
                state.denials.add(Want::Hosts, Some(format!("{name}:PORT")));
                return Ok((Err(ErrorCode::AccessDenied),));
            }
            match state.sockets().resolve_addresses(network, name) {
                Ok(addresses) => Ok((Ok(addresses),)),
                Err(error) => Ok((Err(error.downcast()?),)),
            }
        },
    )
}

/// The version of WASI that this version of wasmtime offers. Plugins may import any 0.2.
const VERSION: &str = "0.2.12";

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// What a plugin wrote to stdout and stderr.
#[derive(Clone, Default)]
pub(crate) struct Output(Arc<Mutex<VecDeque<u8>>>);

impl Output {
    /// Takes what was written since the last time.
    pub(crate) fn take(&self) -> String {
        let written = mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        String::from_utf8_lossy(&Vec::from(written)).into_owned()
    }

    fn add(&self, bytes: &[u8]) {
        let (_, bytes) = bytes.split_at(bytes.len().saturating_sub(OUTPUT_BYTES));
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(bytes);
        let excess = kept.len().saturating_sub(OUTPUT_BYTES);
        kept.drain(..excess);
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.add(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(OUTPUT_BYTES)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_much_output_the_end_is_kept() {
        let output = Output::default();
        output.add(&[b'a'; OUTPUT_BYTES]);
        output.add(b"the end");
        let kept = output.take();
        assert_eq!(kept.len(), OUTPUT_BYTES);
        assert!(kept.ends_with("athe end"));
        assert_eq!(output.take(), "");
    }
}
