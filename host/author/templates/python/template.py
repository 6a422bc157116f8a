"""Describe the form that your conversations have."""

from typing import Any

from swift_plugin import Error, Message, Piece, Rendered, RenderOptions, Template, Text, Training


class PluginName(Template):
    """Each turn on a line of its own: `user: 1 + 1?`."""

    def names(self) -> list[str]:
        """What the user may say for `--template`."""
        return ["plugin-name"]

    def render(
        self, name: str, messages: list[Message], tools: list[Any] | None, options: RenderOptions
    ) -> Rendered:
        if tools:
            raise Error("the template has no form for tools")
        # The tokens that are no answers are trained on only where everything is.
        other = 1.0 if options.training is Training.EVERYTHING else 0.0
        pieces: list[Piece] = []
        if options.system is not None and not (messages and messages[0].role == "system"):
            pieces.append(Piece(Text(f"system: {options.system}\n"), other))
        question = ""
        for message in messages:
            if message.role != "assistant":
                question = message.content
                pieces.append(Piece(Text(f"{message.role}: {message.content}\n"), other))
                continue
            trains = options.training is not Training.LAST_ROUND or message is messages[-1]
            weight = 1.0 if message.loss_scale is None else message.loss_scale
            if not (trains if message.train is None else message.train):
                weight = 0.0
            pieces.append(Piece(Text("assistant: "), other))
            pieces.append(Piece(Text(f"{message.content}\n"), weight, question))
        if messages and messages[-1].role != "assistant":
            pieces.append(Piece(Text(f"assistant: {options.response_prefix or ''}"), other))
        return Rendered(pieces, [Text("\n")])
