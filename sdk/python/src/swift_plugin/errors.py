"""Why something could not be done."""

from __future__ import annotations


class Error(Exception):
    """Why a plugin could not do what it was asked to do, in one sentence: `raise Error("the reference is missing")`.

    Any exception reaches the user, with the plugin's file and line; of this one the message alone, without its type.
    """


class ShapeMismatch(Error):
    """Shapes of operands don't fit."""


class DtypeMismatch(Error):
    """Element types of operands differ."""


class InvalidArgument(Error):
    """An argument is outside of what an operation takes."""


class OutOfMemory(Error):
    """The tensor would not fit in memory."""


class Unsupported(Error):
    """There is no such operation for this element type or device."""


# As the contract distinguishes them. Anything else is its `other`.
KINDS: dict[str, type[Error]] = {
    kind.__name__: kind for kind in (ShapeMismatch, DtypeMismatch, InvalidArgument, OutOfMemory, Unsupported)
}
