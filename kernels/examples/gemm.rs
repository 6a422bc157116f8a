//! Times matrix products for `cargo xtask bench gemm`: reads `TYPE LAYOUT M K N` from lines of the standard input,
//! computes that product for a while, and answers with the seconds that each of its calls took.
//!
//! An empty line is for the product before it once more. The layouts are those of a linear layer's passes: `forward` is
//! `x W^T`, `dgrad` is `dy W`, `wgrad` is `dy^T x`.

use std::hint::black_box;
use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

use half::bf16;
use swift_kernels::{Element, Float, KernelError, matmul};

/// How long an answer is measured for, if a call takes less.
const WHILE: Duration = Duration::from_millis(20);

type Call = Box<dyn FnMut() -> Result<(), KernelError> + Send>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let portable = std::env::args().nth(1).is_some_and(|argument| argument == "portable");
    let mut call: Call = Box::new(|| Ok(()));
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [dtype, layout, m, k, n] = words.as_slice() {
            let sizes = (m.parse()?, k.parse()?, n.parse()?);
            call = match *dtype {
                "bfloat16" => product::<bf16>(layout, sizes, portable),
                "float32" => product::<f32>(layout, sizes, portable),
                _ => return Err(format!("`{dtype}` is no type of elements").into()),
            };
            call()?;
        }
        // On a thread of the pool: from outside, each call waits for threads to wake up, which on a busy machine takes
        // longer than a small product. The peer's threads stay awake between calls too.
        let times = rayon::scope(|_| times(&mut call))?;
        println!("{}", times.join(" "));
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// Seconds that calls took.
fn times(call: &mut Call) -> Result<Vec<String>, KernelError> {
    let (started, mut times) = (Instant::now(), Vec::new());
    while times.is_empty() || started.elapsed() < WHILE {
        let before = Instant::now();
        call()?;
        times.push(before.elapsed().as_secs_f64().to_string());
    }
    Ok(times)
}

fn product<T: Element>(layout: &str, (m, k, n): (usize, usize, usize), portable: bool) -> Call {
    let (transpose_a, transpose_b) = (layout == "wgrad", layout == "forward");
    let (a, b, mut c) = (numbers::<T>(m * k), numbers::<T>(k * n), numbers::<T>(m * n));
    let function = if portable { matmul::product_portable } else { matmul::product };
    Box::new(move || function(black_box(&a), &b, black_box(&mut c), m, k, n, transpose_a, transpose_b, false))
}

/// Numbers between -1 and 1.
fn numbers<T: Element>(count: usize) -> Vec<T> {
    (0..count).map(|i| T::store(T::Compute::of((i as f64 * 0.618).fract() * 2.0 - 1.0))).collect()
}
