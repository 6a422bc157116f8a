"""From the contract's functions to a plugin's, inside of the sandbox. `exports` is all that an entry module needs."""

from .exports import exports

__all__ = ["exports"]
