//! What a component wants and gives, read from its bytes.

use serde::Serialize;
use wasmparser::{Parser, Payload};

use crate::{Error, Result};

/// The names of a component's imports and exports.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Interfaces {
    pub(crate) exports: Vec<String>,
    pub(crate) imports: Vec<String>,
}

impl Interfaces {
    /// Those of a component in bytes.
    ///
    /// # Errors
    /// If it is none.
    pub(crate) fn of(wasm: &[u8]) -> Result<Self> {
        let wrong = |message: &str| {
            let (reference, message) = ("the file".to_owned(), message.to_owned());
            Error::NotComponent { reference, message }
        };
        if !Parser::is_component(wasm) {
            return Err(wrong("it does not begin as one"));
        }
        Self::read(wasm).map_err(|error| wrong(error.message()))
    }

    fn read(wasm: &[u8]) -> wasmparser::Result<Self> {
        let (mut interfaces, mut depth) = (Self::default(), 0);
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::Version { .. } => depth += 1,
                Payload::End(_) => depth -= 1,
                // What is inside of it is its own business.
                Payload::ComponentImportSection(section) if depth == 1 => {
                    for import in section {
                        interfaces.imports.push(import?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 1 => {
                    for export in section {
                        interfaces.exports.push(export?.name.name.to_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(interfaces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_outermost_interfaces_count() {
        let text = "(component
            (import \"a:b/c@1.0.0\" (instance))
            (component $inner (instance $nothing) (export \"x\" (instance $nothing)))
            (instance $made)
            (export \"d:e/f@2.0.0\" (instance $made)))";
        let interfaces = Interfaces::of(&wat::parse_str(text).unwrap());
        let expected =
            Interfaces { exports: vec!["d:e/f@2.0.0".into()], imports: vec!["a:b/c@1.0.0".into()] };
        assert_eq!(interfaces.unwrap(), expected);
    }

    #[test]
    fn what_is_no_component_is_refused() {
        for wasm in [&b"text"[..], &wat::parse_str("(module)").unwrap(), b"\0asm\x0d\0\x01\0\xff"] {
            Interfaces::of(wasm).unwrap_err();
        }
    }
}
