//! Which layers an adapter goes on.

use std::collections::{BTreeMap, BTreeSet};

use swift_runtime::{Architecture, Parameter, Role};

use super::config::AdapterConfig;
use crate::{Error, Result};

/// The name that stands for every linear layer but the output projection, as in PEFT and ms-swift.
const ALL_LINEAR: &str = "all-linear";

/// What PEFT puts into the name of a module once for each other target parameter that was found in it later.
const INNER: &str = ".base_layer";

/// A linear layer of a model, or a stack of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Module {
    /// The index of its weight among the architecture's parameters.
    pub(crate) index: usize,
    /// Its name in PEFT: mostly the weight's without `.weight`.
    pub(crate) name: String,
    /// The name of its weight.
    pub(crate) weight: String,
    /// Width of what goes in.
    pub(crate) inputs: usize,
    /// Width of what comes out.
    pub(crate) outputs: usize,
    /// How many layers the weight holds if it is a stack `[layers, in, out]`.
    pub(crate) stack: Option<usize>,
    /// Whether PEFT is told of the parameter, and not of the module.
    pub(crate) by_parameter: bool,
}

impl Module {
    /// The shape of its weight.
    pub(crate) fn shape(&self) -> Vec<usize> {
        match self.stack {
            None => vec![self.outputs, self.inputs],
            Some(layers) => vec![layers, self.inputs, self.outputs],
        }
    }

    /// How many layers its adapter has in one.
    pub(crate) fn layers(&self) -> usize {
        self.stack.unwrap_or(1)
    }
}

/// The layers that a configuration names, in the order of the architecture. A target module is `all-linear`, the name of
/// a linear layer, or the last parts of names; a target parameter is the name of a weight, be it a stack, or its last parts.
///
/// # Errors
/// If a target names nothing that takes an adapter, or the output projection, or the configuration asks of target parameters
/// what PEFT's have not.
pub(crate) fn select(architecture: &Architecture, config: &AdapterConfig) -> Result<Vec<Module>> {
    let AdapterConfig { target_modules: targets, target_parameters, .. } = config;
    let mut selected = BTreeMap::new();
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
    selected.extend(modules.into_iter().filter(wanted).map(|module| (module.index, module)));
    let parameters = by_parameter(architecture, target_parameters)?;
    if !parameters.is_empty() {
        config.fits_parameters()?;
    }
    selected.extend(parameters.into_iter().map(|module| (module.index, module)));
    if selected.is_empty() {
        return Err(Error::AdapterSetting("target modules are no layer at all".into()));
    }
    Ok(selected.into_values().collect())
}

/// The layers whose weights have these names, or names that end so.
fn by_parameter(architecture: &Architecture, targets: &[String]) -> Result<Vec<Module>> {
    let mut possible: Vec<Module> = linear_modules(architecture);
    possible.extend(stacks(architecture));
    for target in targets {
        if !possible.iter().any(|module| names(target, &module.weight)) {
            let parts = |module: &Module| {
                let mut parts: Vec<&str> = module.weight.rsplit('.').take(2).collect();
                parts.reverse();
                parts.join(".")
            };
            let available: BTreeSet<String> = possible.iter().map(parts).collect();
            return Err(Error::TargetParameterUnknown {
                name: target.clone(),
                available: available.into_iter().collect(),
            });
        }
    }
    possible.retain(|module| targets.iter().any(|target| names(target, &module.weight)));
    possible.sort_by_key(|module| module.index);
    // PEFT wraps a module once for each of its parameters that is a target, the first innermost.
    let mut wrapped: BTreeMap<String, usize> = BTreeMap::new();
    for module in possible.iter_mut().rev() {
        let inside = wrapped.entry(module.name.clone()).or_default();
        module.name.push_str(&INNER.repeat(*inside));
        module.by_parameter = true;
        *inside += 1;
    }
    Ok(possible)
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
    weights(architecture, |name, shape| match *shape {
        [outputs, inputs] => Some((name.strip_suffix(".weight")?, inputs, outputs, None)),
        _ => None,
    })
}

fn stacks(architecture: &Architecture) -> Vec<Module> {
    weights(architecture, |name, shape| match *shape {
        [layers, inputs, outputs] => Some((name.rsplit_once('.')?.0, inputs, outputs, Some(layers as usize))),
        _ => None,
    })
}

/// The weights of linear layers of which `read` gives the name of the module, inputs, outputs, and how many are stacked.
fn weights(
    architecture: &Architecture,
    read: impl for<'a> Fn(&'a str, &[u64]) -> Option<(&'a str, u64, u64, Option<usize>)>,
) -> Vec<Module> {
    let linear = architecture.parameters.iter().enumerate();
    let linear = linear.filter(|(_, parameter)| matches!(parameter.role, Role::Column | Role::Row));
    let modules = linear.filter_map(|(index, parameter)| {
        let (name, inputs, outputs, stack) = read(&parameter.name, &parameter.shape)?;
        Some(Module {
            index,
            name: name.to_owned(),
            weight: parameter.name.clone(),
            inputs: inputs as usize,
            outputs: outputs as usize,
            stack,
            by_parameter: false,
        })
    });
    modules.collect()
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
