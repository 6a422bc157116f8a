use std::fs;
use std::path::Path;

use wit_component::ComponentEncoder;

use crate::{Error, Result};

/// A component of a core module that holds what the contract's bindings put into it.
///
/// # Errors
/// If the module holds no such thing, or something that does not fit together.
pub fn component(module: &[u8]) -> Result<Vec<u8>> {
    let encoded = ComponentEncoder::default().validate(true).module(module);
    encoded.and_then(|mut encoder| encoder.encode()).map_err(|error| Error::Component(format!("{error:#}")))
}

/// Writes a file beside its place and renames it, so that whoever reads it never sees half of it. A file that would not
/// change is left alone, so that what depends on it is not built again.
///
/// # Errors
/// If it can't be written.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|current| current == bytes) {
        return Ok(());
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".unfinished");
    fs::write(&unfinished, bytes).map_err(Error::file("write", path))?;
    fs::rename(&unfinished, path).map_err(Error::file("write", path))
}
