//! Reading a `config.json`.

use serde_json::Value;

use crate::{Error, Result, Row, bail};

/// A JSON object of settings, such as a model's `config.json`. Reading gives an error that names the setting if it is of
/// another type; null is the same as missing.
#[derive(Clone, Debug, Default)]
pub struct Settings(Row);

impl Settings {
    /// The settings in a JSON text.
    ///
    /// # Errors
    /// If it is not a JSON object.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(Self(serde_json::from_str(text)?))
    }

    /// Whether there is such a setting, be it null.
    pub fn mentions(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A setting of any type.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text.
    ///
    /// # Errors
    /// If it is something else.
    pub fn text(&self, name: &str) -> Result<Option<&str>> {
        self.typed(name, "text", Value::as_str)
    }

    /// A number.
    ///
    /// # Errors
    /// If it is something else.
    pub fn number(&self, name: &str) -> Result<Option<f64>> {
        self.typed(name, "a number", Value::as_f64)
    }

    /// A number that has no fraction and is not negative.
    ///
    /// # Errors
    /// If it is something else.
    pub fn integer(&self, name: &str) -> Result<Option<u64>> {
        self.typed(name, "a whole number", Value::as_u64)
    }

    /// A size that has to be there: a whole number above 0.
    ///
    /// # Errors
    /// If it is missing or something else.
    pub fn size(&self, name: &str) -> Result<u64> {
        match self.integer(name)? {
            None => bail!("`{name}` is missing"),
            Some(0) => bail!("`{name}` is 0"),
            Some(size) => Ok(size),
        }
    }

    /// True or false; false if it is missing.
    ///
    /// # Errors
    /// If it is something else.
    pub fn flag(&self, name: &str) -> Result<bool> {
        Ok(self.typed(name, "true or false", Value::as_bool)?.unwrap_or(false))
    }

    /// True or false; `default` if it is not mentioned.
    ///
    /// # Errors
    /// If it is something else.
    pub fn flag_or(&self, name: &str, default: bool) -> Result<bool> {
        if self.mentions(name) { self.flag(name) } else { Ok(default) }
    }

    /// A list.
    ///
    /// # Errors
    /// If it is something else.
    pub fn list(&self, name: &str) -> Result<Option<&[Value]>> {
        self.typed(name, "a list", |value| value.as_array().map(Vec::as_slice))
    }

    /// A group of settings.
    ///
    /// # Errors
    /// If it is something else.
    pub fn section(&self, name: &str) -> Result<Option<Self>> {
        self.typed(name, "a group of settings", |value| value.as_object().cloned().map(Self))
    }

    fn typed<'a, T>(
        &'a self,
        name: &str,
        what: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let read = |value| read(value).ok_or_else(|| Error::new(format!("`{name}` is {value}, not {what}")));
        self.get(name).map(read).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_of_another_type_is_named() {
        let settings =
            Settings::parse(r#"{"layers": 2.5, "bias": null, "heads": 0, "rope": {"theta": 5}}"#).unwrap();
        assert_eq!(settings.integer("layers").unwrap_err().message(), "`layers` is 2.5, not a whole number");
        assert_eq!(settings.size("heads").unwrap_err().message(), "`heads` is 0");
        assert_eq!(settings.size("width").unwrap_err().message(), "`width` is missing");
        assert!(!settings.flag("bias").unwrap());
        assert!(settings.mentions("bias") && settings.get("bias").is_none());
        assert_eq!(settings.section("rope").unwrap().unwrap().number("theta").unwrap(), Some(5.0));
    }
}
