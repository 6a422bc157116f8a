use std::fmt::Write;

use sha2::{Digest, Sha256};

/// `sha256:…` over parts, each preceded by its length so that no two lists of parts collide.
pub(crate) fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut state = Sha256::new();
    for part in parts {
        state.update((part.len() as u64).to_le_bytes());
        state.update(part);
    }
    format!("sha256:{}", hexadecimal(&state.finalize()))
}

/// `sha256:…` of the bytes of a file, as `sha256sum` gives it.
pub(crate) fn file_digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hexadecimal(&Sha256::digest(bytes)))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
