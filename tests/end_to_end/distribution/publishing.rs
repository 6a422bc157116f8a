//! Plugins are published to a registry, and found there again.

use serde_json::{Value, json};
use swift_fetch::Digest;
use swift_tests::{Reply, Server};

use super::{plugin, printed, publish, sft, write};

/// `user:secret`, as the header `Authorization` has it.
const LOGIN: &str = "Basic dXNlcjpzZWNyZXQ=";

#[test]
fn what_was_published_comes_back() {
    let (folder, server) = (tempfile::tempdir().unwrap(), Server::start().unwrap());
    let reference = publish(folder.path(), &server, &sft(), "1.0");
    let tag = format!("oci://{}/losses/sft:1.0", server.host());
    assert!(reference.starts_with(&format!("{tag}@sha256:")), "{reference}");
    let by_tag = plugin(folder.path(), &["inspect", &tag], &[]);
    assert!(printed(&by_tag).ends_with("sft"));
    assert!(by_tag.stdout.contains(&format!("origin   {reference}\n")), "{}", by_tag.stdout);
    assert!(by_tag.stdout.contains(&format!("digest   {}\n", Digest::of(&sft()))), "{}", by_tag.stdout);
    server.stop();
    assert_eq!(
        plugin(folder.path(), &["inspect", &reference], &[]).stdout,
        by_tag.stdout,
        "without the network"
    );
    let gone = plugin(folder.path(), &["inspect", &tag], &[]);
    assert_eq!(gone.code, Some(1));
    assert!(gone.stderr.starts_with("error: Failed to reach `http://127.0.0.1:"), "{}", gone.stderr);
}

#[test]
fn an_artifact_has_the_layout_of_the_cncf() {
    let (folder, server) = (tempfile::tempdir().unwrap(), Server::start().unwrap());
    let reference = publish(folder.path(), &server, &sft(), "1.0");
    let (_, digest) = reference.split_once('@').unwrap();
    let manifest = server.content("/v2/losses/sft/manifests/1.0").unwrap();
    assert_eq!(Digest::of(&manifest).to_string(), digest);
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let config_digest = manifest["config"]["digest"].as_str().unwrap();
    let config = server.content(&format!("/v2/losses/sft/blobs/{config_digest}")).unwrap();
    let annotations = manifest["annotations"].as_object().unwrap();
    assert_eq!(annotations["org.opencontainers.image.title"], "sft");
    let layer = json!({
        "mediaType": "application/wasm",
        "digest": Digest::of(&sft()).to_string(),
        "size": sft().len(),
    });
    let expected = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.wasm.config.v0+json",
            "digest": Digest::of(&config).to_string(),
            "size": config.len(),
        },
        "layers": [layer],
        "annotations": annotations,
    });
    assert_eq!(manifest, expected);
    let config: Value = serde_json::from_slice(&config).unwrap();
    let interfaces = &config["component"];
    let names =
        |key: &str| interfaces[key].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
    assert!(names("exports").any(|name| name == "swift:plugin/loss@0.1.0"), "{interfaces}");
    assert!(names("imports").any(|name| name.starts_with("swift:plugin/tensor@")), "{interfaces}");
    let expected = json!({
        "created": "1970-01-01T00:00:00Z",
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [Digest::of(&sft()).to_string()],
        "component": interfaces,
    });
    assert_eq!(config, expected);
    assert_eq!(server.content(&format!("/v2/losses/sft/blobs/{}", Digest::of(&sft()))), Some(sft()));
}

#[test]
fn a_registry_may_ask_for_a_password() {
    let (folder, server) = (tempfile::tempdir().unwrap(), Server::start().unwrap());
    server.require_login(LOGIN);
    let file = write(folder.path(), "given.wasm", &sft());
    let to = format!("oci://{}/losses/sft:1", server.host());
    let words = ["publish", file.to_str().unwrap(), &to];
    let refused = plugin(folder.path(), &words, &[]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("status 401") && refused.stderr.contains("docker login"),
        "{}",
        refused.stderr
    );
    let login = |registry, password, rest| {
        let variables = [
            ("SWIFT_REGISTRY", registry),
            ("SWIFT_REGISTRY_USER", "user"),
            ("SWIFT_REGISTRY_PASSWORD", password),
            rest,
        ];
        plugin(folder.path(), &words, &variables)
    };
    let quiet = ("SWIFT_HOST_LOG", "warn");
    let host = server.host();
    let of_none = login("", "secret", quiet);
    assert_eq!(of_none.code, Some(2), "{}", of_none.stderr);
    assert!(of_none.stderr.contains(&format!("hint: set `SWIFT_REGISTRY={host}`")), "{}", of_none.stderr);
    let of_another = login("example.org", "secret", quiet);
    assert!(of_another.stderr.contains("status 401"), "{}", of_another.stderr);
    assert!(!server.was_trusted());
    let wrong = login(&host, "x1y2", quiet);
    assert!(wrong.stderr.contains("status 401") && !wrong.stderr.contains("x1y2"), "{}", wrong.stderr);
    let accepted = login(&host, "secret", ("SWIFT_HOST_LOG", "trace"));
    printed(&accepted);
    // In pieces, as a dump of bytes would have them.
    for secret in ["secret", "dXNlcj", "Bearer.f", "for-this-test"] {
        assert!(!accepted.stderr.contains(secret), "{}", accepted.stderr);
    }
    let scope = "GET /token?scope=repository%3Alosses%2Fsft%3Apull%2Cpush&service=test";
    assert!(server.requests().iter().any(|request| request == scope), "{:?}", server.requests());
    // The token is for the registry, and not for where its blobs lie.
    let (storage, blob) = (Server::start().unwrap(), format!("/v2/losses/sft/blobs/{}", Digest::of(&sft())));
    storage.put("/blob", Reply::file(sft()));
    server.put(&blob, Reply::redirect(&format!("http://{}/blob", storage.host())));
    // As `docker login` leaves it.
    let auths = json!({ "auths": { server.host(): { "auth": LOGIN.trim_start_matches("Basic ") } } });
    write(folder.path(), "config.json", auths.to_string().as_bytes());
    printed(&plugin(folder.path(), &["inspect", &to], &[]));
    assert_eq!(storage.requests(), ["GET /blob"]);
    assert!(server.was_trusted() && !storage.was_trusted());
}

#[test]
fn a_plugin_may_lie_on_a_web_server() {
    let (folder, server) = (tempfile::tempdir().unwrap(), Server::start().unwrap());
    server.put("/sft.wasm", Reply::file(sft()));
    let at = |digest: &Digest| format!("http://{}/sft.wasm#sha256={}", server.host(), digest.hexadecimal());
    let right = plugin(folder.path(), &["inspect", &at(&Digest::of(&sft()))], &[]);
    assert!(printed(&right).ends_with("sft"));
    let wrong = plugin(folder.path(), &["inspect", &at(&Digest::of(b"x"))], &[]);
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.stderr.contains(&Digest::of(&sft()).to_string()), "{}", wrong.stderr);
    assert!(wrong.stderr.contains(&Digest::of(b"x").to_string()), "{}", wrong.stderr);
}

#[test]
fn what_cannot_be_trusted_is_a_mistake_of_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let pinned = format!("http://example.org/a.wasm#sha256={}", Digest::of(b"x").hexadecimal());
    for (reference, message) in [
        (
            pinned.as_str(),
            "error: `http://example.org/a.wasm` would be fetched without encryption\nhint: use `https://`",
        ),
        ("https://example.org/a.wasm", "error: `https://example.org/a.wasm` does not say which digest"),
        (
            "oci://example.org",
            "error: `oci://example.org` is no reference to a plugin: it names no repository\nhint: ",
        ),
    ] {
        let outcome = plugin(folder.path(), &["inspect", reference], &[]);
        assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
        assert!(outcome.stderr.starts_with(message), "{}", outcome.stderr);
    }
}

#[test]
fn what_is_no_plugin_is_not_published() {
    let (folder, server) = (tempfile::tempdir().unwrap(), Server::start().unwrap());
    let file = write(folder.path(), "text.wasm", b"text");
    let to = format!("oci://{}/a:1", server.host());
    let outcome = plugin(folder.path(), &["publish", file.to_str().unwrap(), &to], &[]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("is not a WebAssembly file"), "{}", outcome.stderr);
    assert_eq!(server.requests(), [""; 0]);
}
