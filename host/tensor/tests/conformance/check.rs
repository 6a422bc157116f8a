//! How a case is checked.

use std::collections::HashMap;

use swift_tensor::{DType, GradientSink, ParameterId, Result, Tensor, Value, backward, from_list};

/// A dense array in `f64`: what the independent formulas work on.
#[derive(Clone, Debug)]
pub(crate) struct Array {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f64>,
}

impl Array {
    pub(crate) fn new(shape: &[usize], values: Vec<f64>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "formula gave {values:?} for {shape:?}");
        Self { shape: shape.to_vec(), values }
    }

    /// The element at `index`, an index of a shape that this one broadcasts to.
    pub(crate) fn at(&self, index: &[usize]) -> f64 {
        let offset = index.len() - self.shape.len();
        let flat = self
            .shape
            .iter()
            .zip(&index[offset..])
            .fold(0, |flat, (&size, &i)| flat * size + if size == 1 { 0 } else { i });
        self.values[flat]
    }

    /// An array from a function of the index.
    pub(crate) fn from_fn(shape: &[usize], mut f: impl FnMut(&[usize]) -> f64) -> Self {
        let mut values = Vec::new();
        let mut index = vec![0; shape.len()];
        for _ in 0..shape.iter().product::<usize>() {
            values.push(f(&index));
            for (i, &size) in index.iter_mut().zip(shape).rev() {
                *i += 1;
                if *i < size {
                    break;
                }
                *i = 0;
            }
        }
        Self { shape: shape.to_vec(), values }
    }

    pub(crate) fn tensor(&self, dtype: DType) -> Tensor {
        let shape: Vec<u64> = self.shape.iter().map(|&size| size as u64).collect();
        from_list(&self.values, &shape, dtype).unwrap()
    }
}

pub(crate) type Apply = Box<dyn Fn(&[Tensor]) -> Result<Tensor>>;
pub(crate) type Formula = Box<dyn Fn(&[Array]) -> Array>;

/// What is expected of the gradient.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Gradient {
    /// It agrees with finite differences.
    FiniteDifferences,
    /// Asking for it is an error that says so.
    Refused,
    /// The inputs are too extreme for finite differences: only the value is compared.
    NotCompared,
}

/// One operation with one set of inputs.
pub(crate) struct Case {
    /// As the contract names it.
    pub(crate) name: &'static str,
    /// The inputs; all of them are differentiated.
    pub(crate) inputs: Vec<Array>,
    pub(crate) apply: Apply,
    pub(crate) formula: Formula,
    pub(crate) gradient: Gradient,
    /// Also with inputs of fewer bits (off where rounding changes what is picked).
    pub(crate) reduced_precision: bool,
}

pub(crate) struct Gradients(pub(crate) HashMap<u32, Vec<f64>>);

impl GradientSink for Gradients {
    fn accumulate(&mut self, id: ParameterId, gradient: &Value) -> Result<()> {
        let values = Tensor::constant(gradient.clone()).to_list()?;
        match self.0.get_mut(&id.0) {
            Some(sum) => sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value),
            None => drop(self.0.insert(id.0, values)),
        }
        Ok(())
    }
}

/// A fixed, uneven weighting that makes a scalar of any result.
fn weighted(y: &Tensor) -> Tensor {
    let weights: Vec<f64> = (0..y.elem_count()).map(|i| 0.3 + ((i * 7 + 3) % 11) as f64 / 11.0).collect();
    let shape: Vec<u64> = y.dims().iter().map(|&size| size as u64).collect();
    let weights = from_list(&weights, &shape, y.dtype()).unwrap();
    y.mul(&weights).unwrap().sum(&[], false).unwrap()
}

fn assert_close(what: &str, got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}: {got:?} against {want:?}");
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        let same = g == w || (g.is_nan() && w.is_nan()) || (g - w).abs() <= tolerance * w.abs().max(1.0);
        assert!(same, "{what}, element {i}: got {g}, expected {w}\n got {got:?}\nwant {want:?}");
    }
}

/// Element types with what results in them may be off: some units in the last place, of 53, 24, 8 and 11 bits.
const TYPES: [(DType, f64); 4] =
    [(DType::F64, 1e-9), (DType::F32, 2e-5), (DType::BF16, 3e-2), (DType::F16, 4e-3)];

/// Whether a case can be had in `dtype`: some have numbers that are too great for `float16`, or inputs that are too small.
fn fits(dtype: DType, case: &Case, result: &Array) -> bool {
    let within = |array: &Array, least: f64| {
        let there = |x: &f64| *x == 0.0 || !x.is_finite() || (least..=65504.0).contains(&x.abs());
        array.values.iter().all(there)
    };
    let least = 2f64.powi(-14);
    dtype != DType::F16 || within(result, 0.0) && case.inputs.iter().all(|input| within(input, least))
}

pub(crate) fn check_case(case: &Case) {
    let what =
        format!("{} on {:?}", case.name, case.inputs.iter().map(|input| &input.shape).collect::<Vec<_>>());
    let want = (case.formula)(&case.inputs);
    for (dtype, tolerance) in TYPES {
        if dtype != DType::F64 && !case.reduced_precision || !fits(dtype, case, &want) {
            continue;
        }
        let inputs: Vec<Tensor> = case.inputs.iter().map(|input| input.tensor(dtype)).collect();
        let got = (case.apply)(&inputs).unwrap_or_else(|error| panic!("{what} in {dtype:?}: {error}"));
        assert_eq!(got.dims(), want.shape, "{what} in {dtype:?}: shape");
        assert_close(&format!("{what} in {dtype:?}"), &got.to_list().unwrap(), &want.values, tolerance);
    }
    // The same from an input with gaps between its rows.
    if let [input] = case.inputs.as_slice()
        && input.shape.len() == 2
    {
        let strided = input.tensor(DType::F64).value().t().unwrap().contiguous().unwrap().t().unwrap();
        let got = (case.apply)(&[Tensor::constant(strided)]).unwrap();
        assert_close(&format!("{what}, strided"), &got.to_list().unwrap(), &want.values, 1e-9);
    }
    match case.gradient {
        Gradient::FiniteDifferences => check_gradient(case, &what),
        Gradient::Refused => check_refusal(case, &what),
        Gradient::NotCompared => {}
    }
}

fn check_refusal(case: &Case, what: &str) {
    let inputs: Vec<Tensor> = case.inputs.iter().enumerate().map(|(i, input)| leaf(input, i)).collect();
    let y = (case.apply)(&inputs).unwrap().cast(DType::F64).unwrap().sum(&[], false).unwrap();
    let refused = backward(&y, &mut Gradients(HashMap::new())).unwrap_err().to_string();
    assert!(refused.contains("not differentiable"), "{what}: {refused}");
}

fn leaf(input: &Array, id: usize) -> Tensor {
    Tensor::parameter(input.tensor(DType::F64).value().clone(), ParameterId(id as u32))
}

fn check_gradient(case: &Case, what: &str) {
    if case.inputs.iter().all(|input| input.values.is_empty()) {
        return;
    }
    let leaves: Vec<Tensor> = case.inputs.iter().enumerate().map(|(i, input)| leaf(input, i)).collect();
    let y = (case.apply)(&leaves).unwrap();
    if y.elem_count() == 0 {
        return;
    }
    let mut sink = Gradients(HashMap::new());
    backward(&weighted(&y), &mut sink).unwrap_or_else(|error| panic!("{what}: {error}"));
    let value = |inputs: &[Array]| {
        let inputs: Vec<Tensor> = inputs.iter().map(|input| input.tensor(DType::F64)).collect();
        weighted(&(case.apply)(&inputs).unwrap()).to_list().unwrap()[0]
    };
    for (i, input) in case.inputs.iter().enumerate() {
        let numeric: Vec<f64> = (0..input.values.len())
            .map(|at| {
                let step = 1e-6 * input.values[at].abs().max(1.0);
                let mut moved = case.inputs.clone();
                moved[i].values[at] = input.values[at] + step;
                let above = value(&moved);
                moved[i].values[at] = input.values[at] - step;
                (above - value(&moved)) / (2.0 * step)
            })
            .collect();
        let got = sink.0.remove(&(i as u32)).unwrap_or_else(|| vec![0.0; numeric.len()]);
        assert_close(&format!("{what}, gradient of input {i}"), &got, &numeric, 2e-6);
    }
}

/// The names of all functions in the contract's `tensor` interface.
pub(crate) fn wit_operations() -> Vec<String> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit/tensor.wit")).unwrap();
    let interface = text.split("interface tensor {").nth(1).unwrap().split("interface log").next().unwrap();
    interface
        .lines()
        .filter_map(|line| {
            line.split_once(": func(").map(|(name, _)| name.trim().trim_start_matches('%').to_owned())
        })
        .filter(|name| !name.starts_with("///"))
        .collect()
}
