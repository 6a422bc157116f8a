//! The functions that plugins export.

use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::bindings::{callback, dataset, loss, meta, model};
use crate::store::State;
use crate::{Error, Kind, Result, contract};

/// The functions of one exported interface.
pub(crate) trait Exports: Sized {
    /// Its name in the contract.
    const INTERFACE: &'static str;

    /// Finds them in an instance.
    ///
    /// # Errors
    /// If they are missing or of other types.
    fn locate(
        component: &InstancePre<State>,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> wasmtime::Result<Self>;
}

macro_rules! exports {
    ($($interface:ident),*) => {$(
        impl Exports for $interface::exports::swift::plugin::$interface::Guest {
            const INTERFACE: &'static str = stringify!($interface);

            fn locate(
                component: &InstancePre<State>,
                store: &mut Store<State>,
                instance: &Instance,
            ) -> wasmtime::Result<Self> {
                $interface::exports::swift::plugin::$interface::GuestIndices::new(component)?.load(store, instance)
            }
        }
    )*};
}

exports!(meta, loss, model, callback, dataset);

/// Finds the functions of an interface in an instance of a plugin.
pub(crate) fn find<E: Exports>(
    component: &InstancePre<State>,
    store: &mut Store<State>,
    instance: &Instance,
) -> Result<E> {
    E::locate(component, store, instance).map_err(|error| Error::WrongInterface {
        plugin: store.data().plugin.to_string(),
        interface: contract::name(E::INTERFACE),
        message: format!("{error:#}"),
    })
}

/// Finds the functions of a kind, to see that they are as they should be.
pub(crate) fn check(
    kind: Kind,
    component: &InstancePre<State>,
    store: &mut Store<State>,
    instance: &Instance,
) -> Result<()> {
    use {callback::exports::swift::plugin::callback, dataset::exports::swift::plugin::dataset};
    use {loss::exports::swift::plugin::loss, model::exports::swift::plugin::model};
    match kind {
        Kind::Loss => find::<loss::Guest>(component, store, instance).map(drop),
        Kind::Model => find::<model::Guest>(component, store, instance).map(drop),
        Kind::Callback => find::<callback::Guest>(component, store, instance).map(drop),
        Kind::Dataset => find::<dataset::Guest>(component, store, instance).map(drop),
    }
}
