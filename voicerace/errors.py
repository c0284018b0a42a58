"""The one error for bad input: what was named, what was found, what is allowed. The command line prints it as one line."""

from __future__ import annotations

from typing import Any

__all__ = ["InputError"]


class InputError(ValueError):
    """Input that cannot be used: a parameter, a file or a line of one.

    Attributes:
        where: the parameter, or the file and line, that is wrong.
        found: what was there.
        allowed: what could be there instead; empty when nothing can be said.
    """

    def __init__(self, where: str, found: str, allowed: str = "") -> None:
        self.where = where
        self.found = found
        self.allowed = allowed
        super().__init__(f"{where}: {found}" + (f"; {allowed}" if allowed else ""))

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors cross process borders: rebuild from the fields, not from the sentence."""
        return (type(self), (self.where, self.found, self.allowed))
