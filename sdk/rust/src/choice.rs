//! Choosing by name.

use crate::{Result, bail};

/// What `name` names among `choices`; `what` is the thing that is chosen, as `loss type`.
///
/// ```
/// use swift_plugin::prelude::*;
///
/// const FORMULAS: &[(&str, fn(f64) -> f64)] = &[("square", |x| x * x), ("distance", f64::abs)];
///
/// assert_eq!(choose("formula", "square", FORMULAS).unwrap()(-3.0), 9.0);
/// let error = choose("formula", "cube", FORMULAS).unwrap_err();
/// assert_eq!(error.message(), "there is no formula `cube`; there are `square`, `distance`");
/// ```
///
/// # Errors
/// If none has the name; the error lists those that there are.
pub fn choose<'a, T>(what: &str, name: &str, choices: &'a [(&str, T)]) -> Result<&'a T> {
    let Some((_, choice)) = choices.iter().find(|(known, _)| *known == name) else {
        let known: Vec<String> = choices.iter().map(|(known, _)| format!("`{known}`")).collect();
        bail!("there is no {what} `{name}`; there are {}", known.join(", "));
    };
    Ok(choice)
}
