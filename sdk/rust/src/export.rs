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
/// The kinds are [`Loss`](crate::Loss), [`Model`](crate::Model), [`Callback`](crate::Callback) and
/// [`Dataset`](crate::Dataset); a type can be several: `export!(Mine: Loss + Callback)`. The plugin is called as its
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
}
