"""Hyper-parameters in a module whose annotations are not evaluated."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Optional

from swift_plugin import ParameterType, Plugin, parameter

if TYPE_CHECKING:
    from decimal import Decimal


class Postponed(Plugin):
    """Has annotations that are texts."""

    note: ClassVar[Decimal | None] = None
    names: list[str] | None = parameter("Which ones.", default=None)
    until: Optional[int] = parameter("Until when.", default=None)  # noqa: UP045


def test_annotations_may_be_texts_and_name_what_only_type_checkers_import() -> None:
    shown = [(each.name, each.type, each.optional) for each in Postponed.parameters()]
    assert shown == [("names", ParameterType.LIST, True), ("until", ParameterType.INTEGER, True)]
