"""Describe the family of models that you wire."""

from dataclasses import dataclass
from typing import Any

from swift_plugin import (
    Architecture,
    AttentionOptions,
    Context,
    Error,
    Head,
    Model,
    ModelParameter,
    Role,
    RotaryTable,
    Tensor,
)


@dataclass
class Layer:
    """One block, by the numbers of its parameters."""

    norm: int
    query: int
    key: int
    value: int
    output: int


class PluginName(Model):
    """A decoder whose blocks attend and do nothing else."""

    def supports(self, architecture: str, model_type: str) -> bool:
        return model_type == "plugin_name"

    def load(self, config: dict[str, Any]) -> Architecture:
        """Stage 0 embeds, stages `1 ..= layers` are the blocks, and the last is the final norm. The head is the embedding."""
        width, layers, heads = (
            int(config[name]) for name in ("hidden_size", "num_hidden_layers", "num_attention_heads")
        )
        if width % (2 * heads):
            raise Error(f"`hidden_size` is {width}, not a multiple of twice `num_attention_heads`, {heads}")
        self.heads, self.head_dim = heads, width // heads
        self.epsilon = float(config.get("rms_norm_eps", 1e-6))
        parameters: list[ModelParameter] = []

        def add(name: str, shape: list[int], role: Role, stage: int) -> int:
            parameters.append(ModelParameter(f"{name}.weight", shape, role, stage))
            return len(parameters) - 1

        def layer(index: int) -> Layer:
            roles = {"query": Role.COLUMN, "key": Role.COLUMN, "value": Role.COLUMN, "output": Role.ROW}
            linear = {
                part: add(f"layers.{index}.{part}", [width, width], role, index + 1) for part, role in roles.items()
            }
            return Layer(add(f"layers.{index}.norm", [width], Role.NORM, index + 1), **linear)

        self.embedding = add("embedding", [config["vocab_size"], width], Role.EMBEDDING, 0)
        self.layers = [layer(index) for index in range(layers)]
        self.norm = add("norm", [width], Role.NORM, layers + 1)
        # Angles of RoFormer (Su et al. 2021, eq. 15): `10000 ** (-2 i / head_dim)`.
        frequencies = [10000.0 ** (-2 * i / self.head_dim) for i in range(self.head_dim // 2)]
        return Architecture(
            name="plugin_name",
            hidden_size=width,
            vocab_size=config["vocab_size"],
            stages=layers + 2,
            parameters=parameters,
            rotary_tables=[RotaryTable(frequencies)],
            head=Head(self.embedding),
            cache_layers=layers,
            kv_heads=heads,
            head_dim=self.head_dim,
        )

    def forward(self, stage: int, input: Tensor | None, context: Context) -> Tensor:
        if input is None:
            return context.embedding(self.embedding)
        if stage > len(self.layers):
            return context.rms_norm(self.norm, input, self.epsilon)
        return input + self._attend(stage - 1, input, context)

    def _attend(self, index: int, hidden: Tensor, context: Context) -> Tensor:
        """What a block adds to `hidden`, `[tokens, hidden_size]`."""
        layer, tokens = self.layers[index], context.token_count()
        x = context.rms_norm(layer.norm, hidden, self.epsilon)
        query, key, value = (
            context.linear(weight, None, x).reshape([tokens, self.heads, -1])
            for weight in (layer.query, layer.key, layer.value)
        )
        options = AttentionOptions(scale=self.head_dim**-0.5)
        mixed = context.attention(index, context.rope(0, query), context.rope(0, key), value, options)
        return context.linear(layer.output, None, mixed.reshape([tokens, -1]))
