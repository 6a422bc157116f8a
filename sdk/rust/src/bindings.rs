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
            import swift:plugin/run-view@0.1.0;
            import swift:plugin/generation-view@0.1.0;
        }",
        generate_all,
    });
    pub use swift::plugin::{batch_view, generation_view, log, nn, run_view, tensor};
}

/// What is said in a conversation.
pub mod conversation {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package swift:sdk; world conversation { import swift:plugin/conversation@0.1.0; }",
        generate_all,
        additional_derives: [PartialEq],
    });
    pub use swift::plugin::conversation::*;
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
        with: {
            "swift:plugin/tensor@0.1.0": super::host::tensor,
            "swift:plugin/run-view@0.1.0": super::host::run_view,
        },
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
        with: {
            "swift:plugin/conversation@0.1.0": super::conversation,
        },
        additional_derives: [PartialEq],
        pub_export_macro: true,
        export_macro_name: "export_dataset",
        default_bindings_module: "::swift_plugin::bindings::dataset",
    });
    pub use exports::swift::plugin::dataset::*;
}

/// Exported by a metric.
pub mod metric {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package swift:sdk; world metric { export swift:plugin/metric@0.1.0; }",
        with: {
            "swift:plugin/tensor@0.1.0": super::host::tensor,
            "swift:plugin/batch-view@0.1.0": super::host::batch_view,
        },
        pub_export_macro: true,
        export_macro_name: "export_metric",
        default_bindings_module: "::swift_plugin::bindings::metric",
    });
    pub use exports::swift::plugin::metric::*;
}

/// Exported by a learning-rate schedule.
pub mod schedule {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package swift:sdk; world schedule { export swift:plugin/schedule@0.1.0; }",
        pub_export_macro: true,
        export_macro_name: "export_schedule",
        default_bindings_module: "::swift_plugin::bindings::schedule",
    });
    pub use exports::swift::plugin::schedule::*;
}

/// Exported by an optimiser.
pub mod optimizer {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package swift:sdk; world optimizer { export swift:plugin/optimizer@0.1.0; }",
        with: {
            "swift:plugin/tensor@0.1.0": super::host::tensor,
        },
        pub_export_macro: true,
        export_macro_name: "export_optimizer",
        default_bindings_module: "::swift_plugin::bindings::optimizer",
    });
    pub use exports::swift::plugin::optimizer::*;
}

/// Exported by a reward.
pub mod reward {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package swift:sdk; world reward { export swift:plugin/reward@0.1.0; }",
        additional_derives: [PartialEq],
        pub_export_macro: true,
        export_macro_name: "export_reward",
        default_bindings_module: "::swift_plugin::bindings::reward",
    });
    pub use exports::swift::plugin::reward::*;
}

/// Exported by a set of chat templates.
pub mod template {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package swift:sdk; world template { export swift:plugin/template@0.1.0; }",
        with: {
            "swift:plugin/conversation@0.1.0": super::conversation,
        },
        additional_derives: [PartialEq],
        pub_export_macro: true,
        export_macro_name: "export_template",
        default_bindings_module: "::swift_plugin::bindings::template",
    });
    pub use exports::swift::plugin::template::*;
}

/// Exported by a rule for loss weights.
pub mod loss_scale {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package swift:sdk; world loss-scale { export swift:plugin/loss-scale@0.1.0; }",
        pub_export_macro: true,
        export_macro_name: "export_loss_scale",
        default_bindings_module: "::swift_plugin::bindings::loss_scale",
    });
    pub use exports::swift::plugin::loss_scale::*;
}

/// Exported by a sampler.
pub mod sampler {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package swift:sdk; world sampler { export swift:plugin/sampler@0.1.0; }",
        with: {
            "swift:plugin/tensor@0.1.0": super::host::tensor,
            "swift:plugin/generation-view@0.1.0": super::host::generation_view,
        },
        pub_export_macro: true,
        export_macro_name: "export_sampler",
        default_bindings_module: "::swift_plugin::bindings::sampler",
    });
    pub use exports::swift::plugin::sampler::*;
}

/// Exported by a parser of tool calls.
pub mod tool_parser {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package swift:sdk; world tool-parser { export swift:plugin/tool-parser@0.1.0; }",
        pub_export_macro: true,
        export_macro_name: "export_tool_parser",
        default_bindings_module: "::swift_plugin::bindings::tool_parser",
    });
    pub use exports::swift::plugin::tool_parser::*;
}
