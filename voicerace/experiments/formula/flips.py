"""Values of one time at which the outcome changes, read off a formula in which all other times are constants."""

from __future__ import annotations

from voicerace.engine.session import SessionConfig
from voicerace.experiments.formula.formula import derive
from voicerace.experiments.formula.linear import CONSTANT

__all__ = ["flips"]


def flips(session: SessionConfig, axis: str, low_ns: int, high_ns: int) -> list[tuple[int, int]]:
    """Return pairs of neighbouring values in ns, 1 ns apart, with different outcomes.

    Args:
        session: the session.
        axis: name of the time that varies.
        low_ns, high_ns: its interval. A lowest value of 0 is replaced by 1 ns.
    """
    found = derive(session, {axis: (low_ns, high_ns)})
    values: set[int] = set()
    for form in {form for terms in found.terms.values() for term in terms for form, _ in term}:
        weights = dict(form)
        root = -weights.get(CONSTANT, 0) // weights[axis]
        values |= {value for value in range(root - 1, root + 3) if max(low_ns, 1) <= value <= high_ns}
    ordered = sorted(values)
    codes = found.codes({axis: ordered})
    pairs = zip(ordered, ordered[1:], codes, codes[1:], strict=False)
    return [(one, other) for one, other, before, after in pairs if before != after and other == one + 1]
