"""What a model is supposed to have computed, with the numbers that a test gives it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import Error
from ..tensor import Dtype
from .array import Array, array

if TYPE_CHECKING:
    from .batch import PackedBatch

Values = Sequence[float]


@dataclass
class Column:
    """How one of the contract's outputs is laid out."""

    dtype: Dtype = Dtype.FLOAT32
    differentiable: bool = True
    unlabelled: float | None = None
    """Stands where no label counts. A column without such a value has several numbers a position."""
    by_sequence: bool = False


COLUMNS: dict[str, Column] = {
    "token_logps": Column(unlabelled=0.0),
    "predictions": Column(Dtype.INT64, differentiable=False, unlabelled=-1.0),
    "entropies": Column(differentiable=False, unlabelled=0.0),
    "mean_logits": Column(differentiable=False, unlabelled=0.0),
    "logits": Column(),
    "hidden": Column(),
    "last_hidden": Column(by_sequence=True),
    "scores": Column(by_sequence=True),
    "token_scores": Column(),
}


@dataclass
class ModelOutputs:
    """The outputs that a test needs, position by position (`last_hidden` and `scores` sequence by sequence).

    Where no label counts, what is given for `token_logps`, `predictions`, `entropies` and `mean_logits` is replaced as the
    contract says.
    """

    token_logps: Values | None = None
    predictions: Values | None = None
    entropies: Values | None = None
    mean_logits: Values | None = None
    logits: Values | None = None
    hidden: Values | None = None
    last_hidden: Values | None = None
    scores: Values | None = None
    token_scores: Values | None = None
    vocabulary: int | None = None
    """Number of logits at each position, where there are no `logits` to count."""

    @staticmethod
    def random(batch: PackedBatch, seed: int = 0) -> ModelOutputs:
        """Log-probabilities between -2 and 0 for every label of a batch, the same for the same seed."""
        drawn = np.random.default_rng(seed).uniform(-2.0, 0.0, batch.token_count())
        return ModelOutputs(token_logps=[float(each) for each in drawn])

    def given(self) -> dict[str, Values]:
        """The outputs that the test gives."""
        return {name: values for name in COLUMNS if (values := getattr(self, name)) is not None}

    def arrays(self, batch: PackedBatch, trained: bool) -> OutputArrays:
        """The outputs as arrays; `trained` if gradients by them are wanted."""
        arrays = {name: _array(name, values, batch, trained) for name, values in self.given().items()}
        return OutputArrays(arrays, self.vocabulary)


def _array(name: str, values: Values, batch: PackedBatch, trained: bool) -> Array:
    column = COLUMNS[name]
    rows, what = (len(batch.lengths), "sequences") if column.by_sequence else (batch.token_count(), "tokens")
    unlabelled = column.unlabelled
    if len(values) % max(rows, 1) or (unlabelled is not None and len(values) != rows):
        raise Error(f"`{name}` has {len(values)} values for {rows} {what}")
    numbers = np.asarray(values, dtype=np.float64)
    if unlabelled is not None:
        made = array(np.where(np.asarray(batch.mask()) != 0.0, numbers, unlabelled), column.dtype)
    else:
        made = array(numbers.reshape(rows, -1), column.dtype)
    made.trained = trained and column.differentiable
    return made


class OutputArrays:
    """The contract's `outputs`."""

    def __init__(self, arrays: dict[str, Array], vocabulary: int | None = None) -> None:
        self.arrays = arrays
        self.vocabulary = vocabulary

    def vocab_size(self) -> int:
        """Number of logits at each position."""
        if self.vocabulary is not None:
            return self.vocabulary
        return int(self._get("logits").shape()[-1])

    def __getattr__(self, name: str) -> Callable[[], Array]:
        if name not in COLUMNS:
            raise AttributeError(name)
        return lambda: self._get(name)

    def _get(self, name: str) -> Array:
        if name not in self.arrays:
            raise Error(f"the test gives no `{name}`")
        return self.arrays[name]

