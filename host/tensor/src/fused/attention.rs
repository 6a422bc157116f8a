use std::sync::Arc;

use candle_core::Tensor as Value;
use swift_kernels::attention as kernel;
pub use swift_kernels::attention::AttentionOptions;

use crate::storage::{make, on_device, read, with_real, zeros};
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
    attention_with([q, k, v], HeadScores::default(), lengths, options)
}

/// What each head adds to scores, if it does.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadScores<'a> {
    /// A sink that the head attends to besides: a score, `[heads]`, and a value of zero (Agarwal et al. 2025, "gpt-oss").
    pub sinks: Option<&'a Tensor>,
    /// A slope for each head, or none: `slope * (j - p)` is added, before the soft cap, for the query at position `p` and the key
    /// at `j` (Press et al. 2022, "ALiBi", section 3).
    pub slopes: &'a [f64],
}

impl HeadScores<'_> {
    pub(super) fn check(&self, heads: usize) -> Result<()> {
        if let Some(sinks) = self.sinks {
            checks::same_shape(OP, sinks.dims(), &[heads])?;
        }
        if ![0, heads].contains(&self.slopes.len()) || self.slopes.iter().any(|slope| !slope.is_finite()) {
            return Err(Error::invalid(
                OP,
                format!("slopes are not {heads} finite numbers, one for each head"),
            ));
        }
        Ok(())
    }
}

const OP: &str = "attention";

/// Values with zeros for the components that keys have and they don't.
pub(super) fn widened(v: &Tensor, head_dim: usize) -> Result<Option<Tensor>> {
    let &[tokens, heads, width] = v.dims() else { return Ok(None) };
    if width == 0 || width >= head_dim {
        return Ok(None);
    }
    let shape = (tokens, heads, head_dim - width);
    let zeros = Tensor::constant(Value::zeros(shape, v.dtype(), v.value().device())?);
    crate::cat(&[v, &zeros], 2).map(Some)
}

/// As [`attention`], with what heads add to scores.
///
/// # Errors
/// As [`attention`], and if there is not one sink or slope for each head.
pub fn attention_with(
    [q, k, v]: [&Tensor; 3],
    added: HeadScores<'_>,
    lengths: &Arc<[usize]>,
    options: &AttentionOptions,
) -> Result<Tensor> {
    let (&[tokens, heads, head_dim], &[_, kv_heads, _]) = (q.dims(), k.dims()) else {
        return Err(Error::shapes(OP, q.dims(), k.dims()));
    };
    if let Some(wide) = widened(v, head_dim)? {
        let width = v.dims().last().copied().unwrap_or_default();
        return attention_with([q, k, &wide], added, lengths, options)?.narrow(2, 0, width as u64);
    }
    checks::same_shape(OP, k.dims(), &[tokens, kv_heads, head_dim])?;
    checks::same_shape(OP, v.dims(), k.dims())?;
    checks::same_dtype(OP, q, k)?;
    checks::same_dtype(OP, q, v)?;
    added.check(heads)?;
    let HeadScores { sinks, slopes } = added;
    let (lengths, options, slopes) = (lengths.clone(), *options, slopes.to_vec());
    let operands: Vec<&Tensor> = [q, k, v].into_iter().chain(sinks).collect();
    let sinks = sinks.map(|sinks| sinks.value().clone());
    let values = [q, k, v].map(|tensor| tensor.value().clone());
    let sequences = Sequences { qkv: values, sinks, slopes, lengths, options };
    let [out, lse] = on_device!(OP, q.value().device(),
        cpu: sequences.forward(),
        cuda: crate::cuda::attention_forward(&sequences.on_device()),
    )?;
    let kept = out.clone();
    record(OP, out, &operands, move |gradient, _| {
        on_device!(OP, gradient.device(),
            cpu: sequences.backward(gradient, [&kept, &lse]),
            cuda: crate::cuda::attention_backward(&sequences.on_device(), gradient, [&kept, &lse]),
        )
    })
}

/// What attention is computed from; shapes and types have been checked.
struct Sequences {
    qkv: [Value; 3],
    sinks: Option<Value>,
    slopes: Vec<f64>,
    lengths: Arc<[usize]>,
    options: AttentionOptions,
}

impl Sequences {
    #[cfg(any(feature = "cuda", feature = "emulation"))]
    fn on_device(&self) -> crate::cuda::Sequences<'_> {
        let Self { qkv, sinks, slopes, lengths, options } = self;
        crate::cuda::Sequences { qkv: qkv.each_ref(), sinks: sinks.as_ref(), slopes, lengths, options }
    }

    fn shape(&self) -> Result<kernel::AttentionShape<'_>> {
        let [q, k, _] = &self.qkv;
        let ((_, heads, head_dim), kv_heads) = (q.dims3()?, k.dim(1)?);
        Ok(kernel::AttentionShape { lengths: &self.lengths, heads, kv_heads, head_dim })
    }

    /// The result, and the logarithm of the sum of exponentials of each query's scores, `[heads, tokens]`.
    fn forward(&self) -> Result<[Value; 2]> {
        let ([q, k, v], shape) = (&self.qkv, self.shape()?);
        let (dims, tokens) = (q.dims(), q.dim(0)?);
        with_real!(OP, q.dtype(), T => {
            type Compute = <T as swift_kernels::Element>::Compute;
            read::<T, _>(q, |q| read::<T, _>(k, |k| read::<T, _>(v, |v| {
                let mut out = zeros::<T>(q.len());
                let mut lse = zeros::<Compute>(shape.heads * tokens);
                let scores = sink_scores::<Compute>(self.sinks.as_ref())?;
                let inputs = kernel::AttentionInputs { q, k, v, slopes: &self.slopes };
                kernel::forward_with_sinks(&inputs, &shape, &self.options, &scores, &mut out, &mut lse)?;
                Ok([make(out, dims)?, make(lse, &[shape.heads, tokens])?])
            })))
        })
    }

    /// The gradients of queries, keys and values, and of sinks if there are some.
    fn backward(&self, dout: &Value, [out, lse]: [&Value; 2]) -> Result<Vec<Option<Value>>> {
        let ([q_value, k_value, v_value], shape) = (&self.qkv, self.shape()?);
        let tokens = q_value.dim(0)?;
        with_real!(OP, q_value.dtype(), T => {
            type Compute = <T as swift_kernels::Element>::Compute;
            read::<T, _>(dout, |dout| read::<T, _>(out, |out| read::<Compute, _>(lse, |lse| {
                read::<T, _>(q_value, |q| read::<T, _>(k_value, |k| read::<T, _>(v_value, |v| {
                    let mut dq = zeros::<T>(q.len());
                    let (mut dk, mut dv) = (zeros::<T>(k.len()), zeros::<T>(v.len()));
                    let gradients = kernel::AttentionGradients { dq: &mut dq, dk: &mut dk, dv: &mut dv };
                    let inputs = kernel::AttentionInputs { q, k, v, slopes: &self.slopes };
                    kernel::backward(dout, &inputs, out, lse, &shape, &self.options, gradients)?;
                    let mut gradients = vec![
                        Some(make(dq, q_value.dims())?),
                        Some(make(dk, k_value.dims())?),
                        Some(make(dv, v_value.dims())?),
                    ];
                    if let Some(sinks) = &self.sinks {
                        let scores = sink_scores::<Compute>(Some(sinks))?;
                        let sums = sink_gradients::<T>(&scores, [dout, out], lse, [tokens, shape.head_dim]);
                        gradients.push(Some(make(sums, &[shape.heads])?.to_dtype(sinks.dtype())?));
                    }
                    Ok(gradients)
                })))
            })))
        })
    }
}

/// The scores of sinks in the precision that attention computes in.
pub(super) fn sink_scores<C: candle_core::WithDType>(sinks: Option<&Value>) -> Result<Vec<C>> {
    Ok(sinks.map(|sinks| sinks.to_dtype(C::DTYPE)?.to_vec1::<C>()).transpose()?.unwrap_or_default())
}

/// For each head the sum over tokens of `-exp(sink - lse) * rowsum(dout * out)`.
fn sink_gradients<T: crate::storage::Real>(
    sinks: &[T::Compute],
    [dout, out]: [&[T]; 2],
    lse: &[T::Compute],
    [tokens, head_dim]: [usize; 2],
) -> Vec<f64> {
    use swift_kernels::Float;
    let heads = sinks.len();
    let of_head = |(head, sink): (usize, &T::Compute)| {
        let rows = dout.chunks_exact(head_dim).zip(out.chunks_exact(head_dim)).skip(head).step_by(heads);
        let lse = lse.iter().skip(head * tokens).take(tokens);
        let terms = rows.zip(lse).map(|((dout, out), lse)| {
            let products = dout.iter().zip(out).map(|(dout, out)| dout.load().widen() * out.load().widen());
            (sink.widen() - lse.widen()).exp() * products.sum::<f64>()
        });
        -terms.sum::<f64>()
    };
    sinks.iter().enumerate().map(of_head).collect()
}
