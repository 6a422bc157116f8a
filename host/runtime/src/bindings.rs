//! What `bindgen!` makes of the contract.
//!
//! The imports are generated once; the world of each kind of plugin shares their types and adds only what it exports.
//! `meta`, which every plugin exports, is called through a world of its own so that the kinds need not.

/// What a plugin may import. The host implements the `Host` traits in here on the state of a store.
pub(crate) mod imports {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package swift:host;
            world imports {
                import swift:plugin/log@0.1.0;
                import swift:plugin/tensor@0.1.0;
                import swift:plugin/batch-view@0.1.0;
                import swift:plugin/nn@0.1.0;
                import swift:plugin/run-view@0.1.0;
                import swift:plugin/conversation@0.1.0;
                import swift:plugin/generation-view@0.1.0;
            }
        ",
        world: "swift:host/imports",
        imports: { default: trappable },
        trappable_error_type: { "swift:plugin/tensor.error" => crate::host::Failure },
    });
}

pub(crate) use imports::swift::plugin::{
    batch_view, conversation, generation_view, log, nn, run_view, tensor,
};

/// `meta`, of whatever kind the plugin is.
pub(crate) mod meta {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package swift:host;
            world described { export swift:plugin/meta@0.1.0; }
        ",
        world: "swift:host/described",
    });
}

/// The world of one kind of plugin.
macro_rules! world {
    ($module:ident, $world:literal) => {
        pub(crate) mod $module {
            wasmtime::component::bindgen!({
                path: "../../wit",
                world: $world,
                with: { "swift:plugin": crate::bindings::imports::swift::plugin },
            });
        }
    };
}

world!(loss, "swift:plugin/loss-plugin");
world!(model, "swift:plugin/model-plugin");
world!(callback, "swift:plugin/callback-plugin");
world!(dataset, "swift:plugin/dataset-plugin");
world!(metric, "swift:plugin/metric-plugin");
world!(schedule, "swift:plugin/schedule-plugin");
world!(optimizer, "swift:plugin/optimizer-plugin");
world!(reward, "swift:plugin/reward-plugin");
world!(template, "swift:plugin/template-plugin");
world!(loss_scale, "swift:plugin/loss-scale-plugin");
world!(sampler, "swift:plugin/sampler-plugin");
world!(tool_parser, "swift:plugin/tool-parser-plugin");
