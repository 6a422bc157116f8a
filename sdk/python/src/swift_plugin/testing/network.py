"""Runs model definitions on tokens."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import InvalidArgument
from ..model import Architecture, AttentionOptions, Context, Model, ModelParameter, RotaryTable
from ..tensor import Dtype, Tensor
from .array import Array, Numbers, array


def forward(
    model: Model,
    config: dict[str, Any],
    sequences: Sequence[Sequence[int]],
    weights: Callable[[ModelParameter], Sequence[float]],
) -> Tensor:
    """Runs a model on sequences of token ids and gives the logits `[tokens, vocab]`. `weights` gives the elements of each
    parameter."""
    architecture = model.load(config)
    context = NetworkContext(architecture, sequences, weights)
    hidden: Tensor | None = None
    for stage in range(architecture.stages):
        hidden = model.forward(stage, hidden, Context(context))
        context.end_stage()
    assert hidden is not None, "the architecture has no stages"
    head = architecture.head
    logits = Tensor(context.linear(head.weight, head.bias, hidden.handle))
    if head.normalised:
        weight = Tensor(context.parameter(head.weight))
        logits = logits / (weight * weight).sum(-1).sqrt()
    cap = head.soft_cap
    return logits if cap is None else (logits / cap).tanh() * cap


class NetworkContext:
    """The contract's `context`. Gives values, no gradients: those of a model are the host's affair."""

    def __init__(
        self,
        architecture: Architecture,
        sequences: Sequence[Sequence[int]],
        weights: Callable[[ModelParameter], Sequence[float]],
    ) -> None:
        self._tables = architecture.rotary_tables
        self._parameters = [np.reshape(weights(each), each.shape) for each in architecture.parameters]
        self._ids = np.concatenate([np.asarray(each, dtype=np.int64) for each in sequences])
        lengths = [len(each) for each in sequences]
        self._positions = np.concatenate([np.arange(length) for length in lengths])
        self._sequence = np.repeat(np.arange(len(lengths)), lengths)
        self._handed_over: list[tuple[str, Array]] = []
        self._handed_over_now: list[tuple[str, Array]] = []

    def end_stage(self) -> None:
        self._handed_over += self._handed_over_now
        self._handed_over_now = []

    def token_count(self) -> int:
        return len(self._ids)

    def embedding(self, parameter: int) -> Array:
        return array(self._parameters[parameter][self._ids], Dtype.FLOAT32)

    def linear(self, weight: int, bias: int | None, x: Array) -> Array:
        y = x.value @ self._parameters[weight].T
        return array(y if bias is None else y + self._parameters[bias], x.kind)

    def rms_norm(self, weight: int, x: Array, epsilon: float) -> Array:
        return self.rms_norm_offset(weight, 0.0, x, epsilon)

    def rms_norm_offset(self, weight: int, offset: float, x: Array, epsilon: float) -> Array:
        size = np.sqrt((x.value**2).mean(axis=-1, keepdims=True) + epsilon)
        return array(x.value / size * (offset + self._parameters[weight]), x.kind)

    def layer_norm(self, weight: int | None, bias: int | None, x: Array, epsilon: float) -> Array:
        centred = x.value - x.value.mean(axis=-1, keepdims=True)
        y = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + epsilon)
        y = y if weight is None else y * self._parameters[weight]
        return array(y if bias is None else y + self._parameters[bias], x.kind)

    def rope(self, table: int, x: Array) -> Array:
        return array(_rotated(self._tables[table], self._positions, x.value), x.kind)

    def attention(self, layer: int, q: Array, k: Array, v: Array, options: AttentionOptions) -> Array:
        return self._attended(q, k, v, None, [], options)

    def attention_with_sinks(
        self, layer: int, q: Array, k: Array, v: Array, sinks: int, options: AttentionOptions
    ) -> Array:
        return self._attended(q, k, v, self._parameters[sinks], [], options)

    def attention_with_slopes(
        self, layer: int, q: Array, k: Array, v: Array, slopes: list[float], options: AttentionOptions
    ) -> Array:
        return self._attended(q, k, v, None, slopes, options)

    def _attended(
        self, q: Array, k: Array, v: Array, sinks: Numbers | None, slopes: list[float], options: AttentionOptions
    ) -> Array:
        groups = q.value.shape[1] // k.value.shape[1]
        keys, values = (each.value.repeat(groups, axis=1) for each in (k, v))
        scores = np.einsum("qhd,khd->hqk", q.value, keys) * options.scale
        order = np.arange(len(self._ids))
        distance = order[:, None] - order[None, :]
        if slopes:
            scores -= np.array(slopes)[:, None, None] * distance
        if options.soft_cap is not None:
            scores = options.soft_cap * np.tanh(scores / options.soft_cap)
        seen = (self._sequence[:, None] == self._sequence[None, :]) & (distance >= 0)
        if options.window is not None:
            seen &= distance < options.window
        scores = np.where(seen, scores, -math.inf)
        # A sink takes part in the softmax alone, since its value is zero.
        others = np.full_like(scores[..., :1], -math.inf) if sinks is None else sinks[:, None, None]
        largest = np.maximum(scores.max(axis=-1, keepdims=True), others)
        shares = np.exp(scores - largest)
        shares /= shares.sum(axis=-1, keepdims=True) + np.exp(others - largest)
        return array(np.einsum("hqk,khd->qhd", shares, values), q.kind)

    def parameter(self, parameter: int) -> Array:
        return array(self._parameters[parameter], Dtype.FLOAT32)

    def grouped_linear(
        self, weights: list[int], biases: list[int], x: Array, groups: Array, tokens: Array
    ) -> Array:
        group = groups.value
        if (np.diff(group) < 0).any():
            raise InvalidArgument("invalid argument in `grouped-linear`: rows are not in the order of their groups")
        first = self._parameters[weights[0]]
        # All matrices in one parameter are `[groups, in, out]`, and one of each group `[out, in]`.
        matrices = first if first.ndim == 3 else np.stack([self._parameters[each].T for each in weights])
        y = np.einsum("ri,rio->ro", x.value, matrices[group])
        if biases:
            y += np.concatenate([np.atleast_2d(self._parameters[each]) for each in biases])[group]
        return array(y, x.kind)

    def swiglu(self, gate: Array, up: Array) -> Array:
        silu: Array = gate.silu()
        return array(silu.value * up.value, up.kind)

    def attention_projected(
        self, layer: int, q: Array, x: Array, shared: Array, weight: int, options: AttentionOptions
    ) -> Array:
        tokens, heads, width = q.value.shape
        made = self.linear(weight, None, x).value.reshape(tokens, heads, -1)
        plain = width - shared.value.shape[1]
        rest = shared.value[:, None].repeat(heads, axis=1)
        keys = array(np.concatenate([made[..., :plain], rest], axis=-1), q.kind)
        return self.attention(layer, q, keys, array(made[..., plain:], q.kind), options)

    def training(self) -> bool:
        return False

    def hand_over(self, name: str, value: Array) -> None:
        self._handed_over_now.append((name, value))

    def handed_over(self, name: str) -> list[Array]:
        return [value for given, value in self._handed_over if given == name]

    def add_loss(self, name: str, value: Array, weight: float) -> None:
        """Has no effect: nothing is learned here."""


def _rotated(table: RotaryTable, positions: Numbers, x: Numbers) -> Numbers:
    """Rotates `[tokens, heads, head_dim]`; components past those of the table stay as they are."""
    half = len(table.inverse_frequencies)
    angles = positions[:, None, None] * np.asarray(table.inverse_frequencies)
    cosine, sine = np.cos(angles) * table.scale, np.sin(angles) * table.scale
    places = np.arange(2 * half).reshape((half, 2) if table.interleaved else (2, half))
    first, second = (places[:, 0], places[:, 1]) if table.interleaved else (places[0], places[1])
    turned = x.copy()
    turned[..., first] = x[..., first] * cosine - x[..., second] * sine
    turned[..., second] = x[..., second] * cosine + x[..., first] * sine
    return turned
