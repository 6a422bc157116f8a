//! The fields of a request, by their names and kinds.

use serde_json::{Map, Value};

use crate::error::{ApiError, Result};

/// Fields of OpenAI's and vLLM's interfaces without which an answer would be another one, and that nothing here knows.
const REFUSED: [&str; 13] = [
    "audio",
    "bad_words",
    "chat_template",
    "documents",
    "echo",
    "function_call",
    "functions",
    "logits_processors",
    "prompt_embeds",
    "return_tokens_as_token_ids",
    "suffix",
    "structural_tag",
    "web_search_options",
];

/// Fields of a request that have not been read.
pub(crate) struct Fields(Map<String, Value>);

/// What a field may hold.
pub(crate) trait Field: Sized {
    /// Completes the sentence "the field must be …".
    const KIND: &str;
    fn from_value(value: Value) -> Option<Self>;
}

macro_rules! field {
    ($type:ty, $kind:literal, $value:ident => $read:expr) => {
        impl Field for $type {
            const KIND: &str = $kind;
            fn from_value($value: Value) -> Option<Self> {
                $read
            }
        }
    };
}

field!(bool, "`true` or `false`", value => value.as_bool());
field!(f64, "a number", value => value.as_f64());
field!(i64, "a whole number", value => value.as_i64());
field!(u32, "a whole number that is not negative", value => value.as_u64()?.try_into().ok());
field!(usize, "a whole number that is not negative", value => value.as_u64()?.try_into().ok());
field!(Value, "a value", value => Some(value));
field!(String, "a text", value => match value {
    Value::String(text) => Some(text),
    _ => None,
});
field!(Vec<Value>, "a list", value => match value {
    Value::Array(items) => Some(items),
    _ => None,
});
field!(Map<String, Value>, "an object", value => match value {
    Value::Object(map) => Some(map),
    _ => None,
});
field!(Vec<u32>, "a list of whole numbers that are not negative", value => {
    Vec::from_value(value)?.into_iter().map(u32::from_value).collect()
});
field!(Vec<String>, "a text or a list of texts", value => match value {
    Value::String(text) => Some(vec![text]),
    value => Vec::from_value(value)?.into_iter().map(String::from_value).collect(),
});

impl Fields {
    /// Reads the body of a request.
    pub(crate) fn parse(body: &[u8]) -> Result<Self> {
        let text =
            std::str::from_utf8(body).map_err(|_| ApiError::invalid("The request is not valid UTF-8"))?;
        match serde_json::from_str(text) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(ApiError::invalid("The request is not a JSON object")),
            Err(error) => Err(ApiError::invalid(format!("The request is not valid JSON: {error}"))),
        }
    }

    /// Takes a field; one that is missing or `null` is none.
    pub(crate) fn take<T: Field>(&mut self, name: &str) -> Result<Option<T>> {
        match self.0.shift_remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match T::from_value(value) {
                Some(value) => Ok(Some(value)),
                None => Err(ApiError::field(name, &format!("must be {}", T::KIND))),
            },
        }
    }

    /// Takes a field that must be there.
    pub(crate) fn need<T: Field>(&mut self, name: &str) -> Result<T> {
        self.take(name)?.ok_or_else(|| ApiError::field(name, "is missing"))
    }

    /// Takes a boolean, false if it is missing.
    pub(crate) fn flag(&mut self, name: &str) -> Result<bool> {
        Ok(self.take(name)?.unwrap_or(false))
    }

    /// Refuses fields that would make another answer of it. Others that nothing was made of are passed over, as clients send what
    /// other servers know, and named in the log.
    pub(crate) fn finish(self, passed_over: &[&str]) -> Result<()> {
        let says_something = |name: &&str| self.0.get(*name).is_some_and(|value| !is_empty(value));
        if let Some(name) = REFUSED.iter().copied().find(says_something) {
            return Err(ApiError::field(name, "is not supported"));
        }
        let unknown = self.0.keys().filter(|name| !passed_over.contains(&name.as_str()));
        let unknown: Vec<&str> = unknown.map(String::as_str).collect();
        if !unknown.is_empty() {
            tracing::warn!("the request has fields that are not known: `{}`", unknown.join("`, `"));
        }
        Ok(())
    }
}

/// Whether a value asks for nothing.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_wrong_kind_are_named() {
        let mut fields =
            Fields::parse(br#"{"a": -1, "b": "x", "c": null, "d": [1, 2.5], "e": "s"}"#).unwrap();
        let message = |error: ApiError| error.message;
        assert_eq!(
            message(fields.take::<u32>("a").unwrap_err()),
            "`a` must be a whole number that is not negative"
        );
        assert_eq!(message(fields.take::<bool>("b").unwrap_err()), "`b` must be `true` or `false`");
        assert_eq!(fields.take::<bool>("c"), Ok(None));
        assert!(fields.take::<Vec<u32>>("d").is_err());
        assert_eq!(fields.take("e"), Ok(Some(vec!["s".to_owned()])));
        assert_eq!(message(fields.need::<f64>("f").unwrap_err()), "`f` is missing");
    }

    #[test]
    fn fields_that_would_change_the_answer_are_refused_if_they_say_something() {
        let finish = |text: &str| Fields::parse(text.as_bytes()).unwrap().finish(&[]);
        assert_eq!(
            finish(r#"{"bad_words": [], "suffix": "", "echo": false, "documents": null, "x": 1}"#),
            Ok(())
        );
        for name in REFUSED {
            let error = finish(&format!("{{\"{name}\": [\"x\"]}}")).unwrap_err();
            assert_eq!(error.message, format!("`{name}` is not supported"));
        }
    }

    #[test]
    fn what_is_no_json_object_is_refused() {
        for (body, message) in [
            (&b"\xff"[..], "The request is not valid UTF-8"),
            (b"[]", "The request is not a JSON object"),
            (b"{", "The request is not valid JSON: EOF while parsing an object at line 1 column 1"),
        ] {
            assert_eq!(Fields::parse(body).err().unwrap().message, message);
        }
    }
}
