//! Times products with weights of few bits beside `bf16`: `cargo run --locked -p swift-kernels --example quantised`, with the number
//! of rows on the left behind `--`, 1 otherwise. Weights of one shape are in the last cache, those of the other are not.

use std::hint::black_box;
use std::time::{Duration, Instant};

use half::bf16;
use swift_kernels::quantised::{self, int8, nf4};
use swift_kernels::{Element, KernelError, matmul};

/// Rows and columns of the weights: a layer's, and more than caches hold.
const SHAPES: [(usize, usize); 3] = [(4864, 896), (896, 4864), (65536, 4096)];
/// How long each product is repeated.
const WHILE: Duration = Duration::from_millis(600);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tokens: usize = std::env::args().nth(1).map_or(Ok(1), |argument| argument.parse())?;
    for (rows, columns) in SHAPES {
        let numbers = |count| (0..count).map(|i| bf16::store((i as f32 * 0.618).fract() * 2.0 - 1.0));
        let (x, original): (Vec<bf16>, Vec<bf16>) =
            (numbers(tokens * columns).collect(), numbers(rows * columns).collect());
        let mut y = vec![bf16::ZERO; tokens * rows];
        let nf4 =
            |double| nf4::Matrix::quantise(&original, rows, columns, nf4::Options { block: 64, double });
        let weights = [
            ("nf4, nested", quantised::Matrix::Nf4(nf4(true)?)),
            ("nf4", quantised::Matrix::Nf4(nf4(false)?)),
            ("int8", quantised::Matrix::Int8(int8::Matrix::quantise(&original, rows, columns)?)),
        ];
        for (name, weight) in &weights {
            let call = || quantised::forward(black_box(&x), weight, tokens, &mut y, false);
            print(name, (rows, columns), weight.bytes(), call)?;
        }
        let call =
            || matmul::product(black_box(&x), &original, &mut y, tokens, columns, rows, false, true, false);
        print("bf16", (rows, columns), original.len() * 2, call)?;
    }
    Ok(())
}

/// Prints the best time of a call, for each element of the weight, and what is read in it.
fn print(
    name: &str,
    (rows, columns): (usize, usize),
    bytes: usize,
    call: impl FnMut() -> Result<(), KernelError> + Send,
) -> Result<(), KernelError> {
    // From a thread of the pool: from outside, each call waits for threads to wake up.
    let best = rayon::scope(|_| best(call))?;
    let (each, speed) = (best * 1e9 / (rows * columns) as f64, bytes as f64 / best / 1e9);
    println!("{rows:6} x {columns:5} {name:12} {each:.4} ns an element, {speed:5.1} GB/s");
    Ok(())
}

fn best(mut call: impl FnMut() -> Result<(), KernelError>) -> Result<f64, KernelError> {
    let (started, mut best) = (Instant::now(), f64::INFINITY);
    while started.elapsed() < WHILE {
        let before = Instant::now();
        call()?;
        best = best.min(before.elapsed().as_secs_f64());
    }
    Ok(best)
}
