"""Describe the rows that your adapter reads."""

from collections.abc import Sequence

from swift_plugin import Dataset, Error, Message, Row, Sample


class PluginName(Dataset):
    """Rows of a `problem` and its `proof`."""

    def matches(self, columns: Sequence[str]) -> int:
        return 100 if {"problem", "proof"} <= set(columns) else 0

    def convert(self, row: Row) -> Sample:
        for name in ("problem", "proof"):
            if not isinstance(row.get(name), str):
                raise Error(f"`{name}` is no text")
        return Sample([Message("user", row["problem"]), Message("assistant", row["proof"])])
