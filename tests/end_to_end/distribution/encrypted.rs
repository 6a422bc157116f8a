//! Servers and registries are believed if somebody vouches for them whom the user trusts.

use std::path::Path;

use swift_fetch::Digest;
use swift_tests::{Authority, Outcome, Reply, Server};

use super::{plugin, printed, sft, write};

/// A name that stands for no server (RFC 2606).
const REGISTRY: &str = "registry.example";

/// A server that has the standard plugin, under the names of this machine and of [`REGISTRY`].
fn server(authority: &Authority) -> Server {
    let server = Server::start_encrypted(authority, &["localhost", REGISTRY]).unwrap();
    server.put("/sft.wasm", Reply::file(sft()));
    server
}

/// A file of a server that must be the standard plugin.
fn file(server: &Server, name: &str) -> String {
    let host = server.host().replace("127.0.0.1", "localhost");
    format!("https://{host}/{name}#sha256={}", Digest::of(&sft()).hexadecimal())
}

/// `swift-host plugin inspect`, with the certificates in a file.
fn inspect(folder: &Path, reference: &str, certificates: &Path) -> Outcome {
    plugin(folder, &["inspect", reference], &[("SSL_CERT_FILE", certificates.to_str().unwrap())])
}

#[test]
fn a_server_with_a_certificate_of_ones_own_authority_is_believed() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new().unwrap());
    let server = server(&authority);
    let trusted = write(folder.path(), "authority.pem", authority.certificate().as_bytes());
    let found = inspect(folder.path(), &file(&server, "sft.wasm"), &trusted);
    assert!(printed(&found).ends_with("sft"), "{}", found.stdout);
    assert!(found.stdout.contains(&format!("digest   {}\n", Digest::of(&sft()))), "{}", found.stdout);
    assert_eq!(server.requests(), ["GET /sft.wasm"]);
    // What it sends is believed only as far as its digest goes, all the same.
    server.put("/other.wasm", Reply::file("something else"));
    let folder = tempfile::tempdir().unwrap();
    let other = inspect(folder.path(), &file(&server, "other.wasm"), &trusted);
    assert_eq!(other.code, Some(1));
    assert!(other.stderr.contains(&Digest::of(b"something else").to_string()), "{}", other.stderr);
}

#[test]
fn a_server_that_nobody_trusted_vouches_for_is_told_apart_from_one_that_is_not_there() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new().unwrap());
    let server = server(&authority);
    let another = Authority::new().unwrap().certificate();
    let another = write(folder.path(), "another.pem", another.as_bytes());
    let reference = file(&server, "sft.wasm");
    let (url, _) = reference.split_once('#').unwrap();
    let error = format!(
        "error: The certificate of `{url}` is not to be trusted: nobody who is trusted vouches for it\n"
    );
    let hint = "hint: if its authority is your own, set `SSL_CERT_FILE` to the file of the authority's certificate, in PEM\n";
    let refused = inspect(folder.path(), &reference, &another);
    assert_eq!((refused.code, refused.stderr), (Some(1), format!("{error}{hint}")));
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new().unwrap());
    let server = Server::start_encrypted(&authority, &[REGISTRY]).unwrap();
    let trusted = write(folder.path(), "authority.pem", authority.certificate().as_bytes());
    let refused = inspect(folder.path(), &file(&server, "sft.wasm"), &trusted);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("is not to be trusted: certificate not valid for name"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_redirect_does_not_give_up_encryption() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new().unwrap());
    let (server, plain) = (server(&authority), Server::start().unwrap());
    let trusted = write(folder.path(), "authority.pem", authority.certificate().as_bytes());
    plain.put("/sft.wasm", Reply::file(sft()));
    // Even to this machine, where it may be left out otherwise.
    let elsewhere = format!("http://{}/sft.wasm", plain.host());
    server.put("/moved.wasm", Reply::redirect(&elsewhere));
    let refused = inspect(folder.path(), &file(&server, "moved.wasm"), &trusted);
    assert_eq!(refused.code, Some(2));
    let error = format!("error: `{elsewhere}` would be fetched without encryption\nhint: ");
    assert!(refused.stderr.starts_with(&error), "{}", refused.stderr);
    assert_eq!(plain.requests(), [""; 0]);
    server.put("/moved.wasm", Reply::redirect("/sft.wasm"));
    printed(&inspect(folder.path(), &file(&server, "moved.wasm"), &trusted));
}

#[test]
fn a_registry_is_reached_through_a_proxy() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new().unwrap());
    let server = server(&authority);
    let trusted = write(folder.path(), "authority.pem", authority.certificate().as_bytes());
    let given = write(folder.path(), "given.wasm", &sft());
    let proxy = format!("http://{}", server.host());
    let tag = format!("oci://{REGISTRY}/losses/sft:1");
    let call = |folder: &Path, words: &[&str]| {
        let environment =
            [("SSL_CERT_FILE", trusted.to_str().unwrap()), ("ALL_PROXY", &proxy), ("NO_PROXY", "")];
        plugin(folder, words, &environment)
    };
    let published = call(folder.path(), &["publish", given.to_str().unwrap(), &tag]);
    let reference = printed(&published).to_owned();
    assert!(reference.starts_with(&format!("{tag}@sha256:")), "{reference}");
    let fresh = tempfile::tempdir().unwrap();
    let found = call(fresh.path(), &["inspect", &reference]);
    assert!(printed(&found).ends_with("sft"), "{}", found.stdout);
    assert!(found.stdout.contains(&format!("origin   {reference}\n")), "{}", found.stdout);
    let requests = server.requests();
    assert!(requests.contains(&format!("CONNECT {REGISTRY}:443")), "{requests:?}");
    assert!(requests.contains(&format!("GET /v2/losses/sft/blobs/{}", Digest::of(&sft()))), "{requests:?}");
}

#[test]
fn certificates_that_cannot_be_read_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let reference = format!("https://localhost:1/sft.wasm#sha256={}", Digest::of(&sft()).hexadecimal());
    let empty = write(folder.path(), "empty.pem", b"no certificate");
    for (certificates, message) in [(&*empty, "there is none in it"), (Path::new("absent.pem"), "absent.pem")]
    {
        let refused = inspect(folder.path(), &reference, certificates);
        assert_eq!(refused.code, Some(1));
        let error = "error: Failed to read the certificates that `SSL_CERT_FILE` names: ";
        assert!(refused.stderr.starts_with(error), "{}", refused.stderr);
        assert!(refused.stderr.contains(message), "{}", refused.stderr);
        assert!(refused.stderr.contains("\nhint: name a file of certificates in PEM"), "{}", refused.stderr);
        // A run that fetches nothing does not need them.
        let environment = [("SSL_CERT_FILE", certificates.to_str().unwrap())];
        printed(&plugin(folder.path(), &["inspect", "sft"], &environment));
    }
}
