use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Cache, CacheConfig, Config};

use crate::state::State;
use crate::{Error, Result, bindings};

/// How often a running plugin's time is looked at.
const TICK: Duration = Duration::from_millis(10);

/// Settings of an [`Engine`].
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// Where compiled code is kept, so that a plugin is compiled once on a machine. None keeps nothing.
    pub cache_directory: Option<PathBuf>,
}

/// The WebAssembly engine, one for a process. Cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    engine: wasmtime::Engine,
    linker: Linker<State>,
    /// Dropping it ends the clock's thread.
    _clock: Sender<()>,
}

impl Engine {
    /// Sets up the engine and starts its clock.
    ///
    /// # Errors
    /// If the cache directory can't be made, or the engine can't start.
    pub fn new(options: EngineOptions) -> Result<Self> {
        let failed = |error: wasmtime::Error| Error::Engine(format!("{error:#}"));
        let mut config = Config::new();
        // Everything is called synchronously; support for concurrent calls would cost time at each one.
        config.concurrency_support(false);
        config.epoch_interruption(true);
        config.native_unwind_info(false);
        if let Some(directory) = options.cache_directory {
            std::fs::create_dir_all(&directory)
                .map_err(|error| Error::Engine(format!("can't make `{}`: {error}", directory.display())))?;
            let mut cache = CacheConfig::new();
            cache.with_directory(directory);
            config.cache(Some(Cache::new(cache).map_err(failed)?));
        }
        let engine = wasmtime::Engine::new(&config).map_err(failed)?;
        let linker = linker(&engine).map_err(failed)?;
        let clock = start_clock(&engine)?;
        Ok(Self(Arc::new(Inner { engine, linker, _clock: clock })))
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.0.engine
    }

    pub(crate) fn linker(&self) -> &Linker<State> {
        &self.0.linker
    }
}

/// Everything that a plugin may import. WASI is among it since most toolchains drag it in; it grants nothing.
fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
    bindings::log::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    bindings::tensor::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    bindings::batch_view::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    bindings::nn::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    Ok(linker)
}

fn start_clock(engine: &wasmtime::Engine) -> Result<Sender<()>> {
    let (sender, receiver) = channel();
    let engine = engine.weak();
    std::thread::Builder::new()
        .name("plugin-clock".into())
        .spawn(move || {
            while receiver.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let Some(engine) = engine.upgrade() else { break };
                engine.increment_epoch();
            }
        })
        .map_err(|error| Error::Engine(error.to_string()))?;
    Ok(sender)
}
