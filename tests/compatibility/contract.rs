//! A frozen contract against today's: whatever a component was built for is still there and unchanged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use wit_parser::{Handle, Interface, Resolve, Type, TypeDefKind, WorldKey};

use crate::frozen::folder;

/// A contract in words that can be compared.
struct Contract {
    resolve: Resolve,
}

/// The members of a thing in their order: fields, cases, or what a function takes and gives.
type Members = Vec<String>;

impl Contract {
    fn read(folder: &Path) -> Self {
        let mut resolve = Resolve::default();
        resolve.push_dir(folder).unwrap();
        Self { resolve }
    }

    fn parse(text: &str) -> Self {
        let mut resolve = Resolve::default();
        resolve.push_str("contract.wit", text).unwrap();
        Self { resolve }
    }

    fn interfaces(&self) -> BTreeMap<&str, &Interface> {
        let interfaces = self.resolve.interfaces.iter().map(|(_, interface)| interface);
        interfaces.filter_map(|interface| Some((interface.name.as_deref()?, interface))).collect()
    }

    /// The interfaces that a world imports, and those that it exports.
    fn worlds(&self) -> BTreeMap<&str, [BTreeSet<&str>; 2]> {
        let worlds = self.resolve.worlds.iter().map(|(_, world)| {
            let (imports, exports) = (self.names(world.imports.keys()), self.names(world.exports.keys()));
            (world.name.as_str(), [imports, exports])
        });
        worlds.collect()
    }

    fn names<'a>(&'a self, keys: impl Iterator<Item = &'a WorldKey>) -> BTreeSet<&'a str> {
        let name = |key: &WorldKey| match key {
            WorldKey::Interface(id) => self.resolve.interfaces[*id].name.as_deref(),
            WorldKey::Name(_) => None,
        };
        keys.filter_map(name).collect()
    }

    fn show(&self, r#type: &Type) -> String {
        let Type::Id(id) = r#type else { return format!("{:?}", r#type).to_lowercase() };
        let definition = &self.resolve.types[*id];
        let option = |given: &Option<Type>| given.as_ref().map_or("_".to_owned(), |given| self.show(given));
        match (&definition.kind, &definition.name) {
            // A name that another interface gave: what it means is compared there.
            (TypeDefKind::Type(original), _) => self.show(original),
            (_, Some(name)) => name.clone(),
            (TypeDefKind::Option(of), None) => format!("option<{}>", self.show(of)),
            (TypeDefKind::List(of), None) => format!("list<{}>", self.show(of)),
            (TypeDefKind::Result(result), None) => {
                format!("result<{}, {}>", option(&result.ok), option(&result.err))
            }
            (TypeDefKind::Tuple(tuple), None) => {
                format!(
                    "tuple<{}>",
                    tuple.types.iter().map(|of| self.show(of)).collect::<Vec<_>>().join(", ")
                )
            }
            (TypeDefKind::Handle(Handle::Borrow(of)), None) => {
                format!("borrow<{}>", self.show(&Type::Id(*of)))
            }
            (TypeDefKind::Handle(Handle::Own(of)), None) => self.show(&Type::Id(*of)),
            (kind, None) => panic!("the contract has no {} without a name", kind.as_str()),
        }
    }

    /// The types and functions of an interface, each with its members.
    fn items(&self, interface: &Interface) -> BTreeMap<String, Members> {
        let mut items = BTreeMap::new();
        for (name, id) in &interface.types {
            let kind = &self.resolve.types[*id].kind;
            let members = match kind {
                TypeDefKind::Record(record) => record
                    .fields
                    .iter()
                    .map(|field| format!("{}: {}", field.name, self.show(&field.ty)))
                    .collect(),
                TypeDefKind::Variant(variant) => {
                    let show = |of: &Option<Type>| {
                        of.as_ref().map_or(String::new(), |of| format!("({})", self.show(of)))
                    };
                    variant.cases.iter().map(|case| format!("{}{}", case.name, show(&case.ty))).collect()
                }
                TypeDefKind::Enum(cases) => cases.cases.iter().map(|case| case.name.clone()).collect(),
                TypeDefKind::Resource => vec![],
                TypeDefKind::Type(original) => vec![self.show(original)],
                other => panic!("the comparison does not know {} `{name}`", other.as_str()),
            };
            items.insert(format!("{} `{name}`", kind.as_str()), members);
        }
        for (name, function) in &interface.functions {
            let parameters = function
                .params
                .iter()
                .map(|parameter| format!("{}: {}", parameter.name, self.show(&parameter.ty)));
            let result = function.result.as_ref().map_or("nothing".to_owned(), |result| self.show(result));
            let members = parameters.chain([format!("-> {result}")]).collect();
            items.insert(format!("function `{name}`"), members);
        }
        items
    }

    /// Interfaces that plugins export.
    fn exported(&self) -> BTreeSet<&str> {
        self.worlds().into_values().flat_map(|[_, exports]| exports).collect()
    }
}

/// What would keep a component that was built for `old` from working with `new`, a sentence each.
fn broken(old: &Contract, new: &Contract) -> Vec<String> {
    let mut broken = Vec::new();
    let (interfaces, exported) = (new.interfaces(), old.exported());
    for (name, interface) in old.interfaces() {
        let Some(today) = interfaces.get(name) else {
            broken.push(format!("the interface `{name}` is gone"));
            continue;
        };
        let (before, today) = (old.items(interface), new.items(today));
        for (item, members) in &before {
            match today.get(item) {
                None => broken.push(format!("{item} of `{name}` is gone")),
                Some(now) if now == members => {}
                Some(now) => broken.push(format!(
                    "{item} of `{name}` was ({}) and is ({})",
                    members.join(", "),
                    now.join(", ")
                )),
            }
        }
        // The host looks for all functions of an interface in the plugin, and an old plugin does not have new ones.
        if exported.contains(name) {
            let new = today.keys().filter(|item| item.starts_with("function") && !before.contains_key(*item));
            broken.extend(new.map(|item| format!("{item} of `{name}` is new, and plugins export `{name}`")));
        }
    }
    let worlds = new.worlds();
    for (name, [imports, exports]) in old.worlds() {
        let Some([now_imports, now_exports]) = worlds.get(name) else {
            broken.push(format!("the world `{name}` is gone"));
            continue;
        };
        let gone =
            imports.difference(now_imports).map(|import| format!("`{name}` no longer imports `{import}`"));
        broken.extend(gone);
        if exports != *now_exports {
            broken.push(format!("`{name}` exported {exports:?} and exports {now_exports:?}"));
        }
    }
    broken
}

#[test]
fn all_of_the_frozen_contract_is_there_and_unchanged() {
    let old = Contract::read(&folder("0.1.0").join("wit"));
    let new = Contract::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit"));
    let functions: usize = old.interfaces().values().map(|interface| interface.functions.len()).sum();
    assert_eq!((old.interfaces().len(), functions), (17, 124));
    let broken = broken(&old, &new);
    assert!(
        broken.is_empty(),
        "plugins that were built for `swift:plugin@0.1.0` no longer work:\n  {}",
        broken.join("\n  ")
    );
}

const EXAMPLE: &str = "package swift:plugin@0.1.0;
    interface view { resource thing { size: func() -> u64; } }
    interface kind {
        use view.{thing};
        enum level { low, high }
        record report { name: string, level: level }
        variant outcome { fine, other(string) }
        judge: func(thing: borrow<thing>) -> result<report, outcome>;
    }
    world plugin { import view; export kind; }";

/// What breaks when a part of the example is replaced.
fn after(from: &str, to: &str) -> Vec<String> {
    assert_eq!(EXAMPLE.matches(from).count(), 1, "{from}");
    broken(&Contract::parse(EXAMPLE), &Contract::parse(&EXAMPLE.replace(from, to)))
}

#[test]
fn what_is_added_for_plugins_to_call_breaks_nothing() {
    assert_eq!(after("size: func() -> u64;", "size: func() -> u64; name: func() -> string;"), [""; 0]);
    assert_eq!(after("interface kind", "interface another { f: func(); } interface kind"), [""; 0]);
    let more = "interface more { f: func(); } world plugin { import more; import view;";
    assert_eq!(after("world plugin { import view;", more), [""; 0]);
}

#[test]
fn whatever_breaks_a_plugin_is_named() {
    for (from, to, sentence) in [
        ("size: func() -> u64;", "", "function `[method]thing.size` of `view` is gone"),
        (
            "size: func() -> u64",
            "size: func() -> u32",
            "function `[method]thing.size` of `view` was (self: borrow<thing>, -> u64) and is (self: borrow<thing>, -> u32)",
        ),
        (
            "low, high",
            "low, high, higher",
            "enum `level` of `kind` was (low, high) and is (low, high, higher)",
        ),
        (
            "name: string, level: level",
            "level: level, name: string",
            "record `report` of `kind` was (name: string, level: level) and is (level: level, name: string)",
        ),
        (
            "other(string)",
            "other",
            "variant `outcome` of `kind` was (fine, other(string)) and is (fine, other)",
        ),
        ("judge:", "more: func(); judge:", "function `more` of `kind` is new, and plugins export `kind`"),
        (
            "export kind;",
            "export kind; export view;",
            "`plugin` exported {\"kind\"} and exports {\"kind\", \"view\"}",
        ),
    ] {
        assert_eq!(after(from, to), [sentence], "{to}");
    }
}
