//! Model definitions.

use std::panic::Location;

use crate::decoder::longer_sequences;
use crate::{Parameters, Result, Settings, Tensor, backend};

pub use crate::bindings::host::nn::AttentionOptions;
pub use crate::bindings::model::{Architecture, Head, Parameter as ModelParameter, Role, RotaryTable};

/// How a family of models is wired.
///
/// The host drives a model stage by stage: stage 0 takes no input and embeds, the last gives what the head projects. Each
/// is a unit of recomputation, sharding and offload, which is why one definition serves them all.
pub trait Model: Parameters {
    /// A model that was loaded: sizes and the numbers of its parameters.
    type Network: 'static;

    /// Whether this plugin knows the model: the `architectures` entry and `model_type` of a `config.json`.
    fn supports(&self, architecture: &str, model_type: &str) -> bool;

    /// The model that a `config.json` describes. Called once, before [`forward`](Self::forward).
    ///
    /// # Errors
    /// What the configuration lacks, or asks for and the plugin does not implement.
    fn load(&self, config: &str) -> Result<(Architecture, Self::Network)>;

    /// Declares that the host, wherever it applies the head, makes `cap * tanh(logit / cap)` of each logit. Asked once, after
    /// [`load`](Self::load).
    fn head_soft_cap(&self, _network: &Self::Network) -> Option<f64> {
        None
    }

    /// Declares that the host, wherever it applies the head, divides each row of its weight by its length. Asked once, after
    /// [`load`](Self::load).
    fn normalised_head(&self, _network: &Self::Network) -> bool {
        false
    }

    /// Declares the most tokens of a sequence that the rotary tables are for. Longer ones are refused. Asked once, after
    /// [`load`](Self::load).
    fn longest_sequence(&self, _network: &Self::Network) -> Option<u64> {
        None
    }

    /// Declares what longer sequences are rotated with instead of a rotary table, given the `config.json` and the tables. Asked
    /// once, after [`load`](Self::load). Unless a definition says otherwise, its tables are those of
    /// [`rotary_table`](crate::decoder::rotary_table).
    ///
    /// # Errors
    /// If the rotary parameters make no sense.
    fn longer_sequences(&self, config: &str, tables: &[RotaryTable]) -> Result<Vec<LongerSequences>> {
        longer_sequences(&Settings::parse(config)?, tables)
    }

    /// Declares parameters, by their numbers, that are never trained, for no gradient reaches them. Asked once, after
    /// [`load`](Self::load).
    fn untrained(&self, _network: &Self::Network) -> Vec<u32> {
        Vec::new()
    }

    /// Declares linear layers, by the numbers of their weights, whose products are never taken in fewer bits than everything is computed
    /// in, as routers, whose choices hang on small differences. Asked once, after [`load`](Self::load).
    fn full_precision(&self, _network: &Self::Network) -> Vec<u32> {
        Vec::new()
    }

    /// Declares the components of each head's values in the key-value cache, if they are not as many as those of its keys; 0 if
    /// [`Context::attention_projected`] is all that is used. Asked once, after [`load`](Self::load).
    fn cached_values(&self, _network: &Self::Network) -> Option<u32> {
        None
    }

    /// Declares parameters that other programs have as one, for adapters. Asked once, after [`load`](Self::load).
    fn stacks(&self, _network: &Self::Network) -> Vec<Stack> {
        Vec::new()
    }

    /// Computes one stage: `[tokens, hidden_size]` in (none for stage 0) and out.
    ///
    /// # Errors
    /// Whatever keeps the stage from being computed.
    fn forward(
        &self,
        network: &Self::Network,
        stage: u32,
        input: Option<&Tensor>,
        context: &Context,
    ) -> Result<Tensor>;
}

/// What sequences of more than `tokens` tokens are rotated with in the place of a rotary table's own frequencies. Pair `i` of `n` has
/// `inverse_frequencies[i] / (1 + growth * (length / tokens - 1))^(i / (n - 1))`.
#[derive(Clone, Debug, PartialEq)]
pub struct LongerSequences {
    /// The number of the table.
    pub table: u32,
    /// The most tokens, above 0, of a sequence that the table itself is for.
    pub tokens: u64,
    /// As many as the table has.
    pub inverse_frequencies: Vec<f64>,
    /// 0 or above.
    pub growth: f64,
}

/// Parameters that other programs have as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// What adapters call it.
    pub name: String,
    /// For each part the numbers of the `[out, in]` of each group; together they are `[groups, out of all parts, in]`. A single one is a
    /// parameter that has another name there.
    pub parts: Vec<Vec<u32>>,
}

/// A linear layer, by the numbers of its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: u32,
    /// `[out]`.
    pub bias: Option<u32>,
}

/// The linear layers of experts, by the numbers of their parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouped {
    /// `[out, in]` of each expert, or a single `[experts, in, out]`.
    pub weights: Vec<u32>,
    /// None, `[out]` of each expert, or a single `[experts, out]`.
    pub biases: Vec<u32>,
}

/// Collects the parameters of a model and gives each its number.
#[derive(Clone, Debug, Default)]
pub struct ParameterTable {
    parameters: Vec<ModelParameter>,
}

impl ParameterTable {
    /// Adds a parameter, by its name in the checkpoint, its shape, its role and the stage that uses it.
    pub fn add(&mut self, name: impl Into<String>, shape: &[u64], role: Role, stage: u32) -> u32 {
        self.parameters.push(ModelParameter { name: name.into(), shape: shape.to_vec(), role, stage });
        self.parameters.len() as u32 - 1
    }

    /// Adds the `weight` of a linear layer, and its `bias` if it has one. `role` is [`Role::Column`] or [`Role::Row`].
    pub fn add_linear(
        &mut self,
        name: &str,
        [out, input]: [u64; 2],
        bias: bool,
        role: Role,
        stage: u32,
    ) -> Linear {
        let weight = self.add(format!("{name}.weight"), &[out, input], role, stage);
        let bias = bias.then(|| self.add(format!("{name}.bias"), &[out], Role::Bias, stage));
        Linear { weight, bias }
    }

    /// The parameters, in the order of their numbers.
    pub fn into_parameters(self) -> Vec<ModelParameter> {
        self.parameters
    }
}

impl Architecture {
    /// Gives the head a bias `[vocab]`, called `name` in the checkpoint. Numbers of parameters stay as they are.
    pub fn add_head_bias(&mut self, name: &str) {
        self.head.bias = Some(self.parameters.len() as u32);
        let (shape, stage) = (vec![self.vocab_size], self.stages.saturating_sub(1));
        self.parameters.push(ModelParameter { name: name.to_owned(), shape, role: Role::Bias, stage });
    }

    /// Puts `name` in the place of `usual` in the names of all parameters and of those that are ignored.
    pub fn rename(&mut self, usual: &str, name: &str) {
        let names = self.parameters.iter_mut().map(|parameter| &mut parameter.name);
        for text in names.chain(&mut self.ignored) {
            *text = text.replace(usual, name);
        }
    }
}

/// The batch that a stage is computed for, and what a model computes with.
///
/// Parameters are named by their number. The host hides adapters, quantised weights, sharding and the key-value cache
/// behind these calls.
pub struct Context<'a>(pub(crate) backend::Context<'a>);

impl Context<'_> {
    /// Number of positions in the packed batch.
    pub fn token_count(&self) -> u64 {
        self.0.token_count()
    }

    /// Rows of the parameter `[vocab, hidden_size]` for the batch's token ids: `[tokens, hidden_size]`.
    #[track_caller]
    pub fn embedding(&self, parameter: u32) -> Tensor {
        Tensor::made(Location::caller(), self.0.embedding(parameter))
    }

    /// `x W^T + b` with `W` `[out, in]` and `b` `[out]`: `[.., in]` to `[.., out]`.
    #[track_caller]
    pub fn linear(&self, layer: Linear, x: &Tensor) -> Tensor {
        Tensor::apply(Location::caller(), || Ok(self.0.linear(layer.weight, layer.bias, x.handle()?)))
    }

    /// `x / sqrt(mean(x^2) + epsilon) * w` over the last dimension.
    #[track_caller]
    pub fn rms_norm(&self, weight: u32, x: &Tensor, epsilon: f64) -> Tensor {
        Tensor::apply(Location::caller(), || Ok(self.0.rms_norm(weight, x.handle()?, epsilon)))
    }

    /// `x / sqrt(mean(x^2) + epsilon) * (offset + w)` over the last dimension; the sum is not rounded.
    #[track_caller]
    pub fn rms_norm_offset(&self, weight: u32, offset: f64, x: &Tensor, epsilon: f64) -> Tensor {
        Tensor::apply(Location::caller(), || Ok(self.0.rms_norm_offset(weight, offset, x.handle()?, epsilon)))
    }

    /// `(x - mean(x)) / sqrt(variance(x) + epsilon) * w + b` over the last dimension; without a weight it is 1, without a bias
    /// 0.
    #[track_caller]
    pub fn layer_norm(&self, weight: Option<u32>, bias: Option<u32>, x: &Tensor, epsilon: f64) -> Tensor {
        Tensor::apply(Location::caller(), || Ok(self.0.layer_norm(weight, bias, x.handle()?, epsilon)))
    }

    /// Rotates `[tokens, heads, head_dim]` by the batch's positions, with a rotary table of the architecture.
    #[track_caller]
    pub fn rope(&self, table: u32, x: &Tensor) -> Tensor {
        Tensor::apply(Location::caller(), || Ok(self.0.rope(table, x.handle()?)))
    }

    /// Causal attention inside each sequence. `q` `[tokens, heads, head_dim]`, `k` and `v` `[tokens, kv_heads, head_dim]`;
    /// `heads` is a multiple of `kv_heads`. `layer` names the key-value cache.
    #[track_caller]
    pub fn attention(
        &self,
        layer: u32,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        options: AttentionOptions,
    ) -> Tensor {
        Tensor::apply(Location::caller(), || {
            Ok(self.0.attention(layer, q.handle()?, k.handle()?, v.handle()?, options))
        })
    }

    /// The values of a parameter.
    #[track_caller]
    pub fn parameter(&self, parameter: u32) -> Tensor {
        Tensor::made(Location::caller(), self.0.parameter(parameter))
    }

    /// As [`attention`](Self::attention), where each head also attends to a sink: a score that is a parameter `[heads]`, and a
    /// value of zero.
    #[track_caller]
    pub fn attention_with_sinks(
        &self,
        layer: u32,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        sinks: u32,
        options: AttentionOptions,
    ) -> Tensor {
        Tensor::apply(Location::caller(), || {
            Ok(self.0.attention_with_sinks(layer, q.handle()?, k.handle()?, v.handle()?, sinks, options))
        })
    }

    /// As [`attention`](Self::attention), where `slopes[h] * (j - p)` is added, before the soft cap, to the score that head `h` gives
    /// the query at position `p` and the key at `j`: see [`alibi_slopes`](crate::decoder::alibi_slopes).
    #[track_caller]
    pub fn attention_with_slopes(
        &self,
        layer: u32,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        slopes: &[f64],
        options: AttentionOptions,
    ) -> Tensor {
        Tensor::apply(Location::caller(), || {
            Ok(self.0.attention_with_slopes(layer, q.handle()?, k.handle()?, v.handle()?, slopes, options))
        })
    }

    /// `x W[g]^T + b[g]` for each row of `x` `[rows, in]`, with the layer of its group `g`: `[rows, out]`. `groups` `[rows]` are
    /// `int64` in ascending order, `tokens` `[rows]` the positions that the rows come from, ascending inside each group.
    #[track_caller]
    pub fn grouped_linear(&self, layer: &Grouped, x: &Tensor, groups: &Tensor, tokens: &Tensor) -> Tensor {
        Tensor::apply(Location::caller(), || {
            let (x, groups, tokens) = (x.handle()?, groups.handle()?, tokens.handle()?);
            Ok(self.0.grouped_linear(&layer.weights, &layer.biases, x, groups, tokens))
        })
    }

    /// `silu(gate) * up`.
    #[track_caller]
    pub fn swiglu(&self, gate: &Tensor, up: &Tensor) -> Tensor {
        Tensor::apply(Location::caller(), || Ok(self.0.swiglu(gate.handle()?, up.handle()?)))
    }

    /// As [`attention`](Self::attention), with keys and values that the layer `weight` `[heads * (plain + value), in]` makes of `x`
    /// `[tokens, in]`: for each head `plain` components of its key, and its value. `shared` `[tokens, rest]` is the rest of every
    /// head's key. `q` is `[tokens, heads, plain + rest]`, the result `[tokens, heads, value]`. The cache holds `x` and `shared`, as
    /// one head.
    #[track_caller]
    pub fn attention_projected(
        &self,
        layer: u32,
        q: &Tensor,
        x: &Tensor,
        shared: &Tensor,
        weight: u32,
        options: AttentionOptions,
    ) -> Tensor {
        Tensor::apply(Location::caller(), || {
            let (q, x, shared) = (q.handle()?, x.handle()?, shared.handle()?);
            Ok(self.0.attention_projected(layer, q, x, shared, weight, options))
        })
    }

    /// Whether the batch is learned from, so that [`add_loss`](Self::add_loss) has an effect.
    pub fn training(&self) -> bool {
        self.0.training()
    }

    /// Gives a tensor to later stages, which find it with [`handed_over`](Self::handed_over). Gradients flow back through it.
    ///
    /// # Errors
    /// The one that the tensor holds.
    #[track_caller]
    pub fn hand_over(&self, name: &str, value: &Tensor) -> Result<()> {
        let location = Location::caller();
        self.0.hand_over(name, value.handle()?).map_err(|error| backend::error(error, location))
    }

    /// What earlier stages handed over under a name, in their order.
    ///
    /// # Errors
    /// If there is a limit that it exceeds.
    #[track_caller]
    pub fn handed_over(&self, name: &str) -> Result<Vec<Tensor>> {
        let location = Location::caller();
        let given = self.0.handed_over(name).map_err(|error| backend::error(error, location))?;
        Ok(given.into_iter().map(Tensor::new).collect())
    }

    /// Adds `weight * value` to what is learned by, and has the scalar `value` logged as the metric `name`. It counts as much as
    /// the batch's share of the labels in the accumulation window.
    ///
    /// # Errors
    /// If the value is no floating-point scalar, or the weight not finite.
    #[track_caller]
    pub fn add_loss(&self, name: &str, value: &Tensor, weight: f64) -> Result<()> {
        let location = Location::caller();
        self.0.add_loss(name, value.handle()?, weight).map_err(|error| backend::error(error, location))
    }
}
