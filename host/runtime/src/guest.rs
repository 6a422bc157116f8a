//! A plugin at work.

use wasmtime::Store;

use crate::Result;
use crate::bindings::meta::exports::swift::plugin::meta;
use crate::exports::{self, Exports};
use crate::instance::{self, Rejection};
use crate::limits::Limits;
use crate::plugin::Plugin;
use crate::store::{State, Usage, Views};

/// A plugin with its hyper-parameters, ready to be called through the exports `E`.
///
/// A plugin that crashed or was stopped loses its instance, and with it what it remembered. The next call makes another
/// one with the same hyper-parameters.
pub(crate) struct Guest<E> {
    plugin: Plugin,
    limits: Limits,
    /// The hyper-parameters as JSON.
    arguments: String,
    live: Option<(Store<State>, E)>,
    usage: Usage,
}

impl<E: Exports> Guest<E> {
    /// Makes an instance and configures it.
    pub(crate) fn new(plugin: Plugin, limits: &Limits, arguments: String) -> Result<Self> {
        let mut guest =
            Self { plugin, limits: limits.clone(), arguments, live: None, usage: Usage::default() };
        guest.live = Some(guest.instantiate()?);
        Ok(guest)
    }

    pub(crate) fn name(&self) -> &str {
        self.plugin.name()
    }

    /// The run's seed.
    pub(crate) fn seed(&self) -> u64 {
        self.limits.seed
    }

    /// What the last call took.
    pub(crate) fn usage(&self) -> Usage {
        self.usage
    }

    /// Whether there is an instance.
    pub(crate) fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// Calls a function: `call` calls it, and `take` makes what the host wants of what it gave, while the call's tensors
    /// are still there.
    pub(crate) fn call<T, U>(
        &mut self,
        function: &'static str,
        views: Views,
        call: impl FnOnce(&E, &mut Store<State>) -> wasmtime::Result<T>,
        take: impl FnOnce(T, &mut State) -> std::result::Result<U, Rejection>,
    ) -> Result<U> {
        let (mut store, exports) = match self.live.take() {
            Some(live) => live,
            None => self.instantiate()?,
        };
        let result = instance::call(&mut store, function, views, |store| call(&exports, store), take);
        self.usage = store.data().usage;
        if !store.data().crashed {
            self.live = Some((store, exports));
        }
        result
    }

    fn instantiate(&self) -> Result<(Store<State>, E)> {
        let component = self.plugin.component();
        let (mut store, instance) = self.plugin.instantiate(&self.limits)?;
        let exports = exports::find(component, &mut store, &instance)?;
        let meta: meta::Guest = exports::find(component, &mut store, &instance)?;
        let configure = |store: &mut Store<State>| meta.call_configure(store, &self.arguments);
        let accept =
            |accepted: std::result::Result<(), String>, _: &mut State| accepted.map_err(Rejection::Failed);
        instance::call(&mut store, "configure", Views::default(), configure, accept)?;
        Ok((store, exports))
    }
}
