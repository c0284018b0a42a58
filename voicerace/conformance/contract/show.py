"""Formats the result of a contract run as text: facts, times and traces. Control characters from the API are escaped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from voicerace.conformance.contract.result import Contract, at_ms, what
from voicerace.scrubber import printable

__all__ = ["contract_lines", "trace_lines"]

_HEAD: Final = ("fact", "state", "answer", "what was seen")
_OF_THE_MOCK: Final = (
    "the mock is this project's own: that a fact holds here shows that the experiment works, nothing of an API"
)


def contract_lines(found: Contract) -> Iterator[str]:
    """Yield lines with the table of facts, the counts and the times."""
    width = max(len(row.fact.statement) for row in found.rows)
    yield f"{_HEAD[0]:<{width}}  {_HEAD[1]:<7}  {_HEAD[2]:<7}  {_HEAD[3]}"
    for row in found.rows:
        seen = f"not tried: {row.seen}" if row.fact.untried else row.seen
        yield printable(f"{row.fact.statement:<{width}}  {row.fact.state:<7}  {row.state:<7}  {seen}")
    yield ""
    counts = ", ".join(f"{found.count(state)} {state}" for state in ("held", "broken", "unknown"))
    yield f"{counts}; upstream {found.upstream}, sessions {found.sessions}"
    yield ""
    yield f"{'time':<16}{'count':>6}{'min ms':>10}{'median':>10}{'max':>10}"
    for name, spread in found.times.items():
        values = "".join(f"{'-' if each is None else f'{each:.1f}':>10}" for each in (spread.least, spread.median, spread.most))
        yield f"{name:<16}{spread.count:>6}{values}" + ("  with the round trip" if spread.with_rtt else "")
    if found.upstream == "mock":
        yield ""
        yield _OF_THE_MOCK


def trace_lines(found: Contract) -> Iterator[str]:
    """Yield one line per event that decides a tested fact, with its time in ms since the session's start."""
    for row in found.rows:
        if not row.trace:
            continue
        yield ""
        yield printable(f"{row.fact.name}: {row.fact.statement}: {row.state}, {row.seen}")
        for event in row.trace:
            arrow = "->" if event.link.sender == "proxy" else "<-"
            yield printable(f"{at_ms(event):>10.1f}  {arrow} {what(event)}")
