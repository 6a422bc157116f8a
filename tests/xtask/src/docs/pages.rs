//! Which pages there are, and how each is put together.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::contract::{Contract, sentence};
use super::{FOLDER, Pages, include, interface, operations};

/// Kinds of plugins in the order of the contents: interface and title.
const KINDS: [(&str, &str); 12] = [
    ("loss", "Losses"),
    ("model", "Model definitions"),
    ("callback", "Callbacks"),
    ("dataset", "Dataset adapters"),
    ("metric", "Metrics"),
    ("reward", "Rewards"),
    ("schedule", "Learning-rate schedules"),
    ("optimizer", "Optimisers"),
    ("template", "Chat templates"),
    ("loss-scale", "Rules for loss weights"),
    ("sampler", "Samplers"),
    ("tool-parser", "Parsers of tool calls"),
];

const NOTICE: &str =
    "<!-- Written by `cargo xtask docs` from `wit/` and `docs/kinds`; not to be edited. -->\n\n";

/// All pages of the reference.
pub(super) fn all(root: &Path) -> Result<Pages> {
    let contract = Contract::read(root)?;
    let mut pages = Pages::new();
    let mut insert = |name: &str, text: String| {
        pages.insert(Path::new(FOLDER).join(name).with_extension("md"), format!("{NOTICE}{text}"));
    };
    insert("README", contents(&contract)?);
    for (name, title) in KINDS {
        insert(name, kind(root, &contract, name, title)?);
    }
    for (name, _) in shared(&contract) {
        insert(name, shared_page(root, &contract, name)?);
    }
    Ok(pages)
}

/// Interfaces that are no kind.
fn shared(contract: &Contract) -> impl Iterator<Item = (&str, &wit_parser::Interface)> {
    contract.interfaces().filter(|(name, _)| !KINDS.iter().any(|(kind, _)| kind == name))
}

fn contents(contract: &Contract) -> Result<String> {
    let package = contract.package()?;
    let mut text = format!("# The contract `{package}`\n\n");
    text.push_str(
        "Everything that a plugin can export, and everything that it can call, with shapes, units and errors. The files in \
         [`wit/`](../../wit)\nare what counts; these pages are written from them.\n\n\
         ## Kinds of plugins\n\n| kind | what it is | exports |\n|---|---|---|\n",
    );
    for (name, title) in KINDS {
        let what = sentence(&contract.interface(name)?.docs);
        let _ = writeln!(text, "| [{title}]({name}.md) | {what} | `meta`, `{name}` |");
    }
    text.push_str("\nA component may be of several kinds.\n\n## Shared interfaces\n\n| interface | what it is |\n|---|---|\n");
    for (name, interface) in shared(contract) {
        let first = sentence(&interface.docs);
        let first = first
            .split_once(". ")
            .map_or(first.as_str(), |(first, _)| first)
            .trim_end_matches('.')
            .to_owned();
        let _ = writeln!(text, "| [`{name}`]({name}.md) | {first}. |");
    }
    Ok(text)
}

fn kind(root: &Path, contract: &Contract, name: &str, title: &str) -> Result<String> {
    let path = format!("docs/kinds/{name}.md");
    let introduction =
        fs::read_to_string(root.join(&path)).with_context(|| format!("can't read `{path}`"))?;
    let introduction = include::expand(root, &introduction).with_context(|| format!("`{path}`"))?;
    let world = contract.world(&format!("{name}-plugin"))?;
    let link = |names: Vec<&str>| -> String {
        let links: Vec<String> = names
            .iter()
            .map(
                |other| {
                    if *other == name { format!("`{other}`") } else { format!("[`{other}`]({other}.md)") }
                },
            )
            .collect();
        links.join(", ")
    };
    let (exports, imports) = (contract.names(&world.exports), contract.names(&world.imports));
    Ok(format!(
        "# {title}\n\n{introduction}\n## Interface `{name}`\n\n{}\nA plugin of this kind exports {}, and may import {}.\n",
        interface::describe(contract, contract.interface(name)?),
        link(exports),
        link(imports)
    ))
}

fn shared_page(root: &Path, contract: &Contract, name: &str) -> Result<String> {
    let described = contract.interface(name)?;
    let text = match name {
        "tensor" => {
            let general = interface::without_operations(contract, described);
            format!("{general}{}", operations::tables(root, contract)?)
        }
        _ => interface::describe(contract, described),
    };
    let users: Vec<String> = KINDS
        .iter()
        .filter_map(|(kind, _)| {
            let world = contract.world(&format!("{kind}-plugin")).ok()?;
            let names = [contract.names(&world.imports), contract.names(&world.exports)].concat();
            names.contains(&name).then(|| format!("[{kind}]({kind}.md)"))
        })
        .collect();
    let users = match users.len() {
        count if count == KINDS.len() => "Of use to plugins of every kind.".to_owned(),
        _ => format!("Of use to plugins of the kinds {}.", users.join(", ")),
    };
    Ok(format!("# Interface `{name}`\n\n{users}\n\n{text}"))
}
