"""Model definitions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from .plugin import Plugin
from .tensor import Tensor, call


class Role(Enum):
    """What a parameter is, which decides its place in adapters, weight decay and sharding."""

    EMBEDDING = 0
    """A table of rows looked up by token id; rows are sharded."""
    COLUMN = 1
    """A linear layer whose outputs are sharded."""
    ROW = 2
    """A linear layer whose inputs are sharded."""
    HEAD = 3
    """The output projection; not a target of adapters unless named."""
    NORM = 4
    """A norm's weight."""
    BIAS = 5
    """A bias."""


@dataclass
class ModelParameter:
    """A tensor of the checkpoint."""

    name: str
    """As in the safetensors files: `model.layers.0.self_attn.q_proj.weight`."""
    shape: list[int]
    """Its shape, linear weights as `[out, in]`."""
    role: Role
    """Its role."""
    stage: int
    """The stage that uses it."""


@dataclass
class RotaryTable:
    """A table of rotary position embeddings. Angles are `position * inverse_frequencies[i]`."""

    inverse_frequencies: list[float]
    """One for each rotated pair; twice as many components of each head are rotated, the rest passes through."""
    scale: float = 1.0
    """Factor on cosine and sine (yarn); 1 otherwise."""
    interleaved: bool = False
    """Pairs are `(2i, 2i + 1)` if true, `(i, i + half)` if false."""


@dataclass
class Head:
    """The output projection, which the host applies itself so that logits need never exist as a whole."""

    weight: int
    """The weight `[vocab, hidden_size]`; the embedding's index if they are tied."""
    bias: int | None = None
    """A bias `[vocab]`."""
    soft_cap: float | None = None
    """Each logit becomes `cap * tanh(logit / cap)`; above 0."""
    normalised: bool = False
    """Whether each row of the weight is divided by its length, so that logits depend on directions only."""


@dataclass
class Stack:
    """Parameters that other programs have as one."""

    name: str
    """What adapters call it."""
    parts: list[list[int]]
    """For each part the indices of the `[out, in]` of each group; together they are `[groups, out of all parts, in]`. A single one is a
    parameter that has another name there."""


@dataclass
class LongerSequences:
    """What sequences of more than `tokens` tokens are rotated with in the place of a rotary table's own frequencies. Pair `i` of `n`
    has `inverse_frequencies[i] / (1 + growth * (length / tokens - 1))^(i / (n - 1))`."""

    table: int
    """The index of the table."""
    tokens: int
    """The most tokens, above 0, of a sequence that the table itself is for."""
    inverse_frequencies: list[float]
    """As many as the table has."""
    growth: float = 0.0
    """0 or above."""


@dataclass(kw_only=True)
class Architecture:
    """The whole model."""

    name: str
    """For messages: `qwen2`."""
    hidden_size: int
    """Width of the hidden states."""
    vocab_size: int
    """Number of token ids."""
    stages: int
    """Number of stages. Stage 0 takes no input and embeds; the last gives what the head projects. Each is a unit of
    recomputation, sharding and offload."""
    parameters: list[ModelParameter]
    """All parameters; their order gives their indices."""
    ignored: list[str] = field(default_factory=list[str])
    """Names in the checkpoint that may be there and are not used, with `*` for any run of characters."""
    rotary_tables: list[RotaryTable] = field(default_factory=list[RotaryTable])
    """Rotary tables."""
    head: Head
    """The output projection."""
    cache_layers: int
    """Number of layers with a key-value cache."""
    kv_heads: int
    """Key-value heads of each."""
    head_dim: int
    """Components of each head."""
    untrained: list[int] = field(default_factory=list[int])
    """Parameters, by their indices, that are never trained, for no gradient reaches them."""
    full_precision: list[int] = field(default_factory=list[int])
    """Linear layers, by the indices of their weights, whose products are never taken in fewer bits than everything is computed in,
    as routers, whose choices hang on small differences."""
    cached_values: int | None = None
    """Components of each head's values in the cache, if they are not as many as those of its keys; 0 if
    `attention_projected` is all that is used."""
    longest_sequence: int | None = None
    """The most tokens of a sequence, above 0, that the rotary tables are for. Longer ones are refused."""
    longer_sequences: list[LongerSequences] = field(default_factory=list[LongerSequences])
    """What longer sequences are rotated with, at most one for each rotary table."""
    stacks: list[Stack] = field(default_factory=list[Stack])
    """Parameters that other programs have as one, for adapters."""


@dataclass(kw_only=True)
class AttentionOptions:
    """Options of `attention`."""

    scale: float
    """Factor on the scores, usually `1 / sqrt(head_dim)`."""
    window: int | None = None
    """A position sees itself and the `window - 1` before it; all before it when none."""
    soft_cap: float | None = None
    """Scores become `cap * tanh(score / cap)`."""


class Context:
    """The batch that a stage is computed for, and what a model computes with. Parameters are named by their number."""

    def __init__(self, handle: Any) -> None:
        """For the backends."""
        self.handle = handle

    def token_count(self) -> int:
        """Number of positions in the packed batch."""
        return int(self.handle.token_count())

    def embedding(self, parameter: int) -> Tensor:
        """Rows of the parameter `[vocab, hidden_size]` for the batch's token ids: `[tokens, hidden_size]`."""
        return Tensor(call(self.handle.embedding, parameter))

    def linear(self, weight: int, bias: int | None, x: Tensor) -> Tensor:
        """`x W^T + b` with `W` `[out, in]` and `b` `[out]`: `[.., in]` to `[.., out]`."""
        return Tensor(call(self.handle.linear, weight, bias, x.handle))

    def rms_norm(self, weight: int, x: Tensor, epsilon: float) -> Tensor:
        """`x / sqrt(mean(x^2) + epsilon) * w` over the last dimension."""
        return Tensor(call(self.handle.rms_norm, weight, x.handle, epsilon))

    def rms_norm_offset(self, weight: int, offset: float, x: Tensor, epsilon: float) -> Tensor:
        """`x / sqrt(mean(x^2) + epsilon) * (offset + w)` over the last dimension; the sum is not rounded."""
        return Tensor(call(self.handle.rms_norm_offset, weight, offset, x.handle, epsilon))

    def layer_norm(self, weight: int | None, bias: int | None, x: Tensor, epsilon: float) -> Tensor:
        """`(x - mean(x)) / sqrt(variance(x) + epsilon) * w + b` over the last dimension; without a weight it is 1, without a
        bias 0."""
        return Tensor(call(self.handle.layer_norm, weight, bias, x.handle, epsilon))

    def rope(self, table: int, x: Tensor) -> Tensor:
        """Rotates `[tokens, heads, head_dim]` by the batch's positions, with a rotary table of the architecture."""
        return Tensor(call(self.handle.rope, table, x.handle))

    def attention(self, layer: int, q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions) -> Tensor:
        """Causal attention inside each sequence. `q` `[tokens, heads, head_dim]`, `k` and `v` `[tokens, kv_heads, head_dim]`;
        `heads` is a multiple of `kv_heads`. `layer` names the key-value cache."""
        return Tensor(call(self.handle.attention, layer, q.handle, k.handle, v.handle, options))

    def parameter(self, parameter: int) -> Tensor:
        """The values of a parameter."""
        return Tensor(call(self.handle.parameter, parameter))

    def attention_with_sinks(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, sinks: int, options: AttentionOptions
    ) -> Tensor:
        """As `attention`, where each head also attends to a sink: a score that is a parameter `[heads]`, and a value of
        zero."""
        return Tensor(call(self.handle.attention_with_sinks, layer, q.handle, k.handle, v.handle, sinks, options))

    def attention_with_slopes(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, slopes: list[float], options: AttentionOptions
    ) -> Tensor:
        """As `attention`, where `slopes[h] * (j - p)` is added, before the soft cap, to the score that head `h` gives the query at
        position `p` and the key at `j` (Press et al. 2022, "ALiBi")."""
        return Tensor(call(self.handle.attention_with_slopes, layer, q.handle, k.handle, v.handle, slopes, options))

    def grouped_linear(
        self, weights: list[int], biases: list[int], x: Tensor, groups: Tensor, tokens: Tensor
    ) -> Tensor:
        """`x W[g]^T + b[g]` for each row of `x` `[rows, in]`, with the layer of its group `g`: `[rows, out]`. `weights` are one
        `[out, in]` for each group, or a single `[groups, in, out]`; `biases` are none, one `[out]` for each group, or a single
        `[groups, out]`. `groups` `[rows]` are in ascending order, `tokens` `[rows]` the positions that the rows come from,
        ascending inside each group."""
        return Tensor(call(self.handle.grouped_linear, weights, biases, x.handle, groups.handle, tokens.handle))

    def swiglu(self, gate: Tensor, up: Tensor) -> Tensor:
        """`silu(gate) * up`."""
        return Tensor(call(self.handle.swiglu, gate.handle, up.handle))

    def attention_projected(
        self, layer: int, q: Tensor, x: Tensor, shared: Tensor, weight: int, options: AttentionOptions
    ) -> Tensor:
        """As `attention`, with keys and values that the layer `weight` `[heads * (plain + value), in]` makes of `x` `[tokens,
        in]`: for each head `plain` components of its key, and its value. `shared` `[tokens, rest]` is the rest of every head's
        key. `q` is `[tokens, heads, plain + rest]`, the result `[tokens, heads, value]`. The cache holds `x` and `shared`, as one
        head."""
        handles = (q.handle, x.handle, shared.handle)
        return Tensor(call(self.handle.attention_projected, layer, *handles, weight, options))

    def training(self) -> bool:
        """Whether the batch is learned from, so that `add_loss` has an effect."""
        return bool(self.handle.training())

    def hand_over(self, name: str, value: Tensor) -> None:
        """Gives a tensor to later stages, which find it with `handed_over`. Gradients flow back through it."""
        call(self.handle.hand_over, name, value.handle)

    def handed_over(self, name: str) -> list[Tensor]:
        """What earlier stages handed over under a name, in their order."""
        return [Tensor(handle) for handle in call(self.handle.handed_over, name)]

    def add_loss(self, name: str, value: Tensor, weight: float) -> None:
        """Adds `weight * value` to what is learned by, and has the scalar `value` logged as the metric `name`. It counts as much
        as the batch's share of the labels in the accumulation window."""
        call(self.handle.add_loss, name, value.handle, weight)


class Model(Plugin, ABC):
    """How a family of models is wired.

    The host drives a model stage by stage: stage 0 takes no input and embeds, the last gives what the head projects. Each
    is a unit of recomputation, sharding and offload, which is why one definition serves them all.
    """

    @abstractmethod
    def supports(self, architecture: str, model_type: str) -> bool:
        """Whether this plugin knows the model: the `architectures` entry and `model_type` of a `config.json`."""

    @abstractmethod
    def load(self, config: dict[str, Any]) -> Architecture:
        """The model that a `config.json` describes. Called once, before `forward`, which finds on `self` what is kept
        here."""

    @abstractmethod
    def forward(self, stage: int, input: Tensor | None, context: Context) -> Tensor:
        """Computes one stage: `[tokens, hidden_size]` in (none for stage 0) and out."""
