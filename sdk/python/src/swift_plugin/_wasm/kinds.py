"""The kinds of plugins, with the functions of the contract that each exports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..callback import Callback
from ..dataset import Dataset
from ..loss import Loss
from ..metric import Metric
from ..model import Model
from ..optimizer import Optimizer
from ..plugin import Plugin
from ..reward import Reward
from ..sampler import Sampler
from ..schedule import Schedule
from ..template import LossScale, Template
from ..tool_parser import ToolParser
from . import texts, training

KINDS: dict[type[Plugin], Callable[[Any], dict[str, Callable[..., Any]]]] = {
    Loss: training.loss,
    Model: training.model,
    Callback: training.callback,
    Dataset: texts.dataset,
    Metric: training.metric,
    Schedule: training.schedule,
    Optimizer: training.optimizer,
    Reward: texts.reward,
    Template: texts.template,
    LossScale: texts.loss_scale,
    Sampler: training.sampler,
    ToolParser: texts.tool_parser,
}
"""The kinds, with what makes the functions of the interface of their name."""
