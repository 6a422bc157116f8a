//! The contract, read and shown as it is written.

use std::path::Path;

use anyhow::{Context as _, Result};
use wit_parser::{
    Docs, Function, FunctionKind, Handle, Interface, Resolve, Type, TypeDef, TypeDefKind, TypeId, World,
    WorldKey,
};

/// All interfaces and worlds of `wit/`.
pub(super) struct Contract {
    resolve: Resolve,
}

impl Contract {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut resolve = Resolve::default();
        resolve.push_dir(root.join("wit")).context("can't read `wit`")?;
        Ok(Self { resolve })
    }

    /// The package with its version: `swift:plugin@0.1.0`.
    pub(super) fn package(&self) -> Result<String> {
        let (_, package) = self.resolve.packages.iter().next().context("the contract has no package")?;
        Ok(package.name.to_string())
    }

    pub(super) fn interfaces(&self) -> impl Iterator<Item = (&str, &Interface)> {
        let interfaces = self.resolve.interfaces.iter();
        interfaces.filter_map(|(_, interface)| Some((interface.name.as_deref()?, interface)))
    }

    pub(super) fn interface(&self, name: &str) -> Result<&Interface> {
        let found = self.interfaces().find(|(known, _)| *known == name);
        Ok(found.with_context(|| format!("the contract has no interface `{name}`"))?.1)
    }

    pub(super) fn world(&self, name: &str) -> Result<&World> {
        let found = self.resolve.worlds.iter().find(|(_, world)| world.name == name);
        Ok(found.with_context(|| format!("the contract has no world `{name}`"))?.1)
    }

    pub(super) fn types<'a>(
        &'a self,
        interface: &'a Interface,
    ) -> impl Iterator<Item = (TypeId, &'a TypeDef)> {
        interface.types.values().filter_map(|id| Some((*id, self.resolve.types.get(*id)?)))
    }

    /// Names of the interfaces that a world imports or exports.
    pub(super) fn names<'a, T: 'a>(
        &'a self,
        items: impl IntoIterator<Item = (&'a WorldKey, T)>,
    ) -> Vec<&'a str> {
        let name = |key: &WorldKey| match key {
            WorldKey::Interface(id) => self.resolve.interfaces.get(*id)?.name.as_deref(),
            WorldKey::Name(_) => None,
        };
        items.into_iter().filter_map(|(key, _)| name(key)).collect()
    }

    /// Where a type comes from that an interface uses by a name of its own: the other interface.
    pub(super) fn used_from(&self, definition: &TypeDef) -> Option<&str> {
        let TypeDefKind::Type(Type::Id(original)) = definition.kind else { return None };
        let wit_parser::TypeOwner::Interface(owner) = self.resolve.types.get(original)?.owner else {
            return None;
        };
        self.resolve.interfaces.get(owner)?.name.as_deref()
    }

    /// A type as the contract writes it.
    pub(super) fn show(&self, r#type: &Type) -> String {
        let Type::Id(id) = r#type else { return format!("{:?}", r#type).to_lowercase() };
        let Some(definition) = self.resolve.types.get(*id) else { return "_".to_owned() };
        if let Some(name) = &definition.name {
            return name.clone();
        }
        let part = |given: &Option<Type>| given.as_ref().map_or("_".to_owned(), |given| self.show(given));
        match &definition.kind {
            TypeDefKind::Option(of) => format!("option<{}>", self.show(of)),
            TypeDefKind::List(of) => format!("list<{}>", self.show(of)),
            TypeDefKind::Result(result) => format!("result<{}, {}>", part(&result.ok), part(&result.err)),
            TypeDefKind::Tuple(tuple) => {
                let parts: Vec<String> = tuple.types.iter().map(|part| self.show(part)).collect();
                format!("tuple<{}>", parts.join(", "))
            }
            TypeDefKind::Handle(Handle::Borrow(of)) => format!("borrow<{}>", self.show(&Type::Id(*of))),
            TypeDefKind::Handle(Handle::Own(of)) => self.show(&Type::Id(*of)),
            other => other.as_str().to_owned(),
        }
    }

    /// A function as the contract writes it, without `self`.
    pub(super) fn signature(&self, function: &Function) -> String {
        let own = usize::from(matches!(function.kind, FunctionKind::Method(_)));
        let parameters = function.params.iter().skip(own);
        let parameters: Vec<String> =
            parameters.map(|parameter| format!("{}: {}", parameter.name, self.show(&parameter.ty))).collect();
        let result =
            function.result.as_ref().map_or(String::new(), |result| format!(" -> {}", self.show(result)));
        format!("{}: func({}){result}", function.item_name(), parameters.join(", "))
    }
}

/// A comment in one line.
pub(super) fn sentence(docs: &Docs) -> String {
    docs.contents.as_deref().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A comment with its paragraphs.
pub(super) fn paragraphs(docs: &Docs) -> String {
    docs.contents.as_deref().unwrap_or_default().trim().to_owned()
}
