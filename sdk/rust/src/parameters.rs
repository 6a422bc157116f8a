//! Hyper-parameters: a struct whose fields carry type, default and documentation.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Error, Result, bail};

pub use crate::bindings::meta::{Parameter, ParameterType};

/// A struct of hyper-parameters; what [`parameters!`](crate::parameters) makes.
pub trait Parameters: Default + 'static {
    /// What the plugin is, in one sentence: the first paragraph of the struct's documentation.
    fn summary() -> String;

    /// The hyper-parameters, in the order of the fields.
    fn describe() -> Vec<Parameter>;

    /// Sets one hyper-parameter.
    ///
    /// # Errors
    /// If there is none of that name, or the value is of another type.
    fn set(&mut self, name: &str, value: Value) -> Result<()>;

    /// The defaults, changed by a JSON object.
    ///
    /// # Errors
    /// If the text is not a JSON object, or [`set`](Self::set) refuses one of its members.
    fn from_json(text: &str) -> Result<Self> {
        let mut parameters = Self::default();
        for (name, value) in serde_json::from_str::<serde_json::Map<String, Value>>(text)? {
            parameters.set(&name, value)?;
        }
        Ok(parameters)
    }
}

/// A type that a hyper-parameter can have.
pub trait ParameterValue: Serialize + DeserializeOwned {
    /// As the contract names it.
    const TYPE: ParameterType;
}

macro_rules! parameter_values {
    ($($kind:ident: $($type:ty)*;)*) => {$($(
        impl ParameterValue for $type {
            const TYPE: ParameterType = ParameterType::$kind;
        }
    )*)*};
}

parameter_values! {
    Boolean: bool;
    Integer: u8 u16 u32 u64 usize i8 i16 i32 i64 isize;
    Number: f32 f64;
    Text: String;
}

/// "Not set" is `null`.
impl<T: ParameterValue> ParameterValue for Option<T> {
    const TYPE: ParameterType = T::TYPE;
}

impl<T: ParameterValue> ParameterValue for Vec<T> {
    const TYPE: ParameterType = ParameterType::List;
}

/// Defines the struct of a plugin's hyper-parameters: fields with documentation, type and default. The documentation is
/// what the user reads. The struct gets [`Default`], [`Clone`], [`Debug`] and [`Parameters`].
///
/// ```
/// use swift_plugin::prelude::*;
///
/// parameters! {
///     /// Squares things.
///     pub struct Square {
///         /// How often.
///         pub times: u64 = 1,
///         /// Of which column; of all by default.
///         pub column: Option<String> = None,
///     }
/// }
/// let square = Square::from_json(r#"{"times": 3}"#).unwrap();
/// assert_eq!((square.times, square.column), (3, None));
/// assert_eq!(Square::describe()[0].summary, "How often.");
/// ```
///
/// What a plugin remembers between calls follows in a block of its own. It starts from its type's [`Default`]:
///
/// ```
/// # use swift_plugin::prelude::*;
/// use std::cell::Cell;
///
/// parameters! {
///     /// Counts.
///     pub struct Counter {
///         /// How far.
///         pub limit: u64 = 10,
///     }
///     remembers {
///         /// How far it got.
///         count: Cell<u64>,
///     }
/// }
/// assert_eq!(Counter::default().count.get(), 0);
/// ```
#[macro_export]
macro_rules! parameters {
    (
        $(#[doc = $summary:literal])*
        $visibility:vis struct $name:ident {
            $($(#[doc = $doc:literal])* $field_visibility:vis $field:ident: $type:ty = $default:expr),* $(,)?
        }
        $(remembers {
            $($(#[doc = $remembered_doc:literal])* $remembered:ident: $remembered_type:ty),* $(,)?
        })?
    ) => {
        $(#[doc = $summary])*
        #[derive(Clone, Debug)]
        $visibility struct $name {
            $($(#[doc = $doc])* $field_visibility $field: $type,)*
            $($($(#[doc = $remembered_doc])* $remembered: $remembered_type,)*)?
        }

        impl ::core::default::Default for $name {
            fn default() -> Self {
                Self {
                    $($field: $default,)*
                    $($($remembered: ::core::default::Default::default(),)*)?
                }
            }
        }

        impl $crate::Parameters for $name {
            fn summary() -> ::std::string::String {
                $crate::parameters::first_paragraph(&[$($summary),*])
            }

            fn describe() -> ::std::vec::Vec<$crate::Parameter> {
                let _default = Self::default();
                ::std::vec![$(
                    $crate::parameters::parameter(::core::stringify!($field), &[$($doc),*], &_default.$field)
                ),*]
            }

            fn set(&mut self, name: &str, _value: $crate::Value) -> $crate::Result<()> {
                match name {
                    $(::core::stringify!($field) => {
                        self.$field = $crate::parameters::value(name, _value)?;
                        ::core::result::Result::Ok(())
                    })*
                    _ => $crate::parameters::unknown::<Self>(name),
                }
            }
        }
    };
}

/// One entry of [`Parameters::describe`].
#[doc(hidden)]
pub fn parameter<T: ParameterValue>(name: &str, documentation: &[&str], default: &T) -> Parameter {
    Parameter {
        name: name.to_owned(),
        summary: first_paragraph(documentation),
        type_: T::TYPE,
        default_json: serde_json::to_value(default).unwrap_or_default().to_string(),
    }
}

/// A value of a hyper-parameter from JSON.
#[doc(hidden)]
pub fn value<T: ParameterValue>(name: &str, value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| Error::new(format!("parameter `{name}`: {error}")))
}

/// The answer to a name that is none.
#[doc(hidden)]
pub fn unknown<P: Parameters>(name: &str) -> Result<()> {
    let known: Vec<String> =
        P::describe().into_iter().map(|parameter| format!("`{}`", parameter.name)).collect();
    if known.is_empty() {
        bail!("there is no parameter `{name}`; the plugin has none");
    }
    bail!("there is no parameter `{name}`; there are {}", known.join(", "))
}

/// Lines of documentation up to the first empty one, as one line.
#[doc(hidden)]
pub fn first_paragraph(lines: &[&str]) -> String {
    let lines: Vec<&str> = lines.iter().map(|line| line.trim()).take_while(|line| !line.is_empty()).collect();
    lines.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::parameters! {
        /// Does things
        /// well.
        ///
        /// With an explanation.
        struct Things {
            /// How strongly.
            strength: f64 = 0.1,
            /// How often.
            times: u32 = 2,
            /// Which ones.
            names: Vec<String> = Vec::new(),
            /// Until when; for ever by default.
            until: Option<u64> = None,
        }
    }

    crate::parameters! {
        struct Nothing {}
    }

    #[test]
    fn a_description_has_names_types_defaults_and_first_sentences() {
        assert_eq!(Things::summary(), "Does things well.");
        let shown: Vec<String> = Things::describe()
            .iter()
            .map(|p| format!("{} {:?} {} {}", p.name, p.type_, p.default_json, p.summary))
            .collect();
        assert_eq!(
            shown,
            [
                "strength ParameterType::Number 0.1 How strongly.",
                "times ParameterType::Integer 2 How often.",
                "names ParameterType::List [] Which ones.",
                "until ParameterType::Integer null Until when; for ever by default.",
            ]
        );
    }

    #[test]
    fn values_come_from_json_and_the_rest_keeps_its_default() {
        let things = Things::from_json(r#"{"strength": 1, "names": ["a"], "until": 7}"#).unwrap();
        assert_eq!((things.strength, things.times, things.until), (1.0, 2, Some(7)));
        assert_eq!(things.names, ["a"]);
        assert!(Nothing::from_json("{}").is_ok());
    }

    #[test]
    fn a_wrong_type_and_an_unknown_name_are_named() {
        let error = Things::from_json(r#"{"times": -1}"#).unwrap_err();
        assert!(error.message().starts_with("parameter `times`: invalid value"), "{error}");
        let error = Things::from_json(r#"{"time": 1}"#).unwrap_err();
        assert_eq!(
            error.message(),
            "there is no parameter `time`; there are `strength`, `times`, `names`, `until`"
        );
        let error = Nothing::from_json(r#"{"time": 1}"#).unwrap_err();
        assert_eq!(error.message(), "there is no parameter `time`; the plugin has none");
    }
}
