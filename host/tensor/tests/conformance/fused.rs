//! The fused operations: the same table, formulas written without them.

use std::sync::Arc;

use swift_tensor::fused::{
    AttentionOptions, Dropout, GroupedLinear, HeadScores, Linear, LongerSequences, LowRank, LowRankRows,
    RotaryTable, Weight, attention, attention_with, dropout, embedding, grouped_linear, layer_norm, linear,
    low_rank_rows, rms_norm, rms_norm_offset, rope, rotary_parts, swiglu, token_statistics,
};
use swift_tensor::quantised::{Matrix, int8};
use swift_tensor::{DType, HostNumbers, Staging, current_device, from_list};

use crate::cases::{Table, numbers, positive};
use crate::check::Array;

pub(crate) fn fused(table: &mut Table) {
    norms_and_gates(table);
    linears(table);
    attentions(table);
    experts(table);
    head_scores(table);
    heads(table);
}

fn norms_and_gates(table: &mut Table) {
    for shape in [&[1, 1][..], &[3, 5], &[2, 2, 8], &[0, 4]] {
        let width = shape[shape.len() - 1];
        table.add(
            "rms_norm",
            vec![numbers(shape, 1), positive(&[width], 2)],
            |x| rms_norm(&x[0], &x[1], 1e-3),
            move |x| {
                Array::from_fn(&x[0].shape, |index| {
                    let row = |k: usize| x[0].at(&[&index[..index.len() - 1], &[k]].concat());
                    let mean = (0..width).map(|k| row(k).powi(2)).sum::<f64>() / width as f64;
                    x[0].at(index) / (mean + 1e-3).sqrt() * x[1].at(&index[index.len() - 1..])
                })
            },
        );
        table.add(
            "rms_norm_offset",
            vec![numbers(shape, 1), numbers(&[width], 2)],
            |x| rms_norm_offset(&x[0], &x[1], 1.0, 1e-3),
            move |x| {
                Array::from_fn(&x[0].shape, |index| {
                    let row = |k: usize| x[0].at(&[&index[..index.len() - 1], &[k]].concat());
                    let mean = (0..width).map(|k| row(k).powi(2)).sum::<f64>() / width as f64;
                    x[0].at(index) / (mean + 1e-3).sqrt() * (1.0 + x[1].at(&index[index.len() - 1..]))
                })
            },
        );
        for parameters in 0..3 {
            table.add(
                ["layer_norm without parameters", "layer_norm without a bias", "layer_norm"][parameters],
                [numbers(shape, 1), positive(&[width], 2), numbers(&[width], 3)][..=parameters].to_vec(),
                |x| layer_norm(&x[0], x.get(1), x.get(2), 0.1),
                move |x| {
                    Array::from_fn(&x[0].shape, |index| {
                        let row = |k: usize| x[0].at(&[&index[..index.len() - 1], &[k]].concat());
                        let mean = (0..width).map(row).sum::<f64>() / width as f64;
                        let variance =
                            (0..width).map(|k| (row(k) - mean).powi(2)).sum::<f64>() / width as f64;
                        let last = &index[index.len() - 1..];
                        let y = (x[0].at(index) - mean) / (variance + 0.1).sqrt();
                        y * x.get(1).map_or(1.0, |w| w.at(last)) + x.get(2).map_or(0.0, |b| b.at(last))
                    })
                },
            );
        }
        table.add(
            "swiglu",
            vec![numbers(shape, 1), numbers(shape, 2)],
            |x| swiglu(&x[0], &x[1]),
            |x| Array::from_fn(&x[0].shape, |i| x[0].at(i) / (1.0 + (-x[0].at(i)).exp()) * x[1].at(i)),
        );
    }
    let frequencies = [0.7, 0.05];
    let positions = [0u32, 3, 7];
    for interleaved in [false, true] {
        // Two pairs of a head of five components: the last one passes through.
        let case = table.add(
            "rope",
            vec![numbers(&[3, 2, 5], 3)],
            move |x| {
                rope(&x[0], &RotaryTable::new(&frequencies, &positions, 1.25, interleaved, x[0].dtype()))
            },
            move |x| {
                Array::from_fn(&[3, 2, 5], |i| {
                    let (pair, second) = match (i[2], interleaved) {
                        (4, _) => return x[0].at(i),
                        (k, true) => (k / 2, k % 2 == 1),
                        (k, false) => (k % 2, k >= 2),
                    };
                    let at = |second: usize| {
                        let k = if interleaved { 2 * pair + second } else { pair + 2 * second };
                        x[0].at(&[i[0], i[1], k])
                    };
                    let (sin, cos) = (f64::from(positions[i[0]]) * frequencies[pair]).sin_cos();
                    1.25 * if second { at(1) * cos + at(0) * sin } else { at(0) * cos - at(1) * sin }
                })
            },
        );
        case.reduced_precision = true;
    }
    longer_sequences(table);
}

/// Rotation of a sequence of three tokens, one more than the table is for, and of one that it is for.
fn longer_sequences(table: &mut Table) {
    let positions = [0u32, 1, 2, 1];
    // Bases of 25 and 100, the latter growing: by (3 * 3 / 2 - 2)^(4 / 2) for three tokens.
    for (growth, base) in [(0.0, 100.0f64), (3.0, 100.0 * 2.5f64.powi(2))] {
        let longer = LongerSequences { tokens: 2, inverse_frequencies: vec![1.0, 0.1], growth };
        let case = table.add(
            "rope of longer sequences",
            vec![numbers(&[4, 1, 4], 3)],
            move |x| {
                let parts = rotary_parts(&[1.0, 0.2], Some(&longer), &positions, &[3, 1], None);
                rope(&x[0], &RotaryTable::of_parts(&parts, 1.0, false, x[0].dtype()))
            },
            move |x| {
                Array::from_fn(&[4, 1, 4], |i| {
                    let (pair, second) = (i[2] % 2, i[2] >= 2);
                    let base = if i[0] < 3 { base } else { 25.0 };
                    let angle = f64::from(positions[i[0]]) * base.powf(-2.0 * pair as f64 / 4.0);
                    let at = |second: usize| x[0].at(&[i[0], 0, pair + 2 * second]);
                    let (sin, cos) = angle.sin_cos();
                    if second { at(1) * cos + at(0) * sin } else { at(0) * cos - at(1) * sin }
                })
            },
        );
        case.reduced_precision = true;
    }
}

/// A weight in 8 bits, and what these stand for.
fn in_eight_bits(x: &Array) -> (Weight, Array) {
    let &[rows, columns] = x.shape.as_slice() else { panic!("{:?}", x.shape) };
    let matrix = Matrix::Int8(int8::Matrix::quantise(&x.values, rows, columns).unwrap());
    let mut values = vec![0.0; rows * columns];
    matrix.dequantise(&mut values).unwrap();
    let weight = Weight::quantised(matrix, &mut Staging::new(&current_device())).unwrap();
    (weight, Array::new(&x.shape, values))
}

fn linears(table: &mut Table) {
    table.add(
        "embedding",
        vec![numbers(&[5, 3], 1)],
        |x| embedding(&x[0], &HostNumbers::new(vec![4, 0, 4])),
        |x| Array::from_fn(&[3, 3], |i| x[0].at(&[[4, 0, 4][i[0]], i[1]])),
    );
    for lead in [&[3][..], &[2, 2], &[0]] {
        let shape = [lead, &[4]].concat();
        let dense = |x: &[Array], i: &[usize]| {
            let (lead, last) = i.split_at(i.len() - 1);
            (0..4).map(|k| x[0].at(&[lead, &[k]].concat()) * x[1].at(&[last[0], k])).sum::<f64>()
        };
        table.add(
            "linear",
            vec![numbers(&shape, 1), numbers(&[3, 4], 2), numbers(&[3], 3)],
            |x| {
                linear(
                    &x[0],
                    &Linear { weight: x[1].clone().into(), bias: Some(x[2].clone()), adapter: None },
                )
            },
            {
                let shape = [lead, &[3]].concat();
                move |x| Array::from_fn(&shape, |i| dense(x, i) + x[2].at(&i[i.len() - 1..]))
            },
        );
        let (weight, whole) = in_eight_bits(&numbers(&[3, 4], 2));
        table.add(
            "linear with a quantised weight",
            vec![numbers(&shape, 1), numbers(&[3], 3)],
            move |x| {
                linear(&x[0], &Linear { weight: weight.clone(), bias: Some(x[1].clone()), adapter: None })
            },
            {
                let shape = [lead, &[3]].concat();
                move |x| {
                    let operands = [x[0].clone(), whole.clone()];
                    Array::from_fn(&shape, |i| dense(&operands, i) + x[1].at(&i[i.len() - 1..]))
                }
            },
        );
        table.add(
            "linear with an adapter",
            vec![numbers(&shape, 1), numbers(&[3, 4], 2), numbers(&[2, 4], 4), numbers(&[3, 2], 5)],
            |x| {
                let adapter = LowRank { a: x[2].clone(), b: x[3].clone(), scale: 1.5, dropout: None };
                linear(&x[0], &Linear { weight: x[1].clone().into(), bias: None, adapter: Some(adapter) })
            },
            {
                let shape = [lead, &[3]].concat();
                move |x| {
                    Array::from_fn(&shape, |i| {
                        let (lead, last) = i.split_at(i.len() - 1);
                        let low = |r: usize| {
                            (0..4).map(|k| x[0].at(&[lead, &[k]].concat()) * x[2].at(&[r, k])).sum::<f64>()
                        };
                        dense(x, i) + 1.5 * (0..2).map(|r| low(r) * x[3].at(&[last[0], r])).sum::<f64>()
                    })
                }
            },
        );
    }
    // Which elements are dropped is not a formula; what is kept, and the gradient, is.
    let rate = Dropout { rate: 0.5, seed: 3 };
    let kept = dropout(&from_list(&[1.0; 8], &[8], DType::F64).unwrap(), rate).unwrap().to_list().unwrap();
    assert!(kept.contains(&0.0) && kept.contains(&2.0), "{kept:?}");
    table.add(
        "dropout",
        vec![numbers(&[8], 1)],
        move |x| dropout(&x[0], rate),
        move |x| Array::new(&[8], x[0].values.iter().zip(&kept).map(|(x, kept)| x * kept).collect()),
    );
}

fn attentions(table: &mut Table) {
    let lengths: [usize; 3] = [3, 1, 4];
    for (kv_heads, window, soft_cap) in
        [(2, None, None), (1, Some(2), None), (1, Some(1), Some(1.5)), (2, Some(9), Some(0.7))]
    {
        let options = AttentionOptions { scale: 0.6, window, soft_cap };
        table.add(
            "attention",
            vec![numbers(&[8, 2, 3], 1), numbers(&[8, kv_heads, 3], 2), numbers(&[8, kv_heads, 3], 3)],
            move |x| attention(&x[0], &x[1], &x[2], &Arc::from(lengths), &options),
            move |x| {
                Array::from_fn(&[8, 2, 3], |i| {
                    let start = [0, 0, 0, 3, 4, 4, 4, 4][i[0]];
                    let first = window.map_or(start, |window| start.max((i[0] + 1).saturating_sub(window)));
                    let kv = i[1] * kv_heads / 2;
                    let scores: Vec<f64> = (first..=i[0])
                        .map(|j| {
                            let score = 0.6
                                * (0..3)
                                    .map(|k| x[0].at(&[i[0], i[1], k]) * x[1].at(&[j, kv, k]))
                                    .sum::<f64>();
                            soft_cap.map_or(score, |cap| cap * (score / cap).tanh())
                        })
                        .collect();
                    let total: f64 = scores.iter().map(|score| score.exp()).sum();
                    scores
                        .iter()
                        .zip(first..)
                        .map(|(score, j)| score.exp() / total * x[2].at(&[j, kv, i[2]]))
                        .sum()
                })
            },
        );
    }
}

/// Rows of three groups, the second of which has none, with a matrix each and with a stack of matrices.
fn experts(table: &mut Table) {
    let groups = || from_list(&[0.0, 0.0, 2.0], &[3], DType::I64);
    let group = |row: usize| [0, 0, 2][row];
    let dense = move |x: &[Array], i: &[usize]| {
        let weight = &x[1 + group(i[0])];
        let bias = x[4 + group(i[0])].at(&[i[1]]);
        (0..4).map(|k| x[0].at(&[i[0], k]) * weight.at(&[i[1], k])).sum::<f64>() + bias
    };
    let mut inputs = vec![numbers(&[3, 4], 1)];
    inputs.extend([2, 3, 4].map(|seed| numbers(&[2, 4], seed)));
    inputs.extend([5, 6, 7].map(|seed| numbers(&[2], seed)));
    table.add(
        "grouped_linear",
        inputs,
        move |x| {
            let layer = GroupedLinear {
                weights: x[1..4].iter().cloned().map(Into::into).collect(),
                biases: x[4..].to_vec(),
            };
            grouped_linear(&x[0], &layer, &groups()?)
        },
        move |x| Array::from_fn(&[3, 2], |i| dense(x, i)),
    );
    let (weights, wholes): (Vec<_>, Vec<_>) =
        [2, 3, 4].map(|seed| in_eight_bits(&numbers(&[2, 4], seed))).into_iter().unzip();
    table.add(
        "grouped_linear with quantised weights",
        [1, 5, 6, 7].map(|seed| if seed == 1 { numbers(&[3, 4], 1) } else { numbers(&[2], seed) }).to_vec(),
        move |x| {
            let layer = GroupedLinear { weights: weights.clone(), biases: x[1..].to_vec() };
            grouped_linear(&x[0], &layer, &groups()?)
        },
        move |x| {
            let operands = [&x[..1], &wholes[..], &x[1..]].concat();
            Array::from_fn(&[3, 2], |i| dense(&operands, i))
        },
    );
    table.add(
        "grouped_linear with a stack",
        vec![numbers(&[3, 4], 1), numbers(&[3, 4, 2], 2), numbers(&[3, 2], 3)],
        move |x| {
            let layer = GroupedLinear { weights: vec![x[1].clone().into()], biases: vec![x[2].clone()] };
            grouped_linear(&x[0], &layer, &groups()?)
        },
        move |x| {
            Array::from_fn(&[3, 2], |i| {
                let group = group(i[0]);
                let sum: f64 = (0..4).map(|k| x[0].at(&[i[0], k]) * x[1].at(&[group, k, i[1]])).sum();
                sum + x[2].at(&[group, i[1]])
            })
        },
    );
    table.add(
        "low_rank_rows",
        vec![numbers(&[3, 2], 1), numbers(&[3, 4], 2), numbers(&[2, 4], 3), numbers(&[2, 2], 4)],
        |x| {
            let part =
                |start, count| LowRankRows { start, count, a: x[2].clone(), b: x[3].clone(), scale: 1.5 };
            low_rank_rows(&x[0], &x[1], &[part(0, 1), part(2, 0), part(2, 1)])
        },
        |x| {
            Array::from_fn(&[3, 2], |i| {
                let low = |r: usize| (0..4).map(|k| x[1].at(&[i[0], k]) * x[2].at(&[r, k])).sum::<f64>();
                let sum: f64 = (0..2).map(|r| low(r) * x[3].at(&[i[1], r])).sum();
                x[0].at(i) + if i[0] == 1 { 0.0 } else { 1.5 * sum }
            })
        },
    );
}

/// Attention with sinks, with slopes, and with both, where values have fewer components than keys.
fn head_scores(table: &mut Table) {
    let lengths: [usize; 2] = [3, 2];
    let cases: [(_, bool, &[f64], _); 4] = [
        ("attention_with_sinks", true, &[], None),
        ("attention_with_sinks and a window", true, &[], Some(2)),
        ("attention_with_slopes", false, &[0.5, 0.03], None),
        ("attention_with sinks, slopes and a window", true, &[0.5, 0.03], Some(2)),
    ];
    for (name, sinks, slopes, window) in cases {
        let options = AttentionOptions { scale: 0.6, window, soft_cap: None };
        let mut inputs = vec![numbers(&[5, 2, 3], 1), numbers(&[5, 1, 3], 2), numbers(&[5, 1, 2], 3)];
        inputs.extend(sinks.then(|| numbers(&[2], 4)));
        table.add(
            name,
            inputs,
            move |x| {
                let added = HeadScores { sinks: x.get(3), slopes };
                attention_with([&x[0], &x[1], &x[2]], added, &Arc::from(lengths), &options)
            },
            move |x| {
                Array::from_fn(&[5, 2, 2], |i| {
                    let start = [0, 0, 0, 3, 3][i[0]];
                    let first = window.map_or(start, |window| start.max((i[0] + 1).saturating_sub(window)));
                    let score = |j: usize| {
                        let product = (0..3).map(|k| x[0].at(&[i[0], i[1], k]) * x[1].at(&[j, 0, k]));
                        let slope = slopes.get(i[1]).copied().unwrap_or_default();
                        (0.6 * product.sum::<f64>() - slope * (i[0] - j) as f64).exp()
                    };
                    let sink = x.get(3).map_or(0.0, |sinks| sinks.at(&[i[1]]).exp());
                    let total = (first..=i[0]).map(score).sum::<f64>() + sink;
                    (first..=i[0]).map(|j| score(j) / total * x[2].at(&[j, 0, i[2]])).sum()
                })
            },
        );
    }
}

fn heads(table: &mut Table) {
    let labels = [4i64, 0, 4];
    let logits = |x: &[Array], token: usize| -> Vec<f64> {
        (0..5)
            .map(|v| (0..3).map(|k| x[0].at(&[token, k]) * x[1].at(&[v, k])).sum::<f64>() + x[2].at(&[v]))
            .collect()
    };
    let log_sum = |logits: &[f64]| logits.iter().map(|logit| logit.exp()).sum::<f64>().ln();
    let inputs = || vec![numbers(&[3, 3], 1), numbers(&[5, 3], 2), numbers(&[5], 3)];
    let label_tensor = move || from_list(&labels.map(|label| label as f64), &[3], DType::I64);
    table.add(
        "token_logps",
        inputs(),
        move |x| Ok(token_statistics(&x[0], &x[1], Some(&x[2]), None, &label_tensor()?)?.token_logps),
        move |x| {
            Array::from_fn(&[3], |i| {
                let logits = logits(x, i[0]);
                logits[labels[i[0]] as usize] - log_sum(&logits)
            })
        },
    );
    // With the projection frozen the gradient comes from the direction that is formed on the way there.
    let (weight, bias) = (numbers(&[5, 3], 2), numbers(&[5], 3));
    let constants = [weight.clone(), bias.clone()];
    table.add(
        "token_logps with a frozen projection and a cap",
        vec![numbers(&[3, 3], 1)],
        move |x| {
            let [weight, bias] = constants.clone().map(|array| array.tensor(x[0].dtype()));
            Ok(token_statistics(&x[0], &weight, Some(&bias), Some(1.5), &label_tensor()?)?.token_logps)
        },
        move |x| {
            let inputs = [x[0].clone(), weight.clone(), bias.clone()];
            Array::from_fn(&[3], |i| {
                let logits: Vec<f64> =
                    logits(&inputs, i[0]).into_iter().map(|logit| 1.5 * (logit / 1.5).tanh()).collect();
                logits[labels[i[0]] as usize] - log_sum(&logits)
            })
        },
    );
}
