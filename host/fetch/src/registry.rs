//! The part of the OCI distribution protocol that plugins need.

use std::cell::RefCell;

use serde::Deserialize;
use ureq::http::Method;
use ureq::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use url::Url;

use crate::challenge::Challenge;
use crate::credentials::Credentials;
use crate::http::{Answer, Http, Request, location};
use crate::manifest::{MANIFEST_LIMIT, MANIFEST_TYPE};
use crate::{Artifact, Digest, Error, Result, address};

/// Answers without content are small.
const SMALL: u64 = 1 << 20;

/// What is done in a repository, in the words of a token's scope.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Access {
    Pull,
    Push,
}

impl Access {
    fn actions(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
        }
    }
}

/// A repository of a registry.
pub(crate) struct Repository<'a> {
    http: &'a Http,
    artifact: &'a Artifact,
    base: Url,
    access: Access,
    /// The header `Authorization`, once the registry has asked for it.
    authorization: RefCell<Option<String>>,
}

/// What gives tokens calls them by either name.
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl<'a> Repository<'a> {
    /// # Errors
    /// If the registry's name is none.
    pub(crate) fn new(http: &'a Http, artifact: &'a Artifact, access: Access) -> Result<Self> {
        let base = address::of_registry(artifact.registry())?;
        Ok(Self { http, artifact, base, access, authorization: RefCell::new(None) })
    }

    /// The manifest with a tag or a digest.
    ///
    /// # Errors
    /// If it can't be had.
    pub(crate) fn manifest(&self, name: &str) -> Result<Vec<u8>> {
        let url = self.url(&format!("manifests/{name}"))?;
        let request = Request::new(Method::GET, url, MANIFEST_LIMIT).header(ACCEPT, MANIFEST_TYPE);
        Ok(self.send(request)?.success()?.body)
    }

    /// The blob with a digest, which is not looked at here.
    ///
    /// # Errors
    /// If it can't be had, or is larger than `limit`.
    pub(crate) fn blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let url = self.url(&format!("blobs/{digest}"))?;
        Ok(self.send(Request::new(Method::GET, url, limit))?.success()?.body)
    }

    /// Uploads a blob, unless it is there.
    ///
    /// # Errors
    /// If it can't be.
    pub(crate) fn push_blob(&self, digest: &Digest, bytes: &[u8]) -> Result<()> {
        let there = self.send(Request::new(Method::HEAD, self.url(&format!("blobs/{digest}"))?, SMALL))?;
        if there.status == 200 {
            return Ok(());
        }
        let start = Request::new(Method::POST, self.url("blobs/uploads/")?, SMALL).body(&[]);
        let mut upload = location(&self.send(start)?.success()?)?;
        upload.query_pairs_mut().append_pair("digest", &digest.to_string());
        let request =
            Request::new(Method::PUT, upload, SMALL).header(CONTENT_TYPE, "application/octet-stream");
        self.send(request.body(bytes))?.success().map(drop)
    }

    /// Uploads a manifest under a tag.
    ///
    /// # Errors
    /// If it can't be.
    pub(crate) fn push_manifest(&self, tag: &str, bytes: &[u8]) -> Result<()> {
        let url = self.url(&format!("manifests/{tag}"))?;
        let request = Request::new(Method::PUT, url, SMALL).header(CONTENT_TYPE, MANIFEST_TYPE);
        self.send(request.body(bytes))?.success().map(drop)
    }

    fn url(&self, path: &str) -> Result<Url> {
        let whole = format!("{}/{path}", self.artifact.repository());
        self.base.join(&whole).map_err(|error| self.protocol(&self.base, &error.to_string()))
    }

    /// Sends a request, and once more with credentials if the registry asks for them.
    fn send(&self, request: Request<'_>) -> Result<Answer> {
        let answer = self.http.send(self.authorized(request.clone()))?;
        if answer.status != 401 {
            return Ok(answer);
        }
        let challenge = answer.header(WWW_AUTHENTICATE).and_then(Challenge::parse);
        let Some(authorization) = challenge.map(|challenge| self.authorize(challenge)).transpose()?.flatten()
        else {
            return Ok(answer);
        };
        self.authorization.replace(Some(authorization));
        self.http.send(self.authorized(request))
    }

    /// Credentials go to the registry alone, also when it wants uploads to go elsewhere.
    fn authorized<'b>(&self, request: Request<'b>) -> Request<'b> {
        match self.authorization.borrow().clone() {
            Some(value) if request.url.origin() == self.base.origin() => request.header(AUTHORIZATION, value),
            _ => request,
        }
    }

    /// The header that a challenge asks for, if there is anything to answer it with.
    fn authorize(&self, challenge: Challenge) -> Result<Option<String>> {
        let credentials = Credentials::find(self.artifact.registry())?;
        let Challenge::Bearer { realm, service } = challenge else {
            return Ok(credentials.map(|credentials| credentials.basic()));
        };
        let mut url =
            Url::parse(&realm).map_err(|_| self.protocol(&self.base, "its `realm` is no address"))?;
        let scope = format!("repository:{}:{}", self.artifact.repository(), self.access.actions());
        url.query_pairs_mut().append_pair("scope", &scope);
        if let Some(service) = service {
            url.query_pairs_mut().append_pair("service", &service);
        }
        let mut request = Request::new(Method::GET, url.clone(), SMALL);
        if let Some(credentials) = credentials {
            request = request.header(AUTHORIZATION, credentials.basic());
        }
        let body = self.http.send(request)?.success()?.body;
        let token: Option<Token> = serde_json::from_slice(&body).ok();
        let token = token.and_then(|token| token.token.or(token.access_token));
        let token = token.ok_or_else(|| self.protocol(&url, "it gives no token"))?;
        Ok(Some(format!("Bearer {token}")))
    }

    fn protocol(&self, url: &Url, message: &str) -> Error {
        Error::Protocol { url: url.to_string(), message: message.to_owned() }
    }
}
