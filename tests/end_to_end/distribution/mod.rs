//! Plugins from registries and web servers.

mod encrypted;
mod fetching;
mod locked;
mod publishing;

use std::fs;
use std::path::{Path, PathBuf};

use swift_tests::{Outcome, Server, swift_host};

/// A standard plugin, which is as good as any other.
fn sft() -> Vec<u8> {
    let (_, wasm) = swift_standard_plugins::STANDARD.iter().find(|(name, _)| *name == "sft").unwrap();
    wasm.to_vec()
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// `swift-host plugin …` with downloads kept in `folder`, and without what the user has told docker.
fn plugin(folder: &Path, words: &[&str], environment: &[(&str, &str)]) -> Outcome {
    let mut command = swift_host(folder).unwrap();
    command
        .env("SWIFT_HOST_CACHE", folder.join("cache"))
        .env("DOCKER_CONFIG", folder)
        .env("SOURCE_DATE_EPOCH", "0");
    for variable in [
        "SWIFT_REGISTRY",
        "SWIFT_REGISTRY_USER",
        "SWIFT_REGISTRY_PASSWORD",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "ALL_PROXY",
        "NO_PROXY",
    ] {
        command.env_remove(variable);
    }
    command.arg("plugin").args(words).envs(environment.iter().copied()).output().unwrap().into()
}

/// The first line that was printed as a result, of a command that must succeed.
fn printed(outcome: &Outcome) -> &str {
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    outcome.stdout.lines().next().unwrap()
}

fn publish(folder: &Path, server: &Server, bytes: &[u8], tag: &str) -> String {
    let (file, to) =
        (write(folder, "given.wasm", bytes), format!("oci://{}/losses/sft:{tag}", server.host()));
    printed(&plugin(folder, &["publish", file.to_str().unwrap(), &to], &[])).to_owned()
}
