//! Downloads are believed only as far as their digests go.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use swift_fetch::{Digest, Error, Fetcher, Limits, Reference};
use swift_tests::{Reply, Server};

const CONTENT: &[u8] = b"what is asked for";

fn fetcher(folder: &Path) -> Fetcher {
    Fetcher::new(Some(folder.to_owned()), Limits::default())
}

fn limited(limits: Limits) -> Fetcher {
    Fetcher::new(None, limits)
}

/// The file of a server that must be [`CONTENT`].
fn file(server: &Server, path: &str) -> Reference {
    let digest = Digest::of(CONTENT).hexadecimal();
    format!("http://{}{path}#sha256={digest}", server.host()).parse().unwrap()
}

/// An artefact of a component, and the path of its blob.
fn published(server: &Server, component: &[u8]) -> (Reference, String) {
    let Reference::Artifact(artifact) = format!("oci://{}/a/b:1", server.host()).parse().unwrap() else {
        panic!("no artefact")
    };
    let reference = limited(Limits::default())
        .publish(component, &artifact, jiff::Timestamp::UNIX_EPOCH, [].into())
        .unwrap();
    (reference, format!("/v2/a/b/blobs/{}", Digest::of(component)))
}

fn component() -> Vec<u8> {
    wat::parse_str("(component)").unwrap()
}

#[test]
fn a_file_is_downloaded_once() {
    let (folder, server) = (tempfile::tempdir().unwrap(), Server::start().unwrap());
    server.put("/a.wasm", Reply::file(CONTENT));
    let (fetcher, reference) = (fetcher(folder.path()), file(&server, "/a.wasm"));
    let first = fetcher.fetch(&reference).unwrap();
    assert_eq!((&*first.bytes, first.digest, &first.source), (CONTENT, Digest::of(CONTENT), &reference));
    assert_eq!(server.requests(), ["GET /a.wasm"]);
    server.stop();
    assert_eq!(fetcher.fetch(&reference).unwrap(), first);
}

#[test]
fn a_file_with_another_digest_is_refused_and_not_kept() {
    let (folder, server) = (tempfile::tempdir().unwrap(), Server::start().unwrap());
    server.put("/a.wasm", Reply::file("something else"));
    let error = fetcher(folder.path()).fetch(&file(&server, "/a.wasm")).unwrap_err().to_string();
    assert!(error.contains(&Digest::of(CONTENT).to_string()), "{error}");
    assert!(error.contains(&Digest::of(b"something else").to_string()), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_kept_file_that_was_tampered_with_is_fetched_again() {
    let (folder, server) = (tempfile::tempdir().unwrap(), Server::start().unwrap());
    server.put("/a.wasm", Reply::file(CONTENT));
    let (fetcher, reference) = (fetcher(folder.path()), file(&server, "/a.wasm"));
    fetcher.fetch(&reference).unwrap();
    let kept = folder.path().join("sha256").join(Digest::of(CONTENT).hexadecimal());
    fs::write(&kept, "evil").unwrap();
    assert_eq!(fetcher.fetch(&reference).unwrap().bytes, CONTENT);
    assert_eq!(server.requests().len(), 2);
    assert_eq!(fs::read(&kept).unwrap(), CONTENT);
    fs::write(&kept, "evil").unwrap();
    server.stop();
    assert!(matches!(fetcher.fetch(&reference), Err(Error::Network { .. })));
}

#[test]
fn a_file_that_is_too_large_is_refused() {
    let server = Server::start().unwrap();
    for of_unknown_length in [false, true] {
        server.put("/a.wasm", Reply { of_unknown_length, ..Reply::file(CONTENT) });
        let fetch = |bytes| limited(Limits { bytes, ..Limits::default() }).fetch(&file(&server, "/a.wasm"));
        fetch(CONTENT.len() as u64).unwrap();
        let limit = CONTENT.len() as u64 - 1;
        assert!(matches!(fetch(limit), Err(Error::TooLarge { limit: found, .. }) if found == limit));
    }
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    // The system accepts the connection; nobody reads from it.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let digest = Digest::of(CONTENT).hexadecimal();
    let reference = format!("http://{}/#sha256={digest}", listener.local_addr().unwrap()).parse().unwrap();
    let limits = Limits { time: Duration::from_millis(50), ..Limits::default() };
    assert!(
        matches!(limited(limits).fetch(&reference), Err(Error::TooSlow { limit, .. }) if limit == limits.time)
    );
}

#[test]
fn redirects_are_followed_up_to_a_limit() {
    let server = Server::start().unwrap();
    server.put("/0", Reply::file(CONTENT));
    for hop in 1..=4 {
        server.put(&format!("/{hop}"), Reply::redirect(&format!("/{}", hop - 1)));
    }
    let fetch = |path| limited(Limits { redirects: 3, ..Limits::default() }).fetch(&file(&server, path));
    assert_eq!(fetch("/3").unwrap().bytes, CONTENT);
    assert!(matches!(fetch("/4"), Err(Error::TooManyRedirects { limit: 3, .. })));
}

#[test]
fn a_redirect_does_not_leave_this_machine_without_encryption() {
    let server = Server::start().unwrap();
    server.put("/a.wasm", Reply::redirect("http://192.0.2.1/a.wasm"));
    let error = limited(Limits::default()).fetch(&file(&server, "/a.wasm")).unwrap_err();
    assert!(matches!(error, Error::NotEncrypted { url } if url == "http://192.0.2.1/a.wasm"));
}

#[test]
fn an_artifact_whose_blob_is_another_is_refused() {
    let (server, component) = (Server::start().unwrap(), component());
    let (reference, blob) = published(&server, &component);
    let mut other = component.clone();
    *other.last_mut().unwrap() ^= 1;
    server.put(&blob, Reply::file(&*other));
    let error = limited(Limits::default()).fetch(&reference).unwrap_err();
    assert!(matches!(error, Error::WrongDigest { actual, .. } if actual == Digest::of(&other)), "{error}");
    server.put(&blob, Reply::file([component, vec![0]].concat()));
    assert!(matches!(limited(Limits::default()).fetch(&reference), Err(Error::TooLarge { .. })));
}

#[test]
fn an_artifact_whose_manifest_is_another_is_refused() {
    let server = Server::start().unwrap();
    let Reference::Artifact(pinned) = published(&server, &component()).0 else { panic!("no artefact") };
    let digest = pinned.digest().unwrap();
    server.put(&format!("/v2/a/b/manifests/{digest}"), Reply::file("{}"));
    let error = limited(Limits::default()).fetch(&Reference::Artifact(pinned)).unwrap_err();
    assert!(matches!(error, Error::WrongDigest { expected, .. } if expected == digest), "{error}");
}

#[test]
fn an_artifact_that_says_it_is_too_large_is_not_downloaded() {
    let (server, component) = (Server::start().unwrap(), component());
    let (reference, blob) = published(&server, &component);
    let limits = Limits { bytes: component.len() as u64 - 1, ..Limits::default() };
    assert!(matches!(limited(limits).fetch(&reference), Err(Error::TooLarge { .. })));
    assert!(!server.requests().contains(&format!("GET {blob}")));
}

#[test]
fn blobs_may_lie_elsewhere() {
    let (server, storage, component) = (Server::start().unwrap(), Server::start().unwrap(), component());
    let (reference, blob) = published(&server, &component);
    server.put(&blob, Reply::redirect(&format!("http://{}/blob", storage.host())));
    storage.put("/blob", Reply::file(&*component));
    assert_eq!(limited(Limits::default()).fetch(&reference).unwrap().bytes, component);
}

#[test]
fn what_is_there_is_not_uploaded_again() {
    let (server, component) = (Server::start().unwrap(), component());
    let first = published(&server, &component);
    let uploads =
        |server: &Server| server.requests().iter().filter(|request| request.starts_with("POST")).count();
    assert_eq!(uploads(&server), 2);
    assert_eq!(published(&server, &component), first);
    assert_eq!(uploads(&server), 2);
}
