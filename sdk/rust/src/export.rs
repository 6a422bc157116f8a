//! From the contract's functions to a plugin's.

#[cfg(target_family = "wasm")]
mod glue;
#[cfg(target_family = "wasm")]
pub use glue::Exported;

/// What the user calls a plugin, and its version.
#[doc(hidden)]
pub trait Identity {
    /// As the user names it: `dpo`.
    const NAME: &'static str;
    /// The plugin's own version.
    const VERSION: &'static str;
}

/// Makes a plugin of a type: `export!(Dpo: Loss)`.
///
/// The kinds are the traits [`Loss`](crate::Loss), [`Model`](crate::Model), [`Callback`](crate::Callback),
/// [`Dataset`](crate::Dataset), [`Metric`](crate::Metric), [`Schedule`](crate::Schedule), [`Optimizer`](crate::Optimizer),
/// [`Reward`](crate::Reward), [`Template`](crate::Template), [`LossScale`](crate::LossScale),
/// [`Sampler`](crate::Sampler) and [`ToolParser`](crate::ToolParser); a type can be several: `export!(Mine: Loss + Callback)`. The plugin is called as its
/// package, without a leading `plugin-`, or as told: `export!(Dpo: Loss, name = "dpo")`. Its version is the package's.
///
/// Outside of the sandbox this only checks that the type is what it says.
#[macro_export]
macro_rules! export {
    ($plugin:ty: $kind:ident $(+ $more:ident)*) => {
        $crate::export!($plugin: $kind $(+ $more)*, name = ::core::env!("CARGO_PKG_NAME"));
    };
    ($plugin:ty: $kind:ident $(+ $more:ident)*, name = $name:expr) => {
        const _: () = {
            impl $crate::export::Identity for $plugin {
                const NAME: &'static str = $name;
                const VERSION: &'static str = ::core::env!("CARGO_PKG_VERSION");
            }
            const fn is<T: $crate::$kind $(+ $crate::$more)*>() {}
            is::<$plugin>();
            #[cfg(target_family = "wasm")]
            type Exported = $crate::export::Exported<$plugin>;
            #[cfg(target_family = "wasm")]
            $crate::bindings::meta::export_meta!(Exported with_types_in $crate::bindings::meta);
            #[cfg(target_family = "wasm")]
            $crate::__export_kind!($kind Exported);
            $(
                #[cfg(target_family = "wasm")]
                $crate::__export_kind!($more Exported);
            )*
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_kind {
    (Loss $exported:ident) => {
        $crate::bindings::loss::export_loss!($exported with_types_in $crate::bindings::loss);
    };
    (Model $exported:ident) => {
        $crate::bindings::model::export_model!($exported with_types_in $crate::bindings::model);
    };
    (Callback $exported:ident) => {
        $crate::bindings::callback::export_callback!($exported with_types_in $crate::bindings::callback);
    };
    (Dataset $exported:ident) => {
        $crate::bindings::dataset::export_dataset!($exported with_types_in $crate::bindings::dataset);
    };
    (Metric $exported:ident) => {
        $crate::bindings::metric::export_metric!($exported with_types_in $crate::bindings::metric);
    };
    (Schedule $exported:ident) => {
        $crate::bindings::schedule::export_schedule!($exported with_types_in $crate::bindings::schedule);
    };
    (Optimizer $exported:ident) => {
        $crate::bindings::optimizer::export_optimizer!($exported with_types_in $crate::bindings::optimizer);
    };
    (Reward $exported:ident) => {
        $crate::bindings::reward::export_reward!($exported with_types_in $crate::bindings::reward);
    };
    (Template $exported:ident) => {
        $crate::bindings::template::export_template!($exported with_types_in $crate::bindings::template);
    };
    (LossScale $exported:ident) => {
        $crate::bindings::loss_scale::export_loss_scale!($exported with_types_in $crate::bindings::loss_scale);
    };
    (Sampler $exported:ident) => {
        $crate::bindings::sampler::export_sampler!($exported with_types_in $crate::bindings::sampler);
    };
    (ToolParser $exported:ident) => {
        $crate::bindings::tool_parser::export_tool_parser!($exported with_types_in $crate::bindings::tool_parser);
    };
}
