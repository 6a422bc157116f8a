use super::sizes::small;
use crate::{Result, Settings, Value, bail};

/// Whether each layer looks back only over the window, as `layer_types` says it; none if the configuration has none.
///
/// # Errors
/// If there is an entry of another kind, or another number of them than of layers.
pub fn layer_types(config: &Settings, layers: u32) -> Result<Option<Vec<bool>>> {
    let Some(types) = config.list("layer_types")? else { return Ok(None) };
    if types.len() != layers as usize {
        bail!("`layer_types` has {} entries, and `num_hidden_layers` is {layers}", types.len());
    }
    let slides = types.iter().enumerate().map(|(layer, name)| match name.as_str().unwrap_or_default() {
        "full_attention" => Ok(false),
        "sliding_attention" => Ok(true),
        other => bail!("`layer_types` has `{other}` for layer {layer}, which is not supported"),
    });
    slides.collect::<Result<_>>().map(Some)
}

/// All layers but each `every`-th, as the usual order of layers with a window and without has it.
pub fn all_but_each(every: u64, layers: u32) -> Vec<bool> {
    (1..=u64::from(layers)).map(|number| !number.is_multiple_of(every)).collect()
}

/// The setting `sliding_window`: positions that a layer looks back, its own included; none if it is null. `default` is that of
/// a configuration that says nothing.
///
/// # Errors
/// If it is zero, negative or too large.
pub fn sliding_window(config: &Settings, default: Option<u32>) -> Result<Option<u32>> {
    match config.get("sliding_window").and_then(Value::as_i64) {
        Some(window) if window < 1 => bail!("`sliding_window` is {window}, not above 0"),
        _ if !config.mentions("sliding_window") => Ok(default),
        _ => config.integer("sliding_window")?.map(|window| small("sliding_window", window)).transpose(),
    }
}
