//! The functions that plugins export.

use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::bindings::{
    callback, dataset, loss, loss_scale, meta, metric, model, optimizer, reward, sampler, schedule, template,
    tool_parser,
};
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
    ($($interface:ident = $name:literal $(for $kind:ident)?),* $(,)?) => {
        $(
            impl Exports for $interface::exports::swift::plugin::$interface::Guest {
                const INTERFACE: &'static str = $name;

                fn locate(
                    component: &InstancePre<State>,
                    store: &mut Store<State>,
                    instance: &Instance,
                ) -> wasmtime::Result<Self> {
                    $interface::exports::swift::plugin::$interface::GuestIndices::new(component)?.load(store, instance)
                }
            }
        )*

        /// Finds the functions of a kind, to see that they are as they should be.
        pub(crate) fn check(
            kind: Kind,
            component: &InstancePre<State>,
            store: &mut Store<State>,
            instance: &Instance,
        ) -> Result<()> {
            match kind {
                $($(
                    Kind::$kind => {
                        find::<$interface::exports::swift::plugin::$interface::Guest>(component, store, instance)
                            .map(drop)
                    }
                )?)*
            }
        }
    };
}

exports! {
    meta = "meta",
    loss = "loss" for Loss,
    model = "model" for Model,
    callback = "callback" for Callback,
    dataset = "dataset" for Dataset,
    metric = "metric" for Metric,
    schedule = "schedule" for Schedule,
    optimizer = "optimizer" for Optimizer,
    reward = "reward" for Reward,
    template = "template" for Template,
    loss_scale = "loss-scale" for LossScale,
    sampler = "sampler" for Sampler,
    tool_parser = "tool-parser" for ToolParser,
}

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
