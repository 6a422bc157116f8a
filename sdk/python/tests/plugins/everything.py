"""A plugin that is of every kind, for the tests of the bridge to the host."""

import json
from collections.abc import Sequence
from typing import Any

from swift_plugin import (
    Action,
    Answer,
    Architecture,
    AttentionOptions,
    Batch,
    Call,
    Callback,
    Completion,
    Context,
    Dataset,
    Error,
    Evaluate,
    Event,
    Generation,
    Head,
    Input,
    LogMetric,
    Loss,
    LossScale,
    Message,
    Metric,
    Model,
    ModelParameter,
    OptimizedParameter,
    Optimizer,
    Outputs,
    Piece,
    Rendered,
    RenderOptions,
    Report,
    Requirements,
    Reward,
    Role,
    RotaryTable,
    Row,
    Run,
    Sample,
    Sampler,
    Save,
    Schedule,
    Slot,
    Step,
    Stop,
    Template,
    Tensor,
    Text,
    TextBegin,
    TextEnd,
    TokenId,
    TokenName,
    ToolParser,
    Update,
    log,
    parameter,
    remembered,
)

__version__ = "1.2.3"


class Everything(
    Loss, Model, Callback, Dataset, Metric, Schedule, Optimizer, Reward, Template, LossScale, Sampler, ToolParser
):
    """Is of every kind."""

    mode: str = parameter("What the loss does.", default="mean", choices=["mean", "loop", "shape", "crash", "error", "kept"])
    power: float | None = parameter("An exponent, if set.", default=None)
    events: list[str] = remembered(default=[])
    seen: float = remembered(default=0.0)

    def requirements(self) -> Requirements:
        return Requirements(input=Input.GROUPS, reference=True, score_head=3)

    def compute(self, batch: Batch, policy: Outputs, reference: Outputs | None) -> Report:
        logps = policy.token_logps()
        match self.mode:
            case "loop":
                for _ in range(1000):
                    logps = logps + 1.0
            case "shape":
                logps = logps + Tensor.full(1.0, [2])
            case "crash":
                dict[str, int]()["missing"]
            case "error":
                raise Error("this is not to be had")
            case "kept":
                self.kept = logps.sum()
                return Report(self.kept).metric("again", self.kept)
            case _:
                pass
        assert reference is not None
        log.info(f"{batch.sequence_lengths()} {batch.global_token_count()} {logps!r}")
        positive = Tensor.stack([logps > -2.5, logps <= -2.5, logps == -1.0], 0)
        return Report(logps.mean()).metric("positive", positive).metric("logps", logps, batch.loss_weights())

    def supports(self, architecture: str, model_type: str) -> bool:
        return model_type == "tiny"

    def load(self, config: dict[str, Any]) -> Architecture:
        width: int = config["hidden_size"]
        return Architecture(
            name="tiny",
            hidden_size=width,
            vocab_size=4,
            stages=2,
            parameters=[ModelParameter("embedding.weight", [4, width], Role.EMBEDDING, 0)],
            rotary_tables=[RotaryTable([1.0])],
            head=Head(0, soft_cap=30.0),
            cache_layers=1,
            kv_heads=1,
            head_dim=width,
            untrained=[0],
        )

    def forward(self, stage: int, input: Tensor | None, context: Context) -> Tensor:
        if input is None:
            return context.embedding(0)
        heads = input.reshape([context.token_count(), 1, -1])
        mixed = context.attention(0, context.rope(0, heads), heads, heads, AttentionOptions(scale=0.5))
        return context.linear(0, None, mixed.reshape([context.token_count(), -1]))

    def on_event(self, event: Event, run: Run) -> list[Action]:
        self.events.append(event.name)
        value = run.parameter("weight")
        assert value is not None and run.parameter("other") is None
        actions: list[Action] = [Save(), Evaluate(), LogMetric("weight", value.sum().item())]
        return [*actions, Stop(f"step {run.state.step} of {run.state.max_steps}")] if run.metric("loss") == 0.5 else actions

    def matches(self, columns: Sequence[str]) -> int:
        if not columns:
            raise Error("there are no columns")
        return 7 if "q" in columns else 0

    def convert(self, row: Row) -> Sample:
        if row["q"] is None:
            raise Error("the question is missing")
        messages = [Message("user", row["q"]), Message("assistant", row["a"], train=True, loss_scale=0.5)]
        return Sample(messages, rejected=messages[:1], columns={"margin": 2})

    def observe(self, batch: Batch, policy: Outputs) -> None:
        self.seen += policy.token_logps().sum().item()

    def finish(self) -> dict[str, float]:
        return {"seen": self.seen}

    def factor(self, step: int, max_steps: int) -> float:
        return 1.0 - step / max_steps

    def slots(self, parameter: OptimizedParameter) -> list[Slot]:
        return [Slot("momentum", parameter.shape), Slot("same", parameter.shape)]

    def update(
        self, parameter: OptimizedParameter, value: Tensor, gradient: Tensor, slots: list[Tensor], step: Step
    ) -> Update:
        momentum = slots[0] * 0.5 + gradient
        if parameter.name == "frozen":
            return Update(value, [gradient, slots[1]])
        decayed = value * (1.0 - parameter.weight_decay)
        return Update(decayed - momentum * (step.learning_rate * step.number), [momentum, momentum])

    def score(self, completion: Completion) -> float | None:
        if not completion.finished:
            return None
        return float(completion.text == completion.columns["solution"]) + len(completion.messages) + len(completion.token_ids)

    def names(self) -> list[str]:
        return ["plain"]

    def render(
        self, name: str, messages: list[Message], tools: list[Any] | None, options: RenderOptions
    ) -> Rendered:
        if tools:
            raise Error("tools are not for this template")
        begin = Piece(TokenId(7)) if options.special_tokens.get("bos_token") else Piece(TextBegin())
        training = options.training.name.lower().replace("_", "-")
        said = [Piece(Text(message.content), 1.0, training) for message in messages]
        return Rendered([begin, *said, Piece(TokenName(name))], [Text("\n"), TextEnd()])

    def agent_templates(self) -> list[str]:
        return ["lines"]

    def read_calls(self, name: str, agent_template: str | None, answer: str) -> Answer:
        if name != "plain":
            raise Error(f"there is no template `{name}`")
        text, *calls = answer.split("\n")
        return Answer(f"{name} {agent_template or 'own'} {text}", [Call(call, "{}") for call in calls])

    def weigh(self, answer: str, question: str | None) -> list[tuple[str, float]]:
        return [(answer[:1], 1), (answer[1:], 0.5 if question else 0.0)]

    def adjust(self, logits: Tensor, generation: Generation) -> Tensor:
        memory: list[int] = generation.memory() or []
        if len(memory) != generation.step():
            raise Error("what was remembered is not as long as the answer")
        generation.remember([*memory, generation.seed() % 97])
        said = sum(generation.prompt()) + 10 * sum(generation.answer()) + 100 * sum(memory)
        return logits + said if said else logits

    def parse(self, answer: str, finished: bool, tools: list[Any]) -> Answer:
        if answer == "odd":
            raise Error("this is odd")
        text, *calls = answer.split("\n")
        if not finished or not calls:
            return Answer(answer if finished else "")
        return Answer(text, [Call(name, json.dumps({"known": name in tools})) for name in calls])
