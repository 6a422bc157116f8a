//! An interface as text: what it is for, its functions, its types.

use std::fmt::Write as _;

use wit_parser::{Docs, Function, FunctionKind, Interface, Type, TypeDef, TypeDefKind, TypeId};

use super::contract::{Contract, paragraphs, sentence};

/// The functions and types of an interface, below a heading of the second level.
pub(super) fn describe(contract: &Contract, interface: &Interface) -> String {
    let mut text = format!("{}\n", paragraphs(&interface.docs));
    uses(contract, interface, &mut text);
    let free: Vec<&Function> = functions(interface, None).collect();
    if !free.is_empty() {
        text.push_str("\n### Functions\n");
        free.iter().for_each(|free| function(contract, free, &mut text));
    }
    for (id, definition) in contract.types(interface) {
        if matches!(definition.kind, TypeDefKind::Resource) {
            resource(contract, interface, (id, definition), &mut text);
        }
    }
    types(contract, interface, &mut text);
    text
}

/// What an interface is for, and its types: for one whose functions are told of elsewhere.
pub(super) fn without_operations(contract: &Contract, interface: &Interface) -> String {
    let mut text = format!("{}\n", paragraphs(&interface.docs));
    types(contract, interface, &mut text);
    text
}

/// All types but resources.
fn types(contract: &Contract, interface: &Interface, text: &mut String) {
    let plain = |definition: &&TypeDef| {
        matches!(definition.kind, TypeDefKind::Record(_) | TypeDefKind::Variant(_) | TypeDefKind::Enum(_))
    };
    let types: Vec<&TypeDef> =
        contract.types(interface).map(|(_, definition)| definition).filter(plain).collect();
    if !types.is_empty() {
        text.push_str("\n### Types\n");
        types.iter().for_each(|definition| members(contract, definition, text));
    }
}

/// The types that it takes from other interfaces, with links.
fn uses(contract: &Contract, interface: &Interface, text: &mut String) {
    let mut uses: Vec<(&str, Vec<&str>)> = Vec::new();
    for (_, definition) in contract.types(interface) {
        let (Some(from), Some(name)) = (contract.used_from(definition), definition.name.as_deref()) else {
            continue;
        };
        match uses.iter_mut().find(|(known, _)| *known == from) {
            Some((_, names)) => names.push(name),
            None => uses.push((from, vec![name])),
        }
    }
    let uses: Vec<String> = uses
        .iter()
        .map(|(from, names)| format!("`{}` of [`{from}`]({from}.md)", names.join("`, `")))
        .collect();
    if !uses.is_empty() {
        let _ = writeln!(text, "\nIt uses {}.", uses.join("; "));
    }
}

/// The methods of a resource, or the functions beside all resources.
fn functions(interface: &Interface, of: Option<TypeId>) -> impl Iterator<Item = &Function> {
    interface.functions.values().filter(move |function| match function.kind {
        FunctionKind::Method(id) | FunctionKind::Static(id) | FunctionKind::Constructor(id) => Some(id) == of,
        _ => of.is_none(),
    })
}

fn function(contract: &Contract, function: &Function, text: &mut String) {
    let _ = write!(
        text,
        "\n#### `{}`\n\n```wit\n{}\n```\n\n{}\n",
        function.item_name(),
        contract.signature(function),
        paragraphs(&function.docs)
    );
}

fn resource(
    contract: &Contract,
    interface: &Interface,
    (id, definition): (TypeId, &TypeDef),
    text: &mut String,
) {
    let name = definition.name.as_deref().unwrap_or_default();
    let _ = write!(text, "\n### Resource `{name}`\n\n{}\n\n", paragraphs(&definition.docs));
    text.push_str("| method | what it gives |\n|---|---|\n");
    for method in functions(interface, Some(id)) {
        let _ = writeln!(text, "| `{}` | {} |", contract.signature(method), cell(&sentence(&method.docs)));
    }
}

/// The fields or cases of a type.
fn members(contract: &Contract, definition: &TypeDef, text: &mut String) {
    let (kind, name) = (definition.kind.as_str(), definition.name.as_deref().unwrap_or_default());
    let _ = write!(text, "\n#### {kind} `{name}`\n\n{}\n\n", paragraphs(&definition.docs));
    let row =
        |name: &str, shown: &str, docs: &Docs| format!("| `{name}` |{shown} {} |\n", cell(&sentence(docs)));
    let typed = |r#type: &Type| format!(" `{}` |", contract.show(r#type));
    match &definition.kind {
        TypeDefKind::Record(record) => {
            text.push_str("| field | type | |\n|---|---|---|\n");
            text.extend(record.fields.iter().map(|field| row(&field.name, &typed(&field.ty), &field.docs)));
        }
        TypeDefKind::Variant(variant) => {
            text.push_str("| case | holds | |\n|---|---|---|\n");
            let held = |r#type: &Option<Type>| r#type.as_ref().map_or(" |".to_owned(), typed);
            text.extend(variant.cases.iter().map(|case| row(&case.name, &held(&case.ty), &case.docs)));
        }
        TypeDefKind::Enum(cases) => {
            text.push_str("| case | |\n|---|---|\n");
            text.extend(cases.cases.iter().map(|case| row(&case.name, "", &case.docs)));
        }
        _ => {}
    }
}

/// Text inside of a table: a bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
