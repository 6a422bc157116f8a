//! A running plugin: its store, calls into it, and what becomes of it after a trap.

use wasmtime::component::Instance as Component;
use wasmtime::{Store, Trap};

use crate::bindings::describe::Describe;
use crate::state::State;
use crate::{Error, Limits, Plugin, Result};

/// The exports of a world, looked up once for an instance.
pub(crate) trait Exports: Sized {
    fn find(store: &mut Store<State>, component: &Component) -> wasmtime::Result<Self>;
}

/// A plugin with a store of its own. A trap ends the store; the next call starts a new one, configured as before.
pub(crate) struct Instance<E> {
    plugin: Plugin,
    arguments: String,
    limits: Limits,
    live: Option<Live<E>>,
}

struct Live<E> {
    store: Store<State>,
    exports: E,
}

impl<E: Exports> Instance<E> {
    /// Starts the plugin and configures it with a JSON object of arguments.
    pub(crate) fn start(plugin: &Plugin, arguments: String, limits: &Limits) -> Result<Self> {
        let mut instance = Self { plugin: plugin.clone(), arguments, limits: limits.clone(), live: None };
        instance.live()?;
        Ok(instance)
    }

    pub(crate) fn name(&self) -> &str {
        self.plugin.name()
    }

    fn live(&mut self) -> Result<&mut Live<E>> {
        if self.live.is_none() {
            let mut store = new_store(&self.plugin, &self.limits);
            let component = instantiate(&self.plugin, &mut store)?;
            let arguments = &self.arguments;
            call(&self.plugin, &mut store, "configure", |store| {
                Describe::new(&mut *store, &component)?.swift_plugin_meta().call_configure(store, arguments)
            })?
            .map_err(|message| Error::Failed {
                plugin: self.plugin.name().to_owned(),
                function: "configure",
                message,
            })?;
            let exports = E::find(&mut store, &component).map_err(|error| Error::Link {
                plugin: self.plugin.name().to_owned(),
                message: format!("{error:#}"),
            })?;
            self.live = Some(Live { store, exports });
        }
        self.live.as_mut().ok_or_else(|| Error::Engine("an instance vanished".into()))
    }

    /// Calls `function`. Handles that it leaves behind are released; `f` takes what it returns out of the state first.
    pub(crate) fn call<R>(
        &mut self,
        function: &'static str,
        f: impl FnOnce(&mut Store<State>, &E) -> wasmtime::Result<R>,
    ) -> Result<R> {
        let plugin = self.plugin.clone();
        let live = self.live()?;
        let Live { store, exports } = live;
        let outcome = call(&plugin, store, function, |store| f(store, exports));
        if outcome.is_err() {
            self.live = None;
        }
        outcome
    }

    /// The error that the plugin returned, or the one behind it that the caller must see as it is.
    pub(crate) fn failure(&mut self, function: &'static str, message: String) -> Error {
        let plugin = self.plugin.name().to_owned();
        let found = self.live.as_mut().and_then(|live| live.store.data_mut().non_finite.take());
        match found {
            Some(source) => Error::Tensor { plugin, function, source },
            None if self.live.as_ref().is_some_and(|live| live.store.data().memory_refused) => {
                Error::OutOfMemory { plugin, function, limit: memory_limit(&self.limits) }
            }
            None => Error::Failed { plugin, function, message },
        }
    }

    /// The error of a plugin that returned what the contract does not allow.
    pub(crate) fn breach(&self, function: &'static str, what: impl Into<String>) -> Error {
        Error::Contract { plugin: self.plugin.name().to_owned(), function, what: what.into() }
    }
}

pub(crate) fn new_store(plugin: &Plugin, limits: &Limits) -> Store<State> {
    let mut store = Store::new(plugin.engine().wasmtime(), State::new(plugin.name().into(), limits.clone()));
    store.limiter(|state| state);
    store.epoch_deadline_callback(|mut store| store.data_mut().tick());
    store
}

pub(crate) fn instantiate(plugin: &Plugin, store: &mut Store<State>) -> Result<Component> {
    call(plugin, store, "start", |store| {
        // Start functions run now, so they are limited like a call.
        plugin.engine().linker().instantiate(store, plugin.component())
    })
}

/// Runs a call with its limits, and turns a trap into an error that says what happened.
pub(crate) fn call<R>(
    plugin: &Plugin,
    store: &mut Store<State>,
    function: &'static str,
    f: impl FnOnce(&mut Store<State>) -> wasmtime::Result<R>,
) -> Result<R> {
    store.set_epoch_deadline(1);
    store.set_hostcall_fuel(usize::try_from(store.data().limits.copied_bytes).unwrap_or(usize::MAX));
    store.data_mut().begin_call();
    // Eight bytes are the largest element, so no shape within this limit can exceed the budget by much.
    let elements = store.data().limits.tensor_bytes;
    let outcome = swift_tensor::with_element_limit(elements, || f(store));
    let state = store.data_mut();
    state.end_call();
    let stderr = state.stderr.take();
    if !stderr.is_empty() {
        tracing::warn!(target: "plugin", plugin = plugin.name(), "{stderr}");
    }
    outcome.map_err(|error| trap(plugin.name(), function, state, &error, &stderr))
}

fn memory_limit(limits: &Limits) -> String {
    format!("{} MiB of memory or {} MiB of tensors", limits.memory_bytes >> 20, limits.tensor_bytes >> 20)
}

fn trap(
    plugin: &str,
    function: &'static str,
    state: &mut State,
    error: &wasmtime::Error,
    stderr: &str,
) -> Error {
    let plugin = plugin.to_owned();
    if state.timed_out {
        return Error::TimeOut { plugin, function, seconds: state.limits.call_time.as_secs_f64() };
    }
    if let Some(source) = state.non_finite.take() {
        return Error::Tensor { plugin, function, source };
    }
    if state.memory_refused {
        return Error::OutOfMemory { plugin, function, limit: memory_limit(&state.limits) };
    }
    let reason = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    // The panic's own words say more than `unreachable`; a guest without our panic hook writes them to stderr.
    let message = match state.panic.take() {
        Some(panic) => panic,
        None if stderr.is_empty() => reason,
        None => format!("{reason}\n{stderr}"),
    };
    Error::Trap { plugin, function, message }
}
