//! The page of operations against what operations do: `docs/operations.json`, from which `cargo xtask docs` writes it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use swift_tensor::{DType, Tensor};

use crate::cases::{broadcast_shape, cases};
use crate::check::{Array, Case, Gradient, wit_operations};

const TABLE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations.json"));

const FLOATS: [DType; 4] = [DType::F64, DType::F32, DType::BF16, DType::F16];
const INTEGERS: [DType; 3] = [DType::I64, DType::U32, DType::U8];

/// What the page says, by the operation's name.
fn documented() -> BTreeMap<String, Value> {
    let families: Value = serde_json::from_str(TABLE).unwrap();
    let operations =
        families.as_array().unwrap().iter().flat_map(|family| family["operations"].as_array().unwrap());
    operations.map(|operation| (operation["name"].as_str().unwrap().to_owned(), operation.clone())).collect()
}

/// The inputs of a case in an element type; whole numbers that every one of them has, for integers.
fn inputs(case: &Case, dtype: DType) -> Vec<Tensor> {
    let whole = |input: &Array| {
        Array::new(&input.shape, input.values.iter().map(|x| (x.abs() * 3.0).round().min(9.0)).collect())
    };
    let given = |input: &Array| if INTEGERS.contains(&dtype) { whole(input) } else { input.clone() };
    case.inputs.iter().map(|input| given(input).tensor(dtype)).collect()
}

/// The element types that an operation takes, in words.
fn takes(case: &Case) -> String {
    let accepted = |dtypes: &[DType]| -> Vec<&str> {
        let accepted = dtypes.iter().filter(|dtype| (case.apply)(&inputs(case, **dtype)).is_ok());
        accepted.map(|dtype| dtype_name(*dtype)).collect()
    };
    let (floats, integers) = (accepted(&FLOATS), accepted(&INTEGERS));
    match (floats.len(), integers.len()) {
        (4, 3) => "any".to_owned(),
        (4, 0) => "floating point".to_owned(),
        (4, _) => format!("floating point, {}", integers.join(", ")),
        _ => [floats, integers].concat().join(", "),
    }
}

/// As the contract calls it.
fn dtype_name(dtype: DType) -> &'static str {
    match dtype {
        DType::F64 => "float64",
        DType::F32 => "float32",
        DType::BF16 => "bfloat16",
        DType::F16 => "float16",
        DType::I64 => "int64",
        DType::U32 => "uint32",
        DType::U8 => "uint8",
        other => panic!("the contract has no {other:?}"),
    }
}

#[test]
fn every_operation_of_the_contract_is_documented_and_no_other() {
    let documented: BTreeSet<String> = documented().into_keys().collect();
    assert_eq!(documented, wit_operations().into_iter().collect());
}

#[test]
fn operations_take_and_give_the_element_types_that_are_documented() {
    let documented = documented();
    let mut wrong = BTreeSet::new();
    for case in cases() {
        let Some(entry) = documented.get(case.name) else { continue };
        let takes = takes(&case);
        if entry["takes"] != takes.as_str() {
            wrong.insert(format!("{} takes {takes} and not {}", case.name, entry["takes"]));
        }
        let gives = match (case.apply)(&inputs(&case, DType::F32)).unwrap().dtype() {
            // The table's case casts to `float64`.
            DType::F64 if case.name == "cast" => "`to`",
            DType::F32 => "as the input",
            other => dtype_name(other),
        };
        if entry["gives"] != gives {
            wrong.insert(format!("{} gives {gives} and not {}", case.name, entry["gives"]));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn operations_are_differentiable_as_documented() {
    let documented = documented();
    for case in cases() {
        let Some(entry) = documented.get(case.name) else { continue };
        let differentiable = case.gradient != Gradient::Refused;
        assert_eq!(entry["differentiable"].as_bool(), Some(differentiable), "{}", case.name);
    }
}

#[test]
fn shapes_that_stay_and_shapes_that_broadcast_do() {
    let documented = documented();
    let (mut stay, mut broadcast) = (0, 0);
    for case in cases() {
        let shape = documented.get(case.name).and_then(|entry| entry["shape"].as_str());
        let result = || (case.apply)(&inputs(&case, DType::F64)).unwrap();
        match shape {
            Some("as the input") => {
                assert_eq!(result().dims(), case.inputs[0].shape, "{}", case.name);
                stay += 1;
            }
            Some("broadcast") => {
                let expected = broadcast_shape(&case.inputs[0].shape, &case.inputs[1].shape);
                assert_eq!(result().dims(), expected, "{}", case.name);
                broadcast += 1;
            }
            _ => {}
        }
    }
    assert!(stay > 100 && broadcast > 50, "{stay} and {broadcast} cases");
}
