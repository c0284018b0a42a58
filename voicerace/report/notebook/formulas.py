"""Formulas in a notebook: the conditions of the outcomes as LaTeX."""

from __future__ import annotations

from typing import Any

from voicerace.engine.session import SessionConfig
from voicerace.experiments.formula.formula import derive
from voicerace.experiments.formula.setting import default_box
from voicerace.experiments.formula.text import latex

__all__ = ["formula"]


def formula(release: str, scenario: str = "single", handler: str = "return", **times: object) -> Any:
    """Return the condition of each outcome in named times, which a notebook shows as LaTeX.

    Args:
        release, scenario, handler: as in `SessionConfig.of`.
        times: constants, in ms. The other times of docs/formula.md are free.

    Raises:
        InputError: an argument is not allowed, or the session has no formula.
    """
    from IPython.display import Math  # Imported here because the import is slow.

    session = SessionConfig.of(release=release, scenario=scenario, handler=handler, times=times)
    return Math(latex(derive(session, default_box(session, times))))  # type: ignore[no-untyped-call]
