//! Which layers an adapter goes on.

use std::collections::BTreeSet;

use swift_runtime::{Architecture, Parameter, Role};

use crate::{Error, Result};

/// The name that stands for every linear layer but the output projection, as in PEFT and ms-swift.
const ALL_LINEAR: &str = "all-linear";

/// A linear layer of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Module {
    /// The index of its weight among the architecture's parameters.
    pub(crate) index: usize,
    /// Its name: the weight's without `.weight`.
    pub(crate) name: String,
    /// Width of what goes in.
    pub(crate) inputs: usize,
    /// Width of what comes out.
    pub(crate) outputs: usize,
}

/// The linear layers that `targets` name, in the order of the architecture. A target is `all-linear`, the name of a
/// layer, or the last parts of names.
///
/// # Errors
/// If a target names no linear layer, or names the output projection.
pub(crate) fn select(architecture: &Architecture, targets: &[String]) -> Result<Vec<Module>> {
    let modules = linear_modules(architecture);
    for target in targets.iter().filter(|target| *target != ALL_LINEAR) {
        if !modules.iter().any(|module| names(target, &module.name)) {
            let head = architecture.parameters.iter().filter(|parameter| parameter.role == Role::Head);
            if head.filter_map(|head| head.name.strip_suffix(".weight")).any(|name| names(target, name)) {
                return Err(Error::TargetHead(target.clone()));
            }
            let available = last_parts(modules.iter().map(|module| module.name.as_str()));
            return Err(Error::TargetUnknown {
                name: target.clone(),
                available: available.into_iter().collect(),
            });
        }
    }
    let wanted =
        |module: &Module| targets.iter().any(|target| target == ALL_LINEAR || names(target, &module.name));
    let selected: Vec<_> = modules.into_iter().filter(wanted).collect();
    if selected.is_empty() {
        return Err(Error::AdapterSetting("target modules are no layer at all".into()));
    }
    Ok(selected)
}

/// The shortest list of targets that selects just the layers called `selected`: last parts of their names if these
/// select no other layer, else the names.
pub(crate) fn describe(architecture: &Architecture, selected: &BTreeSet<&str>) -> Vec<String> {
    let short = last_parts(selected.iter().copied());
    let modules = linear_modules(architecture);
    let exact = modules
        .iter()
        .filter(|module| short.iter().any(|target| names(target, &module.name)))
        .all(|module| selected.contains(module.name.as_str()));
    if exact { short.into_iter().collect() } else { selected.iter().map(|name| (*name).to_owned()).collect() }
}

/// Whether `target` is `module` or its last parts.
pub(crate) fn names(target: &str, module: &str) -> bool {
    module.strip_suffix(target).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn linear_modules(architecture: &Architecture) -> Vec<Module> {
    let linear = architecture.parameters.iter().enumerate().filter_map(|(index, parameter)| {
        let [outputs, inputs] = linear_sizes(parameter)?;
        let name = parameter.name.strip_suffix(".weight")?.to_owned();
        Some(Module { index, name, inputs, outputs })
    });
    linear.collect()
}

/// Outputs and inputs, if this is the weight of a linear layer other than the output projection.
pub(crate) fn linear_sizes(parameter: &Parameter) -> Option<[usize; 2]> {
    match (parameter.role, parameter.shape.as_slice()) {
        (Role::Column | Role::Row, &[outputs, inputs]) => Some([outputs as usize, inputs as usize]),
        _ => None,
    }
}

fn last_parts<'a>(names: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    names.map(|name| name.rsplit('.').next().unwrap_or(name).to_owned()).collect()
}
