//! WASI that grants nothing: no files, no network, no environment, no arguments, no sleep, and the same random numbers
//! each time. It is linked because most languages' runtimes import it. stdout and stderr go to the log.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use wasmtime::StoreContextMut;
use wasmtime::component::Linker;
use wasmtime_wasi::clocks::WasiClocksView;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock::Host as _;
use wasmtime_wasi::p2::{self, DynOutputStream, OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{Deterministic, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::store::State;

/// Bytes of output that are kept between two looks at it; the oldest are lost first.
const OUTPUT_BYTES: usize = 64 << 10;

/// A context that grants nothing.
pub(crate) fn context() -> WasiCtx {
    // Hash tables draw their seeds here; a run must repeat.
    let numbers = || Deterministic::new((0..=u8::MAX).collect());
    let mut builder = WasiCtxBuilder::new();
    builder.secure_random(numbers()).insecure_random(numbers()).insecure_random_seed(0);
    builder.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
    builder.build()
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
    linker.allow_shadowing(false);
    Ok(())
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
