//! Names of models in ids and in paths.

use std::path::Path;

/// What follows the owner in an id.
pub(crate) fn last_part(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

/// The name of the model that lies in a folder, going by the folder's name: the last part of the model's id, as downloads
/// name their folders. In the caches of huggingface_hub and modelscope a folder is named after a revision, and one above it
/// after the model (`models--OWNER--NAME/snapshots/REVISION`); modelscope writes `___` for a dot.
pub(crate) fn of_folder(folder: &Path) -> Option<String> {
    let mut parts = folder.components().rev().filter_map(|part| part.as_os_str().to_str());
    let last = parts.next()?;
    let name = match (parts.next(), parts.next()) {
        (Some("snapshots"), Some(cached)) => cached.rsplit("--").next().unwrap_or(cached),
        _ => last,
    };
    Some(name.replace("___", "."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_called_as_the_model_that_was_downloaded_to_it() {
        let name = |path: &str| of_folder(Path::new(path)).unwrap();
        assert_eq!(name("models/Some-1.5B-Chat/"), "Some-1.5B-Chat");
        assert_eq!(name("/x/hub/models--owner--Some-1.5B/snapshots/0123abcd"), "Some-1.5B");
        assert_eq!(name("/x/hub/owner/Some-1___5B"), "Some-1.5B");
        assert_eq!(name("snapshots/0123abcd"), "0123abcd");
    }
}
