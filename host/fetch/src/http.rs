//! Requests, each with a limit on size, time and redirects.

use std::io::ErrorKind;
use std::sync::OnceLock;

use rustls::CertificateError;
use ureq::http::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderName, LOCATION};
use ureq::http::{self, Method, Response};
use ureq::tls::TlsConfig;
use ureq::{Agent, AsSendBody, Body};
use url::Url;

use crate::address::{is_loopback, require_safe};
use crate::authorities::authorities;
use crate::{Error, Limits, Result};

/// A client, with connections that are used again.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    /// Made for the first request, since most runs have none, and certificates are read for it.
    agent: OnceLock<Agent>,
    limits: Limits,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: Vec<(HeaderName, String)>,
    /// What is sent along; not even an empty body if there is none.
    pub(crate) body: Option<&'a [u8]>,
    /// How large the answer may be.
    pub(crate) limit: u64,
}

impl<'a> Request<'a> {
    pub(crate) fn new(method: Method, url: Url, limit: u64) -> Self {
        Self { method, url, headers: Vec::new(), body: None, limit }
    }

    pub(crate) fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn body(mut self, body: &'a [u8]) -> Self {
        self.body = Some(body);
        self
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) url: Url,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The text of a header.
    pub(crate) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The answer, if it is a success.
    ///
    /// # Errors
    /// [`Error::Status`] if not.
    pub(crate) fn success(self) -> Result<Self> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        // The beginning of the first line says enough, and no answer shall fill the terminal.
        let text = String::from_utf8_lossy(&self.body);
        let line = text.lines().next().unwrap_or_default().trim();
        let message = line.chars().filter(|character| !character.is_control()).take(200).collect();
        Err(Error::Status { url: self.url.into(), status: self.status, message })
    }
}

impl Http {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { agent: OnceLock::new(), limits }
    }

    fn agent(&self) -> Result<&Agent> {
        if let Some(agent) = self.agent.get() {
            return Ok(agent);
        }
        let config = Agent::config_builder()
            .user_agent(concat!("swift-host/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            // They are followed here, where each address is looked at.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(self.limits.time))
            .tls_config(TlsConfig::builder().root_certs(authorities()?).build());
        Ok(self.agent.get_or_init(|| config.build().into()))
    }

    /// Sends a request and follows redirects of what only reads.
    ///
    /// # Errors
    /// If there is no answer, or it is not within the limits. An answer that is no success is none of these.
    pub(crate) fn send(&self, mut request: Request<'_>) -> Result<Answer> {
        let first = request.url.clone();
        for _ in 0..=self.limits.redirects {
            let answer = self.send_once(&request)?;
            let reads = [Method::GET, Method::HEAD].contains(&request.method);
            if !reads || !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            let next = location(&answer)?;
            if request.url.scheme() == "https" && next.scheme() != "https" {
                return Err(Error::NotEncrypted { url: next.into() });
            }
            if next.origin() != request.url.origin() {
                request.headers.retain(|(name, _)| name != AUTHORIZATION);
            }
            request.url = next;
        }
        Err(Error::TooManyRedirects { url: first.into(), limit: self.limits.redirects })
    }

    fn send_once(&self, request: &Request<'_>) -> Result<Answer> {
        require_safe(&request.url)?;
        let mut builder = http::Request::builder().method(request.method.clone()).uri(request.url.as_str());
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        let (agent, url) = (self.agent()?, &request.url);
        let response = match request.body {
            Some(body) => {
                builder.body(body).map_err(ureq::Error::from).and_then(|sent| run(agent, sent, url))
            }
            None => builder.body(()).map_err(ureq::Error::from).and_then(|sent| run(agent, sent, url)),
        };
        response.and_then(|response| read(response, request)).map_err(|error| self.explain(error, request))
    }

    fn explain(&self, error: ureq::Error, request: &Request<'_>) -> Error {
        let url = request.url.to_string();
        match error {
            ureq::Error::Timeout(_) => Error::TooSlow { url, limit: self.limits.time },
            ureq::Error::Io(error) if error.kind() == ErrorKind::TimedOut => {
                Error::TooSlow { url, limit: self.limits.time }
            }
            ureq::Error::BodyExceedsLimit(_) => Error::TooLarge { url, limit: request.limit },
            ureq::Error::Io(ref error) if let Some(message) = distrust(error) => {
                Error::Certificate { url, message }
            }
            other => Error::Network { url, message: other.to_string() },
        }
    }
}

fn run(
    agent: &Agent,
    request: http::Request<impl AsSendBody>,
    url: &Url,
) -> std::result::Result<Response<Body>, ureq::Error> {
    if is_loopback(url) {
        // What is on this machine is not asked of a proxy.
        return agent.run(agent.configure_request(request).proxy(None).build());
    }
    agent.run(request)
}

/// Why a server is not believed to be who it says it is, if that is why there is no connection.
fn distrust(error: &std::io::Error) -> Option<String> {
    match error.get_ref()?.downcast_ref()? {
        // The second is one of the same name, with another key.
        rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => Some("nobody who is trusted vouches for it".to_owned()),
        rustls::Error::InvalidCertificate(reason) => Some(reason.to_string()),
        _ => None,
    }
}

fn read(mut response: Response<Body>, request: &Request<'_>) -> std::result::Result<Answer, ureq::Error> {
    let announced =
        response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let has_body = request.method != Method::HEAD;
    if has_body && announced.is_some_and(|length| length > request.limit) {
        return Err(ureq::Error::BodyExceedsLimit(request.limit));
    }
    let body = if has_body {
        // One that is as large as it may be is not too large.
        let body = response.body_mut().with_config().limit(request.limit.saturating_add(1)).read_to_vec()?;
        if body.len() as u64 > request.limit {
            return Err(ureq::Error::BodyExceedsLimit(request.limit));
        }
        body
    } else {
        Vec::new()
    };
    Ok(Answer {
        url: request.url.clone(),
        status: response.status().as_u16(),
        headers: std::mem::take(response.headers_mut()),
        body,
    })
}

/// Where an answer sends the client.
///
/// # Errors
/// If it does not say.
pub(crate) fn location(answer: &Answer) -> Result<Url> {
    let wrong = |message: &str| Error::Protocol { url: answer.url.to_string(), message: message.to_owned() };
    let location = answer.header(LOCATION).ok_or_else(|| wrong("it has no header `Location`"))?;
    answer.url.join(location).map_err(|_| wrong("its header `Location` is no address"))
}
