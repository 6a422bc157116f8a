//! The plugin that defines a model.

use std::cell::RefCell;

use swift_model::{ModelConfig, find_model_plugin};
use swift_runtime::{Kind, Limits, ModelPlugin, Plugin};

use crate::plugins::Plugins;

/// The first plugin that knows the model: of the chosen ones, then of the standard ones. Of those, none is compiled before its
/// turn, and the likely ones come first.
pub(crate) fn definition<'a>(
    config: &ModelConfig,
    chosen: impl IntoIterator<Item = &'a Plugin>,
    plugins: &Plugins,
    limits: impl Fn(&Plugin) -> Limits,
) -> anyhow::Result<(Plugin, ModelPlugin)> {
    let registry = plugins.registry();
    let chosen: Vec<&Plugin> =
        chosen.into_iter().filter(|plugin| plugin.kinds().contains(&Kind::Model)).collect();
    let standard = registry.likely(Kind::Model, config.architecture());
    let others = standard.iter().filter(|name| chosen.iter().all(|plugin| plugin.name() != **name));
    let candidates = chosen.iter().map(|plugin| (plugin.name(), Some((*plugin).clone())));
    let candidates = candidates.chain(others.map(|name| (*name, None)));
    let (last, limits) = (RefCell::new(None), &limits);
    let candidates = candidates.map(|(name, loaded)| {
        let last = &last;
        let make = move || {
            let plugin = loaded.map_or_else(|| registry.resolve(name), Ok)?;
            let model = plugin.model(&limits(&plugin))?;
            *last.borrow_mut() = Some(plugin);
            Ok(model)
        };
        (name.to_owned(), make)
    });
    let (name, definition) = find_model_plugin(config, candidates)?;
    let plugin = last.into_inner().map_or_else(|| plugins.resolve(&name), Ok)?;
    Ok((plugin, definition))
}
