//! The WebAssembly engine: one for the process.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use wasmtime::component::Linker;
use wasmtime::{Cache, CacheConfig, Config};

use crate::bindings::imports::Imports;
use crate::functions::Functions;
use crate::held::HeldConstants;
use crate::limits::Limits;
use crate::store::State;
use crate::{Error, Result, Trace, wasi};

/// How often a running plugin's time is looked at: the unit of time limits, and short enough to be stopped by.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// How to make an [`Engine`].
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Where compiled plugins are kept, an absolute path; without it each start compiles them again. The folder is made if
    /// need be. Wasmtime keeps whole plugins below half a gigabyte; their functions beside them, which other plugins may have
    /// too, stay below another half. Who can write there can run code in this process.
    pub cache_directory: Option<PathBuf>,
    /// Who is told of each operation that plugins ask for; without one, tracing costs nothing.
    pub trace: Option<Arc<dyn Trace>>,
    /// What a plugin may take while it is loaded, which is when it says what it is: 256 MiB of memory and 10 s.
    pub loading: Limits,
}

impl Default for EngineOptions {
    fn default() -> Self {
        let (memory_bytes, call_time) = (256 << 20, Duration::from_secs(10));
        Self {
            cache_directory: None,
            trace: None,
            loading: Limits { memory_bytes, call_time, ..Limits::default() },
        }
    }
}

/// Compiles and runs plugins. Cheap to clone; a process needs one.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
    trace: Option<Arc<dyn Trace>>,
    held: Option<Arc<HeldConstants>>,
}

struct Inner {
    wasmtime: wasmtime::Engine,
    linker: Linker<State>,
    functions: Option<Arc<Functions>>,
    ticks: Arc<AtomicU64>,
    loading: Limits,
    /// The ticker ends when this is dropped.
    _ticker: Sender<()>,
}

impl Engine {
    /// Starts the engine. A cache that can't be used is a warning and no error.
    ///
    /// # Errors
    /// If the machine can't run WebAssembly.
    pub fn new(options: EngineOptions) -> Result<Self> {
        Self::start(options).map_err(|error| Error::Engine(format!("{error:#}")))
    }

    fn start(options: EngineOptions) -> wasmtime::Result<Self> {
        let mut config = Config::new();
        // Plugins are synchronous; without tasks to keep track of, a call takes half the time.
        config.concurrency_support(false);
        config.epoch_interruption(true);
        // The same bytes on every machine.
        config.cranelift_nan_canonicalization(true);
        config.relaxed_simd_deterministic(true);
        let mut functions = None;
        if let Some(directory) = options.cache_directory {
            let mut cache = CacheConfig::new();
            // A folder of its own, for wasmtime removes what it does not know.
            cache.with_directory(directory.join("components"));
            match Cache::new(cache) {
                Ok(cache) => {
                    config.cache(Some(cache));
                    let kept = functions.insert(Arc::new(Functions::new(directory.join("functions"))));
                    config.enable_incremental_compilation(kept.clone())?;
                }
                Err(error) => {
                    tracing::warn!("compiled plugins can't be kept in `{}`: {error:#}", directory.display())
                }
            }
        }
        let wasmtime = wasmtime::Engine::new(&config)?;
        let mut linker = Linker::new(&wasmtime);
        wasi::add_to_linker(&mut linker)?;
        Imports::add_to_linker::<_, wasmtime::component::HasSelf<State>>(&mut linker, |state| state)?;

        let ticks = Arc::new(AtomicU64::new(0));
        let (ticker, alive) = mpsc::channel::<()>();
        let (engine, counter) = (wasmtime.clone(), ticks.clone());
        thread::Builder::new().name("plugin ticker".into()).spawn(move || {
            while alive.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                counter.fetch_add(1, Ordering::Relaxed);
                engine.increment_epoch();
            }
        })?;
        let inner =
            Arc::new(Inner { wasmtime, linker, functions, ticks, loading: options.loading, _ticker: ticker });
        Ok(Self { inner, trace: options.trace, held: None })
    }

    /// The same engine with someone who watches.
    pub(crate) fn with_trace(&self, trace: Arc<dyn Trace>) -> Self {
        Self { trace: Some(trace), ..self.clone() }
    }

    pub(crate) fn trace(&self) -> Option<Arc<dyn Trace>> {
        self.trace.clone()
    }

    /// The same engine, whose plugins get what they hold constant from `held`.
    pub(crate) fn with_held_constants(&self, held: Arc<HeldConstants>) -> Self {
        Self { held: Some(held), ..self.clone() }
    }

    pub(crate) fn held_constants(&self) -> Option<Arc<HeldConstants>> {
        self.held.clone()
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.inner.wasmtime
    }

    /// Keeps the functions of what was compiled, for plugins that have the same.
    pub(crate) fn keep_functions(&self) {
        if let Some(functions) = &self.inner.functions {
            functions.keep();
        }
    }

    pub(crate) fn linker(&self) -> &Linker<State> {
        &self.inner.linker
    }

    /// What a plugin may take while it is loaded.
    pub(crate) fn loading(&self) -> &Limits {
        &self.inner.loading
    }

    /// Counts up by one each [`TICK`].
    pub(crate) fn ticks(&self) -> Arc<AtomicU64> {
        self.inner.ticks.clone()
    }
}
