//! The conformance suite of the kernels: every operation against its formula in `f64`, every gradient against central
//! differences, `f32`, `bf16` and `f16` against `f64`, and equal bits whatever the number of threads.

#[cfg(test)]
mod adamw;
#[cfg(test)]
mod attention;
#[cfg(test)]
mod dropout;
#[cfg(test)]
mod elements;
#[cfg(test)]
mod elementwise;
#[cfg(test)]
mod float8;
#[cfg(test)]
mod low_rank;
#[cfg(test)]
mod matmul;
#[cfg(test)]
mod paged_attention;
#[cfg(test)]
mod quantised;
#[cfg(test)]
mod rms_norm;
#[cfg(test)]
mod rope;
#[cfg(test)]
mod segment;
#[cfg(test)]
mod support;
#[cfg(test)]
mod swiglu;
#[cfg(test)]
mod threads;
#[cfg(test)]
mod token_logps;
