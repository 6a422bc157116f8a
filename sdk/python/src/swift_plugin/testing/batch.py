"""Micro-batches with the numbers that a test gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..loss import Input
from ..tensor import Dtype
from .array import Array, array
from .outputs import ModelOutputs, OutputArrays

NO_LABEL = -100
"""Stands where no label counts."""


@dataclass
class PackedBatch:
    """A micro-batch of sequences laid end to end."""

    lengths: Sequence[int]
    """Tokens in each sequence."""
    labels: Sequence[int] | None = field(kw_only=True, default=None)
    """The token to predict at each position, -100 where none counts. By default every position but the last of each
    sequence has one."""
    loss_weights: Sequence[float] | None = field(kw_only=True, default=None)
    """The weight of each label's loss; 1 by default."""
    fields: Mapping[str, Sequence[float]] = field(kw_only=True, default_factory=dict[str, Sequence[float]])
    """Numeric columns of the rows."""
    token_fields: Mapping[str, Sequence[float]] = field(kw_only=True, default_factory=dict[str, Sequence[float]])
    """Columns with a number for each token."""
    groups: Sequence[int] | None = field(kw_only=True, default=None)
    """Sequences of each row, for losses whose input is groups."""
    teacher: ModelOutputs | None = field(kw_only=True, default=None)
    """What the teacher model computed."""
    window: tuple[int, int, int] | None = field(kw_only=True, default=None)
    """Labels, rows and micro-batches of the whole accumulation window, if the batch is only a part of it."""
    step: int = field(kw_only=True, default=0)
    """Optimiser steps taken so far."""
    training: bool = field(kw_only=True, default=True)
    """False for a batch of an evaluation."""

    def token_count(self) -> int:
        """Number of positions."""
        return sum(self.lengths)

    def present_labels(self) -> list[int]:
        """The labels, as given or by default."""
        if self.labels is not None:
            return list(self.labels)
        ends = set(np.cumsum(self.lengths) - 1)
        return [NO_LABEL if position in ends else position for position in range(self.token_count())]

    def mask(self) -> list[float]:
        """1 where a label counts, else 0."""
        return [float(label != NO_LABEL) for label in self.present_labels()]


class BatchView:
    """The contract's `batch`, as a loss with the given input sees it."""

    def __init__(self, batch: PackedBatch, input: Input) -> None:
        self._batch = batch
        sequences = len(batch.lengths)
        match input:
            case Input.PREFERENCE_PAIRS | Input.UNPAIRED_PREFERENCE_WITH_MISMATCHES:
                self._rows = sequences // 2
            case _:
                self._rows = sequences if batch.groups is None else len(batch.groups)

    def labels(self) -> Array:
        return array(self._batch.present_labels(), Dtype.INT64)

    def label_mask(self) -> Array:
        return array(self._batch.mask(), Dtype.FLOAT32)

    def loss_weights(self) -> Array:
        weights = self._batch.loss_weights
        return array(self._batch.mask() if weights is None else weights, Dtype.FLOAT32)

    def segment_ids(self) -> Array:
        return array(np.repeat(np.arange(len(self._batch.lengths)), self._batch.lengths), Dtype.INT64)

    def sequence_lengths(self) -> list[int]:
        return list(self._batch.lengths)

    def group_lengths(self) -> list[int]:
        return [1] * len(self._batch.lengths) if self._batch.groups is None else list(self._batch.groups)

    def field(self, name: str) -> Array | None:
        values = self._batch.fields.get(name)
        if values is None:
            return None
        shape = (self._rows,) if len(values) == self._rows else (self._rows, -1)
        return array(np.reshape(values, shape), Dtype.FLOAT32)

    def token_field(self, name: str) -> Array | None:
        values = self._batch.token_fields.get(name)
        return None if values is None else array(values, Dtype.FLOAT32)

    def teacher(self) -> OutputArrays | None:
        teacher = self._batch.teacher
        return None if teacher is None else teacher.arrays(self._batch, trained=False)

    def global_token_count(self) -> int:
        return int(sum(self._batch.mask())) if self._batch.window is None else self._batch.window[0]

    def global_sequence_count(self) -> int:
        return self.global_row_count() * len(self._batch.lengths) // max(self._rows, 1)

    def global_row_count(self) -> int:
        return self._rows if self._batch.window is None else self._batch.window[1]

    def global_batch_count(self) -> int:
        return 1 if self._batch.window is None else self._batch.window[2]

    def step(self) -> int:
        return self._batch.step

    def training(self) -> bool:
        return self._batch.training
