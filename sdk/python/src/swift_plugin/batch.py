"""What losses and metrics see: packed batches, and outputs that the model computes when they are asked for."""

from __future__ import annotations

from typing import Any

from .errors import Error
from .tensor import Tensor, call


class Batch:
    """One packed micro-batch.

    All sequences lie end to end in one run of `tokens` positions; there is no padding. Position `t` holds what the model
    predicts after reading token `t`, so labels are already shifted.
    """

    def __init__(self, handle: Any) -> None:
        """For the backends."""
        self.handle = handle

    def labels(self) -> Tensor:
        """`[tokens]` `int64`: the token to predict at each position, -100 where none counts."""
        return Tensor(self.handle.labels())

    def label_mask(self) -> Tensor:
        """`[tokens]` `float32`: 1 where a label counts, else 0."""
        return Tensor(self.handle.label_mask())

    def loss_weights(self) -> Tensor:
        """`[tokens]` `float32`: the weight of each label's loss; 0 where no label counts."""
        return Tensor(self.handle.loss_weights())

    def segment_ids(self) -> Tensor:
        """`[tokens]` `int64`: the sequence each position belongs to."""
        return Tensor(self.handle.segment_ids())

    def sequence_lengths(self) -> list[int]:
        """Tokens in each sequence. Preference pairs come as two consecutive runs: all chosen, then all rejected; the
        mismatches of unpaired preferences after all rows' own sequences; groups row by row."""
        return list(self.handle.sequence_lengths())

    def group_lengths(self) -> list[int]:
        """Sequences of each row, for rows of several sequences that differ in their number."""
        return list(self.handle.group_lengths())

    def field(self, name: str) -> Tensor | None:
        """A numeric column of the rows, `[rows]` `float32`, true and false being 1 and 0. A column of lists is
        `[rows, longest]`, shorter lists filled up with NaN. None if any row lacks it."""
        found = self.handle.field(name)
        return None if found is None else Tensor(found)

    def token_field(self, name: str) -> Tensor | None:
        """A number for each token, `[tokens]` `float32`: `old_logps`, `advantages` of rollouts. None if there is no such
        column."""
        found = self.handle.token_field(name)
        return None if found is None else Tensor(found)

    def teacher(self) -> Outputs:
        """What the teacher model computed for the batch."""
        found = self.handle.teacher()
        if found is None:
            raise Error("the outputs of the teacher model are missing")
        return Outputs(found)

    def global_token_count(self) -> int:
        """Labels that count in the whole accumulation window, over all devices."""
        return int(self.handle.global_token_count())

    def global_sequence_count(self) -> int:
        """Sequences in the whole accumulation window, over all devices."""
        return int(self.handle.global_sequence_count())

    def global_row_count(self) -> int:
        """Rows in the whole accumulation window, over all devices: conversations, pairs, groups."""
        return int(self.handle.global_row_count())

    def global_batch_count(self) -> int:
        """Micro-batches in the whole accumulation window, over all devices."""
        return int(self.handle.global_batch_count())

    def step(self) -> int:
        """Optimiser steps taken so far."""
        return int(self.handle.step())

    def training(self) -> bool:
        """False during evaluation."""
        return bool(self.handle.training())

    def sequence_count(self) -> int:
        """Sequences in the micro-batch."""
        return len(self.sequence_lengths())

    def global_pair_count(self) -> int:
        """Preference pairs in the whole accumulation window, over all devices."""
        return self.global_row_count()

    def sum_by_sequence(self, per_token: Tensor) -> Tensor:
        """The sum of a value per token over each sequence: `[tokens]` to `[sequences]`."""
        return per_token.segment_sum(self.segment_ids(), self.sequence_count())

    def split_sequences(self, per_sequence: Tensor) -> tuple[Tensor, Tensor]:
        """The chosen and the rejected half of a value per sequence: `[sequences]` to twice `[pairs]`."""
        pairs = self.sequence_count() // 2
        return per_sequence.narrow(0, 0, pairs), per_sequence.narrow(0, pairs, pairs)

    def split_tokens(self, per_token: Tensor) -> tuple[Tensor, Tensor]:
        """The chosen and the rejected part of a value per token: `[tokens]` to two runs of tokens."""
        lengths = self.sequence_lengths()
        chosen = sum(lengths[: len(lengths) // 2])
        return per_token.narrow(0, 0, chosen), per_token.narrow(0, chosen, sum(lengths) - chosen)


class Outputs:
    """What a model computed for a batch. Nothing is computed before it is asked for, and nothing twice."""

    def __init__(self, handle: Any) -> None:
        """For the backends."""
        self.handle = handle

    def token_logps(self) -> Tensor:
        """`[tokens]` `float32`: log-probability of each label; 0 where no label counts."""
        return Tensor(call(self.handle.token_logps))

    def predictions(self) -> Tensor:
        """`[tokens]` `int64`: the most likely token at each labelled position, -1 elsewhere. Not differentiable."""
        return Tensor(call(self.handle.predictions))

    def entropies(self) -> Tensor:
        """`[tokens]` `float32`: entropy in nats of the prediction at labelled positions, 0 elsewhere. Not
        differentiable."""
        return Tensor(call(self.handle.entropies))

    def mean_logits(self) -> Tensor:
        """`[tokens]` `float32`: mean over the vocabulary of the logits at labelled positions, 0 elsewhere. Not
        differentiable."""
        return Tensor(call(self.handle.mean_logits))

    def logits(self) -> Tensor:
        """`[tokens, vocab]`: all logits, in memory at once. Prefer `token_logps`."""
        return Tensor(call(self.handle.logits))

    def vocab_size(self) -> int:
        """Number of logits at each position."""
        return int(call(self.handle.vocab_size))

    def hidden(self) -> Tensor:
        """`[tokens, hidden_size]`: the last hidden states, after the final norm."""
        return Tensor(call(self.handle.hidden))

    def last_hidden(self) -> Tensor:
        """`[sequences, hidden_size]`: the hidden state of each sequence's last token."""
        return Tensor(call(self.handle.last_hidden))

    def scores(self) -> Tensor:
        """`[sequences, outputs]` `float32`: the score head applied to `last_hidden`. Only for losses that require a
        head."""
        return Tensor(call(self.handle.scores))

    def token_scores(self) -> Tensor:
        """`[tokens, outputs]` `float32`: the score head applied to every token."""
        return Tensor(call(self.handle.token_scores))
