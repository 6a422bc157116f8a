/// A slope for each head of a model whose positions are biases on scores (Press et al. 2022, "ALiBi", section 3), for
/// [`attention_with_slopes`](crate::Context::attention_with_slopes). Where the number of heads is a power of two they are
/// `2^(-8 / heads)` and its powers; else those of the power of two below, and then each second one of the power of two above.
pub fn alibi_slopes(heads: u32) -> Vec<f64> {
    let powers =
        |count: u32| (1..=count).map(move |number| 2f64.powf(-8.0 * f64::from(number) / f64::from(count)));
    let below = 1 << heads.checked_ilog2().unwrap_or_default();
    let between = powers(below * 2).step_by(2);
    powers(below).chain(between).take(heads as usize).collect()
}
