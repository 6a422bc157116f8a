//! The table of rules: `rules.json`.
//!
//! The rules are those of the same name in ms-swift 4.6.0.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex_lite::{Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::{Map, Value};
use swift_plugin::{Error, Result, bail};

/// A rule. What no part of it knows has the factor 1.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Rule {
    /// Words, with their own factor and that of what follows them, up to the next one.
    pub(crate) keywords: BTreeMap<String, [f64; 2]>,
    /// Regular expressions with the factor of what they match. A dot is any character, a new line too.
    #[serde(deserialize_with = "expressions")]
    pub(crate) patterns: Vec<(Regex, f64)>,
    /// Words of a question, with the factor of the whole answer to it.
    pub(crate) questions: BTreeMap<String, f64>,
}

static RULES: LazyLock<Result<BTreeMap<String, Rule>>> =
    LazyLock::new(|| Ok(serde_json::from_str(include_str!("rules.json"))?));

/// The rule of a name.
pub(crate) fn find(name: &str) -> Result<&'static Rule> {
    let rules = RULES.as_ref().map_err(Error::clone)?;
    let Some(rule) = rules.get(name) else {
        let known: Vec<String> = rules.keys().map(|name| format!("`{name}`")).collect();
        bail!("there is no loss scale `{name}`; there are {}", known.join(", "));
    };
    Ok(rule)
}

fn expressions<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<(Regex, f64)>, D::Error> {
    let patterns = Map::<String, Value>::deserialize(deserializer)?;
    let compiled = patterns.into_iter().map(|(pattern, factor)| {
        let regex = RegexBuilder::new(&pattern).dot_matches_new_line(true).build();
        let regex = regex.map_err(serde::de::Error::custom)?;
        Ok((regex, factor.as_f64().ok_or_else(|| serde::de::Error::custom("a factor is no number"))?))
    });
    compiled.collect()
}
