use std::sync::Arc;

use swift_kernels::attention as kernel;
pub use swift_kernels::attention::AttentionOptions;

use crate::storage::{make, read, with_real, zeros};
use crate::tape::record;
use crate::{Error, Result, Tensor, checks};

/// Causal attention inside each of the sequences that lie end to end: `q` `[tokens, heads, head_dim]`, `k` and `v`
/// `[tokens, kv_heads, head_dim]`, to `[tokens, heads, head_dim]`.
///
/// Memory grows with the number of tokens, not with its square; the way back computes the scores again from the
/// log-sum-exp of each row (Dao et al. 2022, "FlashAttention").
///
/// # Errors
/// If shapes don't fit, or `lengths` don't add up to the number of tokens.
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    lengths: &Arc<[usize]>,
    options: &AttentionOptions,
) -> Result<Tensor> {
    const OP: &str = "attention";
    let (&[tokens, heads, head_dim], &[_, kv_heads, _]) = (q.dims(), k.dims()) else {
        return Err(Error::shapes(OP, q.dims(), k.dims()));
    };
    checks::same_shape(OP, k.dims(), &[tokens, kv_heads, head_dim])?;
    checks::same_shape(OP, v.dims(), k.dims())?;
    checks::same_dtype(OP, q, k)?;
    checks::same_dtype(OP, q, v)?;
    let (lengths, options) = (lengths.clone(), *options);
    let values = [q, k, v].map(|tensor| tensor.value().clone());
    with_real!(OP, q.dtype(), T => {
        type Compute = <T as swift_kernels::Element>::Compute;
        let [q_value, k_value, v_value] = &values;
        let (out, lse) = read::<T, _>(q_value, |q| read::<T, _>(k_value, |k| read::<T, _>(v_value, |v| {
            let mut out = zeros::<T>(q.len());
            let mut lse = zeros::<Compute>(heads * tokens);
            let shape = kernel::AttentionShape { lengths: &lengths, heads, kv_heads, head_dim };
            kernel::forward(&kernel::AttentionInputs { q, k, v }, &shape, &options, &mut out, &mut lse)?;
            Ok((make(out, &[tokens, heads, head_dim])?, lse))
        })))?;
        let kept = out.clone();
        record(OP, out, &[q, k, v], move |gradient, _| {
            let [q_value, k_value, v_value] = &values;
            read::<T, _>(gradient, |dout| read::<T, _>(&kept, |out| {
                read::<T, _>(q_value, |q| read::<T, _>(k_value, |k| read::<T, _>(v_value, |v| {
                    let mut dq = zeros::<T>(q.len());
                    let (mut dk, mut dv) = (zeros::<T>(k.len()), zeros::<T>(v.len()));
                    let gradients = kernel::AttentionGradients { dq: &mut dq, dk: &mut dk, dv: &mut dv };
                    let inputs = kernel::AttentionInputs { q, k, v };
                    let shape = kernel::AttentionShape { lengths: &lengths, heads, kv_heads, head_dim };
                    kernel::backward(dout, &inputs, out, &lse, &shape, &options, gradients)?;
                    Ok(vec![
                        Some(make(dq, q_value.dims())?),
                        Some(make(dk, k_value.dims())?),
                        Some(make(dv, v_value.dims())?),
                    ])
                })))
            }))
        })
    })
}
