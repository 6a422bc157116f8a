//! Components that want a contract that this host does not speak: one sentence says what they want.

use swift_runtime::Limits;

use crate::frozen::{bytes, error, load, message};

/// The component with every `from` in it replaced by the equally long `to`.
fn changed(name: &str, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut wasm = bytes(name);
    let places: Vec<usize> =
        (0..wasm.len() - from.len()).filter(|&at| wasm[at..].starts_with(from.as_bytes())).collect();
    assert!(!places.is_empty(), "`{from}` does not occur in `{name}`");
    for at in places {
        wasm[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    wasm
}

#[test]
fn a_component_of_another_version_is_refused_with_both_versions() {
    let newer = "use a newer host, or build the plugin against this version";
    let older = "build the plugin against this version, or use the host that it was made for";
    for (version, name, hint) in
        [("0.2.0", "operations", newer), ("1.0.0", "operations", newer), ("0.0.9", "kinds", older)]
    {
        let wasm = changed(name, "@0.1.0", &format!("@{version}"));
        let error = error(load(&wasm, "future.wasm"));
        let text = error.to_string();
        let (start, end) = text.split_once('@').unwrap();
        assert!(start.starts_with("`future.wasm` wants `swift:plugin/"), "{text}");
        assert_eq!(end, format!("{version}`, and this host speaks `swift:plugin@0.1.0`"));
        assert_eq!(error.hint().unwrap(), hint);
    }
}

#[test]
fn a_component_of_a_later_patch_works_as_long_as_it_asks_for_nothing_new() {
    let wasm = changed("kinds", "@0.1.0", "@0.1.7");
    let mut schedule =
        load(&wasm, "patch.wasm").unwrap().schedule(&serde_json::Map::new(), &Limits::default()).unwrap();
    assert_eq!(schedule.factor(1, 4).unwrap(), 0.75);
}

#[test]
fn a_function_of_a_later_patch_is_named() {
    let wasm = changed("operations", "]tensor.log-sigmoid", "]tensor.log-cosines");
    let text = message(load(&wasm, "patch.wasm"));
    let expected = "`patch.wasm` wants `[method]tensor.log-cosines` of `swift:plugin/tensor@0.1.0`, \
                    and this host speaks `swift:plugin@0.1.0`";
    assert_eq!(text, expected);
}

#[test]
fn an_interface_without_one_of_its_functions_is_refused_by_the_name_of_the_function() {
    let wasm = changed("operations", "save-state", "keep-state");
    let error = error(load(&wasm, "other.wasm"));
    let text = error.to_string();
    assert!(
        text.starts_with("`other.wasm` does not export `swift:plugin/loss@0.1.0` as the contract says: "),
        "{text}"
    );
    assert!(text.ends_with("does not have export `save-state`"), "{text}");
    assert_eq!(error.hint().unwrap(), "build the plugin against this version of the contract");
}
