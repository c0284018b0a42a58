"""The differences between the mock and recordings of the real API that are known, each with its reason."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Final, NamedTuple, Protocol

__all__ = ["EXPLAINED", "Explained"]


class _Difference(Protocol):
    """What a row reads of a `voicerace.conformance.api.Difference`."""

    @property
    def kind(self) -> str: ...
    @property
    def connection(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def event(self) -> str: ...
    @property
    def path(self) -> str: ...


class Explained(NamedTuple):
    """A known difference: its kind, event and path, and the recordings it is in, as shell patterns.

    A ``[`` in a path is written ``?``.
    """

    kind: str
    event: str
    path: str
    why: str
    connection: str = "*"
    model: str = "*"

    def fits(self, difference: _Difference) -> bool:
        """Whether this row is about a difference."""
        pairs = (
            (difference.kind, self.kind),
            (difference.event, self.event),
            (difference.path, self.path),
            (difference.connection, self.connection),
            (difference.model, self.model),
        )
        return all(fnmatchcase(value, pattern) for value, pattern in pairs)


EXPLAINED: Final[tuple[Explained, ...]] = ()
