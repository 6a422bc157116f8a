//! What `wit-bindgen` makes of the contract: one world of everything that can be imported, and one for each interface
//! that can be exported, so that a component carries only what its plugin exports. Unused imports leave no trace.

/// What the host gives.
pub mod host {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package swift:sdk; world host {
            import swift:plugin/log@0.1.0;
            import swift:plugin/tensor@0.1.0;
            import swift:plugin/batch-view@0.1.0;
            import swift:plugin/nn@0.1.0;
        }",
        generate_all,
    });
    pub use swift::plugin::{batch_view, log, nn, tensor};
}

/// Exported by every plugin.
pub mod meta {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package swift:sdk; world meta { export swift:plugin/meta@0.1.0; }",
        pub_export_macro: true,
        export_macro_name: "export_meta",
        default_bindings_module: "::swift_plugin::bindings::meta",
    });
    pub use exports::swift::plugin::meta::*;
}

/// Exported by a loss.
pub mod loss {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package swift:sdk; world loss { export swift:plugin/loss@0.1.0; }",
        with: {
            "swift:plugin/tensor@0.1.0": super::host::tensor,
            "swift:plugin/batch-view@0.1.0": super::host::batch_view,
        },
        pub_export_macro: true,
        export_macro_name: "export_loss",
        default_bindings_module: "::swift_plugin::bindings::loss",
    });
    pub use exports::swift::plugin::loss::*;
}

/// Exported by a model definition.
pub mod model {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package swift:sdk; world model { export swift:plugin/model@0.1.0; }",
        with: {
            "swift:plugin/tensor@0.1.0": super::host::tensor,
            "swift:plugin/nn@0.1.0": super::host::nn,
        },
        pub_export_macro: true,
        export_macro_name: "export_model",
        default_bindings_module: "::swift_plugin::bindings::model",
    });
    pub use exports::swift::plugin::model::*;
}

/// Exported by a callback.
pub mod callback {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package swift:sdk; world callback { export swift:plugin/callback@0.1.0; }",
        additional_derives: [PartialEq],
        pub_export_macro: true,
        export_macro_name: "export_callback",
        default_bindings_module: "::swift_plugin::bindings::callback",
    });
    pub use exports::swift::plugin::callback::*;
}

/// Exported by a dataset adapter.
pub mod dataset {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package swift:sdk; world dataset { export swift:plugin/dataset@0.1.0; }",
        additional_derives: [PartialEq],
        pub_export_macro: true,
        export_macro_name: "export_dataset",
        default_bindings_module: "::swift_plugin::bindings::dataset",
    });
    pub use exports::swift::plugin::dataset::*;
}
