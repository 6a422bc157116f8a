use crate::{Result, Settings, Value, bail};

use super::refuse_quantised;

/// A row of a table of architectures that a definition supports.
pub trait Family {
    /// The entry of `architectures` in the `config.json` of its models.
    fn architecture(&self) -> &str;
    /// Their `model_type`.
    fn model_type(&self) -> &str;
}

impl Family for (&str, &str) {
    fn architecture(&self) -> &str {
        self.0
    }

    fn model_type(&self) -> &str {
        self.1
    }
}

impl<T> Family for (&str, &str, T) {
    fn architecture(&self) -> &str {
        self.0
    }

    fn model_type(&self) -> &str {
        self.1
    }
}

/// The row for an entry of `architectures`, or, where there is none, for a `model_type`.
pub fn family<'a, F: Family>(families: &'a [F], architecture: &str, model_type: &str) -> Option<&'a F> {
    families.iter().find(|family| match architecture {
        "" => family.model_type() == model_type,
        _ => family.architecture() == architecture,
    })
}

/// Reads a `config.json`, and finds the row of its model. `whose` ends the sentence that other models are refused with: "is
/// not ...".
///
/// # Errors
/// If the text is no object, no row is its model's, or its weights were quantised.
pub fn read_config<'a, F: Family>(text: &str, families: &'a [F], whose: &str) -> Result<(Settings, &'a F)> {
    let config = Settings::parse(text)?;
    let (architecture, model_type) = names(&config)?;
    let Some(family) = family(families, architecture, model_type) else {
        bail!("architecture `{architecture}` of model type `{model_type}` is not {whose}");
    };
    refuse_quantised(&config)?;
    Ok((config, family))
}

/// The entry of `architectures` and the `model_type` of a `config.json`; empty where there is none.
fn names(config: &Settings) -> Result<(&str, &str)> {
    let architecture = config.list("architectures")?.and_then(|names| names.first()).and_then(Value::as_str);
    Ok((architecture.unwrap_or_default(), config.text("model_type")?.unwrap_or_default()))
}
