use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use rustls::{ServerConfig, ServerConnection, Stream};
use swift_fetch::Digest;

use crate::Authority;

/// What is answered to a `GET`.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Header lines.
    pub headers: Vec<String>,
    /// The content.
    pub body: Vec<u8>,
    /// Whether the length is kept for itself, so that the end of the connection is that of the content.
    pub of_unknown_length: bool,
}

impl Reply {
    /// A file.
    pub fn file(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, body: body.into(), ..Self::default() }
    }

    /// A redirect.
    pub fn redirect(to: &str) -> Self {
        Self { status: 307, headers: vec![format!("Location: {to}")], ..Self::default() }
    }

    fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }
}

#[derive(Default)]
struct State {
    replies: BTreeMap<String, Reply>,
    requests: Vec<String>,
    /// The header that a token is given for.
    login: Option<String>,
    /// Whether a request came with credentials.
    trusted: bool,
    stopped: bool,
    ended: bool,
}

/// An OCI registry and web server on this machine. It ends when it is dropped.
pub struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    thread: Option<JoinHandle<()>>,
}

/// The first byte of a connection that is encrypted (RFC 8446, 5.1: a record of a handshake).
const HANDSHAKE: u8 = 22;

const TOKEN: &str = "Bearer for-this-test";

struct Request {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Server {
    /// Starts a server with nothing in it.
    ///
    /// # Errors
    /// If there is no port.
    pub fn start() -> Result<Self> {
        Self::start_with(None)
    }

    /// Starts a server that also speaks TLS, and has these names by an authority. Asked for a connection as a proxy is, it gives
    /// one to itself, so that it can be reached by any name.
    ///
    /// # Errors
    /// If there is no port or no certificate.
    pub fn start_encrypted(authority: &Authority, names: &[&str]) -> Result<Self> {
        Self::start_with(Some(authority.vouch(names)?))
    }

    fn start_with(encryption: Option<Arc<ServerConfig>>) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let (address, state) = (listener.local_addr()?, Arc::new(Mutex::new(State::default())));
        let shared = state.clone();
        let serve = move || {
            for stream in listener.incoming().flatten() {
                if lock(&shared).ended {
                    break;
                }
                if lock(&shared).stopped {
                    continue;
                }
                // A client that has gone away is what some tests are about.
                let _ = connected(&stream, encryption.as_ref(), address, &shared);
            }
        };
        Ok(Self { address, state, thread: Some(thread::spawn(serve)) })
    }

    /// `IP:PORT`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Puts a reply in its place.
    pub fn put(&self, path: &str, reply: Reply) {
        lock(&self.state).replies.insert(path.to_owned(), reply);
    }

    /// What a `GET` of a path gives, if anything.
    pub fn content(&self, path: &str) -> Option<Vec<u8>> {
        Some(lock(&self.state).replies.get(path)?.body.clone())
    }

    /// All requests until now, as `METHOD PATH`.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.state).requests.clone()
    }

    /// From now on, nothing is answered. The port stays taken, so that no other server gets it.
    pub fn stop(&self) {
        lock(&self.state).stopped = true;
    }

    /// Whether any request came with credentials.
    pub fn was_trusted(&self) -> bool {
        lock(&self.state).trusted
    }

    /// From now on, the registry wants a token, and gives one for this header `Authorization`.
    pub fn require_login(&self, header: &str) {
        lock(&self.state).login = Some(header.to_owned());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        lock(&self.state).ended = true;
        // The thread waits for a connection to see that it has ended.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connected(
    mut stream: &TcpStream,
    encryption: Option<&Arc<ServerConfig>>,
    address: SocketAddr,
    state: &Mutex<State>,
) -> Result<()> {
    let mut first = [0];
    stream.peek(&mut first)?;
    match encryption {
        Some(encryption) if first == [HANDSHAKE] => {
            let mut connection = ServerConnection::new(encryption.clone())?;
            answer(&mut Stream::new(&mut connection, &mut stream), address, state)?;
            connection.send_close_notify();
            connection.complete_io(&mut stream)?;
            Ok(())
        }
        _ => {
            if answer(&mut stream, address, state)? == "CONNECT" {
                connected(stream, encryption, address, state)?;
            }
            Ok(())
        }
    }
}

/// Answers a request, and gives its method.
fn answer(mut stream: impl Read + Write, address: SocketAddr, state: &Mutex<State>) -> Result<String> {
    let request = read(&mut stream)?;
    let mut state = lock(state);
    state.trusted |= request.headers.contains_key("authorization");
    state.requests.push(format!("{} {}", request.method, request.path));
    let reply = reply(&request, address, &mut state);
    drop(state);
    let mut head = format!("HTTP/1.1 {} x\r\nConnection: close\r\n", reply.status);
    if !reply.of_unknown_length {
        head.push_str(&format!("Content-Length: {}\r\n", reply.body.len()));
    }
    reply.headers.iter().for_each(|header| head.push_str(&format!("{header}\r\n")));
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if request.method != "HEAD" {
        stream.write_all(&reply.body)?;
    }
    stream.flush()?;
    Ok(request.method)
}

fn read(stream: impl Read) -> Result<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = words.next().zip(words.next()).context("no request")?;
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(Ok(0), |length| length.parse())?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Request { method, path, headers, body })
}

fn reply(request: &Request, address: SocketAddr, state: &mut State) -> Reply {
    let Request { method, path, headers, body } = request;
    let authorization = headers.get("authorization");
    if path.starts_with("/token?") {
        let known = authorization.is_some() && authorization == state.login.as_ref();
        let token = TOKEN.trim_start_matches("Bearer ");
        return if known { Reply::file(format!("{{\"token\":\"{token}\"}}")) } else { Reply::status(401) };
    }
    if state.login.is_some() && authorization.is_none_or(|header| header != TOKEN) {
        let challenge = format!("WWW-Authenticate: Bearer realm=\"http://{address}/token\",service=\"test\"");
        return Reply { headers: vec![challenge], ..Reply::status(401) };
    }
    match method.as_str() {
        "GET" | "HEAD" => state.replies.get(path).cloned().unwrap_or_else(|| Reply::status(404)),
        "CONNECT" => Reply { of_unknown_length: true, ..Reply::status(200) },
        "POST" => Reply { headers: vec![format!("Location: {path}1?state=x")], ..Reply::status(202) },
        "PUT" => store(path, body, state),
        _ => Reply::status(405),
    }
}

/// Keeps a blob under its digest, or a manifest under its digest and its tag.
fn store(path: &str, body: &[u8], state: &mut State) -> Reply {
    let digest = Digest::of(body);
    let places = match (path.split_once("uploads/"), path.rsplit_once('/')) {
        (Some((blobs, upload)), _) => {
            let given = upload.split_once("digest=").map(|(_, given)| given.replace("%3A", ":"));
            if given != Some(digest.to_string()) {
                return Reply::status(400);
            }
            vec![format!("{blobs}{digest}")]
        }
        (None, Some((manifests, _))) => vec![path.to_owned(), format!("{manifests}/{digest}")],
        (None, None) => return Reply::status(400),
    };
    for place in places {
        state.replies.insert(place, Reply::file(body));
    }
    Reply::status(201)
}
