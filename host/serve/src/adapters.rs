//! `GET` and `POST /v1/adapters`, and `DELETE /v1/adapters/{name}`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;
use swift_infer::Error;

use crate::app::{App, wait};
use crate::error::{ApiError, Result, json_response};
use crate::fields::Fields;

/// The most bytes of a name.
const LONGEST_NAME: usize = 128;

pub(crate) async fn load(app: &Arc<App>, body: &[u8]) -> Result<Response> {
    allowed(app)?;
    let mut fields = Fields::parse(body)?;
    let (name, path): (String, String) = (fields.need("name")?, fields.need("path")?);
    fields.finish(&[])?;
    if name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
        let rule = format!("must have from 1 to {LONGEST_NAME} bytes, none of them control characters");
        return Err(ApiError::field("name", &rule));
    }
    if name == app.options.model {
        return Err(ApiError::field("name", "is the served model's"));
    }
    let folder = folder(allowed(app)?, &path)?;
    match app.generator.load_adapter(name.clone(), folder).await {
        Ok(Ok(())) => {}
        Ok(Err(error @ (Error::Model(_) | Error::Tensor(_) | Error::File { .. }))) => {
            return Err(ApiError::field("path", &format!("cannot be loaded: {error}")));
        }
        Ok(Err(error)) => return Err(error.into()),
        Err(_) => return Err(Error::Stopped.into()),
    }
    let loaded = json!({ "id": name, "object": "adapter", "parent": app.options.model });
    Ok(json_response(StatusCode::OK, &loaded))
}

pub(crate) async fn list(app: &Arc<App>) -> Result<Response> {
    let names = wait(app.generator.adapters()).await?;
    let adapter = |name| json!({ "id": name, "object": "adapter", "parent": app.options.model });
    let adapters: Vec<_> = names.into_iter().map(adapter).collect();
    Ok(json_response(StatusCode::OK, &json!({ "object": "list", "data": adapters })))
}

pub(crate) async fn unload(app: &Arc<App>, name: &str) -> Result<Response> {
    allowed(app)?;
    wait(app.generator.unload_adapter(name.to_owned())).await?;
    Ok(json_response(StatusCode::OK, &json!({ "id": name, "object": "adapter", "deleted": true })))
}

/// The folder that adapters come from.
fn allowed(app: &App) -> Result<&Path> {
    let message = "This server changes no adapters; `--adapters-dir` names the folder to load them from";
    app.adapters_dir.as_deref().ok_or_else(|| ApiError::new(StatusCode::FORBIDDEN, message))
}

/// The folder that a request means, which lies in `base`, also after symbolic links are followed. Nothing is said of
/// what lies outside.
fn folder(base: &Path, path: &str) -> Result<PathBuf> {
    let inside = std::fs::canonicalize(base.join(path)).ok().filter(|folder| folder.starts_with(base));
    inside.filter(|folder| folder.is_dir() && folder != base).ok_or_else(|| {
        let error = ApiError::field("path", "is no folder below that of `--adapters-dir`");
        ApiError { status: StatusCode::FORBIDDEN, ..error }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_below_are_found() {
        let outer = tempfile::tempdir().unwrap();
        let base = outer.path().canonicalize().unwrap().join("base");
        std::fs::create_dir_all(base.join("a/b")).unwrap();
        std::fs::create_dir_all(outer.path().join("other")).unwrap();
        std::os::unix::fs::symlink(outer.path().join("other"), base.join("link")).unwrap();
        assert_eq!(folder(&base, "a/b"), Ok(base.join("a/b")));
        assert_eq!(folder(&base, base.join("a").to_str().unwrap()), Ok(base.join("a")));
        for path in ["", ".", "..", "../other", "a/../../other", "link", "/etc", "missing", "a\0"] {
            assert_eq!(folder(&base, path).err().map(|error| error.status.as_u16()), Some(403), "{path}");
        }
    }
}
