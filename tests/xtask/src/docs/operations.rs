//! The page of operations: the functions of the interface `tensor` in families, with what `docs/operations.json` adds to
//! the contract. The conformance suite of `host/tensor` holds that table against what operations do.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::contract::{Contract, sentence};

const TABLE: &str = "docs/operations.json";

const HEADING: &str = "
| operation | formula | shape | takes | gives | gradient |
|---|---|---|---|---|---|
";

/// How to read the tables.
const LEGEND: &str = "
## Operations

`self` is left out of the signatures and is `a` in the formulas; `b` is `rhs`. All indices start at 0.

- **shape**: of the result. `broadcast`: as NumPy does with the shapes of all inputs.
- **takes**: the element types of the inputs, which must be equal where there are several. `any` is each of
  `float64`, `float32`, `bfloat16`, `float16`, `int64`, `uint32` and `uint8`; `floating point` the first four. Indices and
  segments are integers, a mask is `uint8`.
- **gives**: the element type of the result.
- **gradient**: whether the operation is differentiable in its floating-point inputs. A gradient through one that is not is an
  error that names it.
";

/// The text of the tables.
pub(super) fn tables(root: &Path, contract: &Contract) -> Result<String> {
    let table = fs::read_to_string(root.join(TABLE)).with_context(|| format!("can't read `{TABLE}`"))?;
    let families: Vec<Value> = serde_json::from_str(&table).with_context(|| format!("`{TABLE}`"))?;
    let interface = contract.interface("tensor")?;
    let mut text = LEGEND.to_owned();
    for family in &families {
        let word = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let title = word(family, "family").with_context(|| format!("a family of `{TABLE}` has no name"))?;
        let _ = write!(text, "\n### {title}\n{HEADING}");
        let operations = family.get("operations").and_then(Value::as_array).into_iter().flatten();
        let mut remarks = String::new();
        for operation in operations {
            let name =
                word(operation, "name").with_context(|| format!("an operation of `{TABLE}` has no name"))?;
            let function = interface.functions.values().find(|function| function.item_name() == name);
            let function = function.with_context(|| format!("the contract has no operation `{name}`"))?;
            let shown = |key: &str| word(operation, key).unwrap_or_else(|| "–".to_owned());
            let gradient = match operation.get("differentiable").and_then(Value::as_bool) {
                Some(true) => "yes",
                _ => "no",
            };
            let _ = writeln!(
                text,
                "| `{}` | `{}` | {} | {} | {} | {gradient} |",
                contract.signature(function),
                shown("formula").replace('|', "\\|"),
                shown("shape"),
                shown("takes"),
                shown("gives")
            );
            let _ = writeln!(remarks, "- `{name}`: {}", sentence(&function.docs));
        }
        let _ = write!(text, "\n{remarks}");
    }
    Ok(text)
}
