//! What definitions of decoders share: reading a `config.json` in the spellings of transformers 4 and 5, rotary tables, norms,
//! and what lies before and after the layers.

mod activation;
mod norm;
mod outline;
mod rotary;
mod sizes;
mod windows;

pub use activation::Activation;
pub use norm::{Norm, NormStyle};
pub use outline::{Decoder, Outline};
pub use rotary::{rotary_of_layers, rotary_scaled, rotary_table};
pub use sizes::{Sizes, refuse_quantised, refuse_unless};
pub use windows::{layer_types, sliding_window};

use crate::{Result, Settings, Value};

/// The entry of `architectures` and the `model_type` of a `config.json`; empty where there is none.
///
/// # Errors
/// If either is of another type.
pub fn names(config: &Settings) -> Result<(&str, &str)> {
    let architecture = config.list("architectures")?.and_then(|names| names.first()).and_then(Value::as_str);
    Ok((architecture.unwrap_or_default(), config.text("model_type")?.unwrap_or_default()))
}

#[cfg(test)]
mod tests;
