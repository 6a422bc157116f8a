//! Which files are plugins, and what is said of those that are not.

use std::os::unix::fs::MetadataExt;

use serde_json::{Map, json};
use swift_runtime::{Engine, EngineOptions, Kind, Limits, Origin, ParameterType, Registry};
use wit_parser::Resolve;

use crate::support::{Guest, SCALAR, compute, encode, engine, error, load, message, value};

#[test]
fn a_plugin_says_what_it_is() {
    let wasm = Guest::loss(SCALAR).encode();
    let plugin = load(&wasm).unwrap();
    assert_eq!(plugin.name(), "hostile");
    assert_eq!(plugin.kinds(), [Kind::Loss]);
    assert_eq!(plugin.size(), wasm.len());
    assert!(plugin.digest().starts_with("sha256:") && plugin.digest().len() == 7 + 64);
    assert!(plugin.imports().contains(&"swift:plugin/tensor@0.1.0".to_owned()), "{:?}", plugin.imports());
    assert!(matches!(plugin.origin(), Origin::File(path) if path.ends_with("given.wasm")));
    let info = plugin.info();
    assert_eq!((info.version.as_str(), info.summary.as_str()), ("1.0", "Misbehaves"));
    let [beta] = info.parameters.as_slice() else { panic!("{info:?}") };
    assert_eq!(
        (beta.name.as_str(), beta.r#type, &beta.default),
        ("beta", ParameterType::Number, &json!(0.5))
    );
}

#[test]
fn standard_plugins_and_files_go_the_same_way() {
    let wasm: &'static [u8] = Guest::loss(SCALAR).encode().leak();
    let standard: &'static [(&str, &[u8])] = vec![("hostile", wasm)].leak();
    let registry = Registry::new(engine(), standard);
    assert_eq!(registry.names().collect::<Vec<_>>(), ["hostile"]);
    let plugin = registry.resolve("hostile").unwrap();
    assert_eq!(plugin.origin(), &Origin::Standard);
    assert_eq!(plugin.digest(), load(wasm).unwrap().digest());

    let error = error(registry.resolve("hostil"));
    assert_eq!(error.to_string(), "There is no plugin `hostil`");
    let hint = "did you mean `hostile`?";
    assert_eq!(error.hint().unwrap(), hint);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let text = message(Registry::new(engine(), &[]).resolve("no/such.wasm"));
    assert!(text.starts_with("Failed to read the plugin `no/such.wasm`: "), "{text}");
}

#[test]
fn a_file_that_is_not_webassembly_is_refused() {
    for bytes in [&b"#!/bin/sh"[..], b"", b"(component)"] {
        let text = message(load(bytes));
        assert!(text.ends_with("given.wasm` is not a WebAssembly file"), "{text}");
    }
}

#[test]
fn a_core_module_is_refused_with_the_way_out() {
    let error = error(load(&wat::parse_str("(module)").unwrap()));
    assert!(error.to_string().ends_with("is a core WebAssembly module and not a component"), "{error}");
    assert!(error.hint().unwrap().contains("wasm-tools component new"));
}

#[test]
fn a_damaged_component_is_refused() {
    let wasm = Guest::loss(SCALAR).encode();
    let text = message(load(&wasm[..wasm.len() - 1]));
    assert!(text.contains("given.wasm` is not a valid component: "), "{text}");
}

#[test]
fn a_component_that_is_no_plugin_is_told_what_it_exports_and_what_was_expected() {
    let wasm = wat::parse_str(r#"(component (instance $i) (export "a:b/c" (instance $i)))"#).unwrap();
    let error = error(load(&wasm));
    assert!(
        error.to_string().ends_with("exports nothing that the host knows; it exports `a:b/c`"),
        "{error}"
    );
    let hint = error.hint().unwrap();
    assert!(
        hint.contains("`swift:plugin/meta@0.1.0`") && hint.contains("`swift:plugin/loss@0.1.0`"),
        "{hint}"
    );
}

#[test]
fn a_newer_contract_is_refused_with_the_version_that_the_host_speaks() {
    let export =
        wat::parse_str(r#"(component (instance $i) (export "swift:plugin/loss@0.2.0" (instance $i)))"#);
    let text = message(load(&export.unwrap()));
    let end = "wants `swift:plugin/loss@0.2.0`, and this host speaks `swift:plugin@0.1.0`";
    assert!(text.ends_with(end), "{text}");

    let import = wat::parse_str(r#"(component (import "swift:plugin/tensor@1.0.0" (instance)))"#);
    let text = message(load(&import.unwrap()));
    assert!(text.contains("wants `swift:plugin/tensor@1.0.0`"), "{text}");
}

#[test]
fn an_older_patch_of_the_contract_works_and_a_function_of_a_newer_one_is_named() {
    let older = r#"(component
        (import "swift:plugin/log@0.1.99" (instance (export "frobnicate" (func))))
        (instance $i) (export "swift:plugin/loss@0.1.99" (instance $i)))"#;
    let text = message(load(&wat::parse_str(older).unwrap()));
    let end = "wants `frobnicate` of `swift:plugin/log@0.1.99`, and this host speaks `swift:plugin@0.1.0`";
    assert!(text.ends_with(end), "{text}");
}

#[test]
fn an_import_that_is_none_of_the_contract_is_named() {
    let foreign = r#"(component
        (import "a:b/c" (instance (export "d" (func))))
        (instance $i) (export "swift:plugin/loss@0.1.0" (instance $i)))"#;
    let text = message(load(&wat::parse_str(foreign).unwrap()));
    assert!(text.ends_with("imports `a:b/c`, which the host does not offer"), "{text}");
}

#[test]
fn an_interface_with_missing_or_other_functions_is_refused_at_once() {
    let bare =
        wat::parse_str(r#"(component (instance $i) (export "swift:plugin/loss@0.1.0" (instance $i)))"#);
    let text = message(load(&bare.unwrap()));
    assert!(text.contains("does not export `swift:plugin/meta@0.1.0` as the contract says"), "{text}");

    let mut wit = Resolve::default();
    wit.push_str(
        "other.wit",
        "package swift:plugin@0.1.0;
        interface meta {
            enum parameter-type { boolean, integer, number, text, %list }
            record parameter { name: string, summary: string, %type: parameter-type, default-json: string }
            record info { name: string, version: string, summary: string, parameters: list<parameter> }
            describe: func() -> info;
            configure: func(parameters-json: string) -> result<_, string>;
        }
        interface loss { requires: func() -> u32; compute: func() -> u32; }",
    )
    .unwrap();
    let world =
        "package a:test; world guest { export swift:plugin/meta@0.1.0; export swift:plugin/loss@0.1.0; }";
    let wasm = encode(
        &mut wit,
        world,
        r#"(module
        (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
        (func (export "swift:plugin/meta@0.1.0#describe") (result i32) unreachable)
        (func (export "swift:plugin/meta@0.1.0#configure") (param i32 i32) (result i32) unreachable)
        (func (export "swift:plugin/loss@0.1.0#requires") (result i32) unreachable)
        (func (export "swift:plugin/loss@0.1.0#compute") (result i32) unreachable))"#,
    );
    let text = message(load(&wasm));
    assert!(text.contains("does not export `swift:plugin/loss@0.1.0` as the contract says"), "{text}");
}

#[test]
fn a_plugin_is_not_used_as_what_it_is_not() {
    let plugin = load(&Guest::loss(SCALAR).encode()).unwrap();
    assert_eq!(message(plugin.model(&Limits::default())), "`hostile` is not a model but a loss");
    assert_eq!(message(plugin.dataset(&Limits::default())), "`hostile` is not a dataset adapter but a loss");
}

#[test]
fn arguments_are_checked_before_the_plugin_sees_them() {
    let plugin = load(&Guest::loss(SCALAR).encode()).unwrap();
    let mut arguments = Map::new();
    arguments.insert("beta".into(), json!(2));
    plugin.loss(&arguments, &Limits::default()).unwrap();
    arguments.insert("bta".into(), json!(2));
    let error = error(plugin.loss(&arguments, &Limits::default()));
    assert_eq!(error.to_string(), "The plugin `hostile` has no parameter `bta`");
    assert_eq!(error.hint().unwrap(), "its parameters are `beta`");
}

#[test]
fn compiled_plugins_are_kept_in_the_folder_that_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("given.wasm");
    std::fs::write(&file, Guest::loss(SCALAR).encode()).unwrap();
    let cache = folder.path().join("cache");
    let files = || {
        let mut found = Vec::new();
        let mut folders = vec![cache.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
                match entry.file_type().unwrap().is_dir() {
                    true => folders.push(entry.path()),
                    false => found.push(entry.metadata().unwrap().len()),
                }
            }
        }
        found
    };
    for _ in 0..2 {
        let engine =
            Engine::new(EngineOptions { cache_directory: Some(cache.clone()), ..EngineOptions::default() })
                .unwrap();
        Registry::new(engine, &[]).resolve(file.to_str().unwrap()).unwrap();
        assert!(files().iter().any(|size| *size > 1000), "{:?}", files());
    }
}

#[test]
fn a_plugin_takes_the_functions_that_another_has_too_from_where_they_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let load = |name: &str, guest: Guest| {
        let file = folder.path().join(name);
        std::fs::write(&file, guest.encode()).unwrap();
        let options = EngineOptions { cache_directory: Some(cache.clone()), ..EngineOptions::default() };
        let plugin =
            Registry::new(Engine::new(options).unwrap(), &[]).resolve(file.to_str().unwrap()).unwrap();
        let mut loss = plugin.loss(&Map::new(), &Limits::default()).unwrap();
        assert_eq!(value(&compute(&mut loss).unwrap()), 1.0);
    };
    // Fewer bytes would not be kept, and long tables are compiled in no time.
    let targets = "0 1 ".repeat(30_000);
    let long = |index| {
        format!(
            "(func (param i32) (block (block (br_table {targets} (i32.add (local.get 0) (i32.const {index}))))))\n"
        )
    };
    let functions: String = (0..20).map(long).collect();
    load("one.wasm", Guest::loss(SCALAR).with(&functions));
    let bundle = || {
        let mut files = std::fs::read_dir(cache.join("functions")).unwrap().map(|entry| entry.unwrap());
        let bundle = files.next().unwrap();
        assert!(files.next().is_none());
        (bundle.path(), bundle.metadata().unwrap())
    };
    let (path, before) = bundle();
    let long_ago = std::time::SystemTime::UNIX_EPOCH;
    std::fs::File::open(&path).unwrap().set_modified(long_ago).unwrap();
    load("other.wasm", Guest::loss(SCALAR).with(&functions).with("(data (i32.const 4000) \"other\")"));
    let (_, after) = bundle();
    assert_eq!(after.ino(), before.ino(), "nothing was new");
    assert!(after.modified().unwrap() > long_ago, "the functions were used");
}

#[test]
fn a_cache_that_cannot_be_used_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let occupied = folder.path().join("a file");
    std::fs::write(&occupied, "").unwrap();
    let engine =
        Engine::new(EngineOptions { cache_directory: Some(occupied), ..EngineOptions::default() }).unwrap();
    assert_eq!(Registry::new(engine, &[]).names().count(), 0);
}
