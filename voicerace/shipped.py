"""Where the files that come with the project lie: beside the package in a checkout, inside it in an installed wheel."""

from __future__ import annotations

from pathlib import Path

from voicerace.errors import InputError

__all__ = ["shipped"]

_PACKAGE = Path(__file__).parent


def shipped(name: str) -> Path:
    """The file or folder called `name` (as ``notebooks/2-delay-sweep.ipynb``).

    Raises:
        InputError: it is in neither place.
    """
    for root in (_PACKAGE / "_shipped", _PACKAGE.parent):
        if (root / name).exists():
            return root / name
    raise InputError(name, "is not part of this installation", "a checkout, or a wheel built from one")
