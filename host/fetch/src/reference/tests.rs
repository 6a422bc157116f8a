use super::*;

const HEXADECIMAL: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn refused(text: &str) -> String {
    text.parse::<Reference>().unwrap_err().to_string()
}

#[test]
fn what_is_written_is_what_was_read() {
    let texts = [
        "oci://ghcr.io/someone/my-loss".to_owned(),
        "oci://localhost:5000/my_loss:1.0".to_owned(),
        "oci://[::1]:5000/a/b/c:x".to_owned(),
        format!("oci://ghcr.io/someone/loss@sha256:{HEXADECIMAL}"),
        format!("oci://ghcr.io/someone/loss:2@sha256:{HEXADECIMAL}"),
        format!("https://example.org/a.wasm?b=c#sha256={HEXADECIMAL}"),
        format!("http://127.0.0.1:8000/a.wasm#sha256={HEXADECIMAL}"),
    ];
    for text in texts {
        assert!(Reference::is_meant(&text));
        assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
    }
}

#[test]
fn an_artifact_has_parts() {
    let text = format!("oci://localhost:5000/a/b:1@sha256:{HEXADECIMAL}");
    let Reference::Artifact(artifact) = text.parse().unwrap() else { panic!("{text}") };
    assert_eq!((artifact.registry(), artifact.repository(), artifact.tag()), ("localhost:5000", "a/b", "1"));
    assert_eq!(artifact.digest(), Some(Digest::of(b"abc")));
    let Reference::Artifact(artifact) = "oci://ghcr.io/a".parse().unwrap() else { panic!("no artefact") };
    assert_eq!((artifact.tag(), artifact.digest()), ("latest", None));
}

#[test]
fn names_and_paths_are_not_meant_as_references() {
    for text in ["sft", "./oci/x.wasm", "C:/x.wasm", "oci:x"] {
        assert!(!Reference::is_meant(text));
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    assert!(refused("oci://ghcr.io").ends_with("it names no repository"));
    for host in ["", "ghcr.io?a", "ghcr.io#a", "ghcr.io\\a", "gh%20cr.io", "ghcr.io:port", "[::1", "a:b:c"] {
        assert!(refused(&format!("oci://{host}/loss")).ends_with("its host is none"), "{host}");
    }
    assert!(refused("oci://user@ghcr.io/loss").contains("its digest is not"));
    assert!(refused("oci://ghcr.io/Loss").contains("lower-case"));
    assert!(refused("oci://ghcr.io/a/../b").contains("lower-case"));
    assert!(refused("oci://ghcr.io/a//b").contains("lower-case"));
    assert!(refused("oci://ghcr.io/a:").contains("a tag is"));
    assert!(refused("oci://ghcr.io/a:b/c").contains("a tag is"));
    assert!(refused("oci://ghcr.io/a@sha256:12").contains("its digest is not"));
    assert!(refused("https://example.org/a.wasm#sha256=12").contains("64 hexadecimal digits"));
    assert!(refused(&format!("https://a:b@example.org/#sha256={HEXADECIMAL}")).contains("credentials"));
}

#[test]
fn a_file_must_be_pinned() {
    let error = "https://example.org/a.wasm".parse::<Reference>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "`https://example.org/a.wasm` does not say which digest the file must have"
    );
    assert!(error.hint().unwrap().contains("a.wasm#sha256="));
}

#[test]
fn without_encryption_only_this_machine_is_asked() {
    let of = |host: &str| format!("http://{host}/a.wasm#sha256={HEXADECIMAL}");
    for host in ["localhost", "127.0.0.1:80", "[::1]:8000"] {
        of(host).parse::<Reference>().unwrap();
    }
    for host in ["example.org", "localhost.example.org", "127.0.0.1.example.org", "10.0.0.1"] {
        assert!(refused(&of(host)).ends_with("would be fetched without encryption"), "{host}");
    }
}
