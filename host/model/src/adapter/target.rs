//! Which layers an adapter goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use swift_runtime::{Architecture, Parameter, Role, Stack};

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
    /// The name of its weight in PEFT, mostly that in the model's files.
    pub(crate) weight: String,
    /// Width of what goes in.
    pub(crate) inputs: usize,
    /// Width of what comes out.
    pub(crate) outputs: usize,
    /// How many layers the weight holds if it is a stack `[layers, in, out]`.
    pub(crate) stack: Option<usize>,
    /// Whether PEFT is told of the parameter, and not of the module.
    pub(crate) by_parameter: bool,
    /// The weights of a stack that the model has apart; none if it has the stack.
    pub(crate) members: Vec<(usize, Member)>,
}

/// The place of a weight in a stack that the model has apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// Which of its layers it belongs to.
    pub(crate) layer: usize,
    /// Which of the layer's outputs are its own.
    pub(crate) outputs: Range<usize>,
}

impl Module {
    /// The shape of its weight, or of one of its weights.
    pub(crate) fn shape_of(&self, member: Option<&Member>) -> Vec<usize> {
        match (member, self.stack) {
            (Some(member), _) => vec![member.outputs.len(), self.inputs],
            (None, None) => vec![self.outputs, self.inputs],
            (None, Some(layers)) => vec![layers, self.inputs, self.outputs],
        }
    }

    /// The name by which PEFT looks up what is said of single layers.
    pub(crate) fn key(&self) -> &str {
        if self.by_parameter { &self.weight } else { &self.name }
    }

    /// How many layers its adapter has in one.
    pub(crate) fn layers(&self) -> usize {
        self.stack.unwrap_or(1)
    }
}

/// The layers that a configuration names, in the order of the architecture. A target module is `all-linear`, the name of
/// a linear layer, or the last parts of names; a target parameter is the name of a weight, be it a stack, or its last parts.
/// Of stacks that the model has apart that is the name that PEFT has.
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
    if parameters.iter().any(|module| !module.members.is_empty()) {
        // Who names such a stack has its layers in no module: a target module does not mean one of them.
        selected.retain(|index, _| !architecture.stacks.iter().any(|stack| has(stack, *index)));
    }
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
    let apart: Vec<Module> =
        architecture.stacks.iter().filter_map(|stack| apart(architecture, stack)).collect();
    let mut possible: Vec<Module> = linear_modules(architecture);
    // What has another name for PEFT has that alone.
    possible.retain(|module| !architecture.stacks.iter().any(|stack| has(stack, module.index)));
    possible.extend(stacks(architecture));
    possible.extend(apart);
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

/// Whether a weight is one of a stack's.
fn has(stack: &Stack, index: usize) -> bool {
    stack.parts.iter().flatten().any(|&member| member as usize == index)
}

/// A stack that the model has apart. Where it is a single weight, that has another name.
fn apart(architecture: &Architecture, stack: &Stack) -> Option<Module> {
    let shape = |index: u32| linear_sizes(architecture.parameters.get(index as usize)?);
    let (first, [_, inputs]) =
        stack.parts.first()?.first().and_then(|&first| Some((first, shape(first)?)))?;
    let (mut members, mut outputs) = (Vec::new(), 0);
    for part in &stack.parts {
        let [width, _] = part.first().and_then(|&first| shape(first))?;
        let range = outputs..outputs + width;
        let of_part = part.iter().enumerate();
        members.extend(
            of_part.map(|(layer, &index)| (index as usize, Member { layer, outputs: range.clone() })),
        );
        outputs += width;
    }
    let alone = members.len() == 1;
    let (name, _) = stack.name.rsplit_once('.')?;
    Some(Module {
        index: first as usize,
        name: name.to_owned(),
        weight: stack.name.clone(),
        inputs,
        outputs,
        stack: (!alone).then(|| stack.parts.first().map_or(0, Vec::len)),
        by_parameter: false,
        members: if alone { Vec::new() } else { members },
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
            members: Vec::new(),
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
