//! The table: each operation, its inputs, and a formula written without this crate.

use swift_tensor::{DType, Tensor, cat, from_list, stack};

use crate::check::{Array, Case, Gradient};
use crate::fused::fused;

/// Numbers without order or symmetry, in about -2 .. 2, never near one another.
pub(crate) fn numbers(shape: &[usize], salt: usize) -> Array {
    Array::from_fn_counted(shape, |i| {
        let k = (i * 37 + salt * 17 + 11) % 101;
        (k as f64 - 50.0) / 25.0 + 0.013
    })
}

pub(crate) fn positive(shape: &[usize], salt: usize) -> Array {
    let mut array = numbers(shape, salt);
    array.values.iter_mut().for_each(|x| *x = x.abs() + 0.2);
    array
}

impl Array {
    fn from_fn_counted(shape: &[usize], f: impl Fn(usize) -> f64) -> Self {
        Self::new(shape, (0..shape.iter().product()).map(f).collect())
    }

    fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self::new(&self.shape, self.values.iter().map(|&x| f(x)).collect())
    }
}

const SHAPES: &[&[usize]] = &[&[], &[1], &[5], &[0], &[3, 4], &[2, 0, 3], &[2, 3, 5]];

fn integers(values: &[i64]) -> Tensor {
    let values: Vec<f64> = values.iter().map(|&x| x as f64).collect();
    from_list(&values, &[values.len() as u64], DType::I64).unwrap()
}

pub(crate) fn broadcast_shape(a: &[usize], b: &[usize]) -> Vec<usize> {
    let rank = a.len().max(b.len());
    let size = |s: &[usize], i: usize| if i + s.len() >= rank { s[i + s.len() - rank] } else { 1 };
    (0..rank).map(|i| if size(a, i) == 1 { size(b, i) } else { size(a, i) }).collect()
}

/// Reduces along `dim`, kept at size one.
fn reduce(x: &Array, dim: usize, f: impl Fn(&[f64]) -> f64) -> Array {
    let mut shape = x.shape.clone();
    shape[dim] = 1;
    Array::from_fn(&shape, |index| {
        let line: Vec<f64> = (0..x.shape[dim])
            .map(|k| {
                let mut index = index.to_vec();
                index[dim] = k;
                x.at(&index)
            })
            .collect();
        f(&line)
    })
}

fn along(x: &Array, dim: usize, f: impl Fn(&[f64]) -> Vec<f64>) -> Array {
    Array::from_fn(&x.shape, |index| {
        let line: Vec<f64> = (0..x.shape[dim])
            .map(|k| {
                let mut index = index.to_vec();
                index[dim] = k;
                x.at(&index)
            })
            .collect();
        f(&line)[index[dim]]
    })
}

fn squeeze(x: Array, dim: usize) -> Array {
    let mut shape = x.shape;
    shape.remove(dim);
    Array::new(&shape, x.values)
}

fn log_sum_exp(line: &[f64]) -> f64 {
    let largest = line.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    largest + line.iter().map(|x| (x - largest).exp()).sum::<f64>().ln()
}

/// The error function by its Taylor series, good to 1e-15 for the arguments used here.
fn erf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}

pub(crate) struct Table(Vec<Case>);

impl Table {
    pub(crate) fn add(
        &mut self,
        name: &'static str,
        inputs: Vec<Array>,
        apply: impl Fn(&[Tensor]) -> swift_tensor::Result<Tensor> + 'static,
        formula: impl Fn(&[Array]) -> Array + 'static,
    ) -> &mut Case {
        self.0.push(Case {
            name,
            inputs,
            apply: Box::new(apply),
            formula: Box::new(formula),
            gradient: Gradient::FiniteDifferences,
            reduced_precision: true,
        });
        self.0.last_mut().unwrap()
    }

    fn unary(
        &mut self,
        name: &'static str,
        apply: fn(&Tensor) -> swift_tensor::Result<Tensor>,
        formula: fn(f64) -> f64,
        inputs: fn(&[usize], usize) -> Array,
        extremes: &[f64],
    ) {
        for shape in SHAPES {
            self.add(name, vec![inputs(shape, 1)], move |x| apply(&x[0]), move |x| x[0].map(formula));
        }
        let extremes = Array::new(&[extremes.len()], extremes.to_vec());
        let case = self.add(name, vec![extremes], move |x| apply(&x[0]), move |x| x[0].map(formula));
        case.gradient = Gradient::NotCompared;
    }

    fn binary(
        &mut self,
        name: &'static str,
        apply: fn(&Tensor, &Tensor) -> swift_tensor::Result<Tensor>,
        formula: fn(f64, f64) -> f64,
        gradient: Gradient,
    ) {
        let shapes: &[(&[usize], &[usize])] = &[
            (&[], &[]),
            (&[3], &[3]),
            (&[2, 3], &[3]),
            (&[2, 1], &[1, 4]),
            (&[], &[2, 2]),
            (&[0], &[1]),
            (&[2, 3, 1], &[3, 5]),
        ];
        for &(a, b) in shapes {
            let case = self.add(
                name,
                vec![numbers(a, 2), positive(b, 5)],
                move |x| apply(&x[0], &x[1]),
                move |x| {
                    let shape = broadcast_shape(&x[0].shape, &x[1].shape);
                    Array::from_fn(&shape, |index| formula(x[0].at(index), x[1].at(index)))
                },
            );
            case.gradient = gradient;
        }
    }
}

fn elementwise(table: &mut Table) {
    let extreme: &[f64] = &[-300.0, -40.0, 0.0, 40.0, 80.0];
    table.unary("neg", Tensor::neg, |x| -x, numbers, extreme);
    table.unary("abs", Tensor::abs, f64::abs, numbers, extreme);
    table.unary("exp", Tensor::exp, f64::exp, numbers, &[-300.0, 0.0, 3.0]);
    table.unary("log", Tensor::log, f64::ln, positive, &[1e-30, 0.0, 1.0, 1e30]);
    table.unary("sqrt", Tensor::sqrt, f64::sqrt, positive, &[0.0, 4.0, 1e30]);
    table.unary("sin", Tensor::sin, f64::sin, numbers, &[-3.0, 0.0]);
    table.unary("cos", Tensor::cos, f64::cos, numbers, &[-3.0, 0.0]);
    table.unary("tanh", Tensor::tanh, f64::tanh, numbers, extreme);
    table.unary("sigmoid", Tensor::sigmoid, |x| 1.0 / (1.0 + (-x).exp()), numbers, extreme);
    table.unary(
        "log-sigmoid",
        Tensor::log_sigmoid,
        |x| x.min(0.0) - (-x.abs()).exp().ln_1p(),
        numbers,
        extreme,
    );
    table.unary("softplus", Tensor::softplus, |x| x.max(0.0) + (-x.abs()).exp().ln_1p(), numbers, extreme);
    table.unary("relu", Tensor::relu, |x| x.max(0.0), numbers, extreme);
    table.unary("gelu", Tensor::gelu, |x| 0.5 * x * (1.0 + erf(x / 2f64.sqrt())), numbers, &[-4.0, 0.0, 4.0]);
    table.unary(
        "gelu-tanh",
        Tensor::gelu_tanh,
        |x| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh()),
        numbers,
        extreme,
    );
    table.unary("silu", Tensor::silu, |x| x / (1.0 + (-x).exp()), numbers, extreme);

    for shape in SHAPES {
        table.add("scale", vec![numbers(shape, 3)], |x| x[0].scale(-2.5), |x| x[0].map(|x| x * -2.5));
        table.add("add-scalar", vec![numbers(shape, 3)], |x| x[0].add_scalar(1.5), |x| x[0].map(|x| x + 1.5));
        for exponent in [2.0, 0.0, -0.5] {
            table.add(
                "pow",
                vec![positive(shape, 3)],
                move |x| x[0].pow(exponent),
                move |x| x[0].map(|x| x.powf(exponent)),
            );
        }
        table.add(
            "clamp",
            vec![numbers(shape, 3)],
            |x| x[0].clamp(-0.7, 1.1),
            |x| x[0].map(|x| x.clamp(-0.7, 1.1)),
        );
    }

    table.binary("add", Tensor::add, |a, b| a + b, Gradient::FiniteDifferences);
    table.binary("sub", Tensor::sub, |a, b| a - b, Gradient::FiniteDifferences);
    table.binary("mul", Tensor::mul, |a, b| a * b, Gradient::FiniteDifferences);
    table.binary("div", Tensor::div, |a, b| a / b, Gradient::FiniteDifferences);
    table.binary("maximum", Tensor::maximum, f64::max, Gradient::FiniteDifferences);
    table.binary("minimum", Tensor::minimum, f64::min, Gradient::FiniteDifferences);
    table.binary("eq", Tensor::eq, |a, b| f64::from(u8::from(a == b)), Gradient::Refused);
    table.binary("gt", Tensor::gt, |a, b| f64::from(u8::from(a > b)), Gradient::Refused);
    table.binary("ge", Tensor::ge, |a, b| f64::from(u8::from(a >= b)), Gradient::Refused);
    table.binary("lt", Tensor::lt, |a, b| f64::from(u8::from(a < b)), Gradient::Refused);
    table.binary("le", Tensor::le, |a, b| f64::from(u8::from(a <= b)), Gradient::Refused);
    table.add(
        "choose",
        vec![numbers(&[2, 3], 1), numbers(&[3], 4)],
        |x| from_list(&[1.0, 0.0], &[2, 1], DType::U8)?.choose(&x[0], &x[1]),
        |x| Array::from_fn(&[2, 3], |i| if i[0] == 0 { x[0].at(i) } else { x[1].at(i) }),
    );
}

fn reductions(table: &mut Table) {
    for shape in [&[4][..], &[3, 4], &[2, 3, 5]] {
        for dim in 0..shape.len() {
            let back = dim as i32 - shape.len() as i32;
            let d = dim as i32;
            let x = || vec![numbers(shape, 6)];
            table.add(
                "sum",
                x(),
                move |x| x[0].sum(&[back], false),
                move |x| squeeze(reduce(&x[0], dim, |l| l.iter().sum()), dim),
            );
            table.add(
                "mean",
                x(),
                move |x| x[0].mean(&[d], true),
                move |x| reduce(&x[0], dim, |l| l.iter().sum::<f64>() / l.len() as f64),
            );
            table.add(
                "max",
                x(),
                move |x| x[0].max(d, true),
                move |x| reduce(&x[0], dim, |l| l.iter().copied().fold(f64::MIN, f64::max)),
            );
            table.add(
                "min",
                x(),
                move |x| x[0].min(d, false),
                move |x| squeeze(reduce(&x[0], dim, |l| l.iter().copied().fold(f64::MAX, f64::min)), dim),
            );
            table.add(
                "logsumexp",
                x(),
                move |x| x[0].logsumexp(d, false),
                move |x| squeeze(reduce(&x[0], dim, log_sum_exp), dim),
            );
            table.add(
                "softmax",
                x(),
                move |x| x[0].softmax(d),
                move |x| along(&x[0], dim, |l| l.iter().map(|v| (v - log_sum_exp(l)).exp()).collect()),
            );
            table.add(
                "log-softmax",
                x(),
                move |x| x[0].log_softmax(back),
                move |x| along(&x[0], dim, |l| l.iter().map(|v| v - log_sum_exp(l)).collect()),
            );
            table.add(
                "cumsum",
                x(),
                move |x| x[0].cumsum(d),
                move |x| {
                    along(&x[0], dim, |l| {
                        l.iter()
                            .scan(0.0, |total, v| {
                                *total += v;
                                Some(*total)
                            })
                            .collect()
                    })
                },
            );
            table
                .add(
                    "argmax",
                    x(),
                    move |x| x[0].argmax(d, true),
                    move |x| {
                        reduce(&x[0], dim, |l| {
                            let largest = l.iter().copied().fold(f64::MIN, f64::max);
                            l.iter().position(|&v| v == largest).unwrap() as f64
                        })
                    },
                )
                .gradient = Gradient::Refused;
        }
    }
    for shape in SHAPES {
        table.add(
            "sum",
            vec![numbers(shape, 7)],
            |x| x[0].sum(&[], false),
            |x| Array::new(&[], vec![x[0].values.iter().sum()]),
        );
    }
    table.add(
        "sum",
        vec![numbers(&[2, 3, 5], 7)],
        |x| x[0].sum(&[0, -1], true),
        |x| {
            Array::from_fn(&[1, 3, 1], |i| {
                (0..2).flat_map(|a| (0..5).map(move |b| (a, b))).map(|(a, b)| x[0].at(&[a, i[1], b])).sum()
            })
        },
    );
    let far = || vec![Array::new(&[2, 3], vec![-300.0, 300.0, 298.0, -1000.0, -1000.0, -1004.0])];
    table.add("logsumexp", far(), |x| x[0].logsumexp(-1, true), |x| reduce(&x[0], 1, log_sum_exp));
    table.add(
        "log-softmax",
        far(),
        |x| x[0].log_softmax(-1),
        |x| along(&x[0], 1, |l| l.iter().map(|v| v - log_sum_exp(l)).collect()),
    );
    for descending in [false, true] {
        for shape in [&[6][..], &[3, 4], &[2, 0]] {
            let ranked = move |line: &[f64]| {
                let mut order: Vec<usize> = (0..line.len()).collect();
                order.sort_by(|&a, &b| {
                    if descending { line[b].total_cmp(&line[a]) } else { line[a].total_cmp(&line[b]) }
                });
                order
            };
            let dim = shape.len() - 1;
            let case = table.add(
                "sort",
                vec![numbers(shape, 8)],
                move |x| x[0].sort(descending),
                move |x| along(&x[0], dim, |l| ranked(l).iter().map(|&i| l[i]).collect()),
            );
            case.reduced_precision = false;
            let case = table.add(
                "argsort",
                vec![numbers(shape, 8)],
                move |x| x[0].argsort(descending),
                move |x| along(&x[0], dim, |l| ranked(l).iter().map(|&i| i as f64).collect()),
            );
            (case.gradient, case.reduced_precision) = (Gradient::Refused, false);
        }
    }
}

fn shapes_and_indices(table: &mut Table) {
    for (a, b) in [
        (&[2, 3][..], &[3, 4][..]),
        (&[1, 1], &[1, 1]),
        (&[2, 2, 3], &[3, 5]),
        (&[3, 1, 2, 4], &[2, 4, 2]),
        (&[0, 3], &[3, 2]),
        (&[2, 0], &[0, 2]),
    ] {
        table.add(
            "matmul",
            vec![numbers(a, 9), numbers(b, 10)],
            |x| x[0].matmul(&x[1]),
            |x| {
                let (ra, rb) = (x[0].shape.len(), x[1].shape.len());
                let lead = broadcast_shape(&x[0].shape[..ra - 2], &x[1].shape[..rb - 2]);
                let (m, k, n) = (x[0].shape[ra - 2], x[0].shape[ra - 1], x[1].shape[rb - 1]);
                Array::from_fn(&[lead.as_slice(), &[m, n]].concat(), |index| {
                    let (lead, last) = index.split_at(index.len() - 2);
                    (0..k)
                        .map(|i| {
                            x[0].at(&[lead, &[last[0], i]].concat())
                                * x[1].at(&[lead, &[i, last[1]]].concat())
                        })
                        .sum()
                })
            },
        );
    }
    table.add(
        "gather",
        vec![numbers(&[3, 4], 1)],
        |x| x[0].gather(1, &integers(&[3, 0, 0, 1, 2, 2]).reshape(&[3, 2])?),
        |x| {
            let index = [[3, 0], [0, 1], [2, 2]];
            Array::from_fn(&[3, 2], |i| x[0].at(&[i[0], index[i[0]][i[1]]]))
        },
    );
    table.add(
        "index-select",
        vec![numbers(&[3, 4], 1)],
        |x| x[0].index_select(0, &integers(&[2, 0, 2])),
        |x| Array::from_fn(&[3, 4], |i| x[0].at(&[[2, 0, 2][i[0]], i[1]])),
    );
    table.add(
        "index-select",
        vec![numbers(&[3, 4], 1)],
        |x| x[0].index_select(-1, &integers(&[])),
        |_| Array::new(&[3, 0], vec![]),
    );
    for (start, length) in [(0, 4), (1, 2), (4, 0)] {
        table.add(
            "narrow",
            vec![numbers(&[2, 4], 1)],
            move |x| x[0].narrow(1, start as u64, length as u64),
            move |x| Array::from_fn(&[2, length], |i| x[0].at(&[i[0], i[1] + start])),
        );
    }
    table.add(
        "reshape",
        vec![numbers(&[2, 6], 1)],
        |x| x[0].reshape(&[3, -1]),
        |x| Array::new(&[3, 4], x[0].values.clone()),
    );
    table.add(
        "transpose",
        vec![numbers(&[2, 3, 4], 1)],
        |x| x[0].transpose(0, -1),
        |x| Array::from_fn(&[4, 3, 2], |i| x[0].at(&[i[2], i[1], i[0]])),
    );
    table.add(
        "broadcast-to",
        vec![numbers(&[3, 1], 1)],
        |x| x[0].broadcast_to(&[2, 3, 4]),
        |x| Array::from_fn(&[2, 3, 4], |i| x[0].at(i)),
    );
    table.add("cast", vec![numbers(&[5], 1)], |x| x[0].cast(DType::F64), |x| x[0].clone());
    table.add(
        "cat",
        vec![numbers(&[2, 3], 1), numbers(&[2, 0], 1), numbers(&[2, 1], 2)],
        |x| cat(&[&x[0], &x[1], &x[2]], 1),
        |x| Array::from_fn(&[2, 4], |i| if i[1] < 3 { x[0].at(i) } else { x[2].at(&[i[0], 0]) }),
    );
    for dim in [0, 1, -1] {
        table.add(
            "stack",
            vec![numbers(&[2, 3], 1), numbers(&[2, 3], 2)],
            move |x| stack(&[&x[0], &x[1]], dim),
            move |x| match dim {
                0 => Array::from_fn(&[2, 2, 3], |i| x[i[0]].at(&i[1..])),
                1 => Array::from_fn(&[2, 2, 3], |i| x[i[1]].at(&[i[0], i[2]])),
                _ => Array::from_fn(&[2, 3, 2], |i| x[i[2]].at(&i[..2])),
            },
        );
    }
    let segments = [2i64, 0, 0, 2, 3];
    for width in [&[][..], &[3], &[2, 2], &[0]] {
        let shape = [&[5], width].concat();
        let sums = move |x: &[Array], mean: bool| {
            Array::from_fn(&[&[5], &x[0].shape[1..]].concat(), |i| {
                let rows: Vec<usize> = (0..5).filter(|&r| segments[r] == i[0] as i64).collect();
                let sum: f64 = rows.iter().map(|&r| x[0].at(&[&[r], &i[1..]].concat())).sum();
                if mean && !rows.is_empty() { sum / rows.len() as f64 } else { sum }
            })
        };
        table.add(
            "segment-sum",
            vec![numbers(&shape, 1)],
            move |x| x[0].segment_sum(&integers(&segments), 5),
            move |x| sums(x, false),
        );
        table.add(
            "segment-mean",
            vec![numbers(&shape, 1)],
            move |x| x[0].segment_mean(&integers(&segments), 5),
            move |x| sums(x, true),
        );
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut table = Table(Vec::new());
    elementwise(&mut table);
    reductions(&mut table);
    shapes_and_indices(&mut table);
    fused(&mut table);
    table.0
}
