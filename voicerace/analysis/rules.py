"""Rules that derive the outcome of a tool turn from its facts.

`RULES` has one predicate per outcome, in the order of `outcomes.TABLE`. The first outcome whose predicate is true matches. If
`undecided` returns a reason for it, the turn's outcome is `unknown`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from voicerace.units import ms

__all__ = ["LATE_NS", "RULES", "TurnFacts", "outcome_of", "undecided"]

#: Delay in ns above which a reply is late: from the last event that could have released its request to the request.
LATE_NS: Final = 5_000_000_000


@dataclass(frozen=True)
class TurnFacts:
    """The facts that determine the outcome of one tool turn.

    Attributes:
        closed: whether a connection closed after the call, but before the deadline, any refusal and any heard reply.
        missing: labels of the calls for which the app gave no result of its own.
        inputs: number of user inputs.
        heard: number of replies heard.
        informed: number of heard replies that are informed.
        ended: whether the first informed reply has a response.done.
        status: final status of the first informed reply, or None.
        waited_ns: time in ns from the last event that could have released the first informed reply's request to the request.
        refusals: number of refused requests.
        host_errors: number of errors sent to the host for refused requests.
        asked: answer to the last request after the app's last result, as text, or None without such a request.
        upstream_seen: whether both directions of the upstream link were observed.
        host_seen: whether both directions of the host link were observed.
        complete: whether the recording contains the end of the session.
        settled: whether the turn is over: the recording is complete, another turn follows, or a connection closed.
        unread: whether an unreadable frame arrived while a request was unanswered.
        answered: whether there is a request after the last result and all requests have answers.
        goes_on: whether an event was recorded after the last refusal. If so, an error to the host would be recorded too.
    """

    closed: bool
    missing: tuple[str, ...]
    inputs: int
    heard: int
    informed: int
    ended: bool
    status: str | None
    waited_ns: int
    refusals: int
    host_errors: int
    asked: str | None
    upstream_seen: bool
    host_seen: bool
    complete: bool
    settled: bool
    unread: bool
    answered: bool
    goes_on: bool


@dataclass(frozen=True)
class Rule:
    """An outcome's predicate, and a function that returns the reason as text."""

    applies: Callable[[TurnFacts], bool]
    why: Callable[[TurnFacts], str]


RULES: Final[Mapping[str, Rule]] = {
    "abandoned": Rule(lambda of: of.closed, lambda _: "a connection closed after the call, before a refusal or a heard reply"),
    "no_result": Rule(lambda of: bool(of.missing), lambda of: f"the app gave no result of its own for {', '.join(of.missing)}"),
    "duplicated": Rule(
        lambda of: of.informed > 0 and of.heard > of.inputs, lambda of: f"{of.heard} replies heard to {of.inputs} user input(s)"
    ),
    "stale": Rule(
        lambda of: of.heard > 0 and not of.informed,
        lambda _: "a reply was heard, but it was asked for before the app's own result was there",
    ),
    "interrupted": Rule(
        lambda of: of.informed > 0 and not (of.ended and of.status == "completed"),
        lambda of: f"the reply ended as {of.status}" if of.ended else "the reply never ended",
    ),
    "late": Rule(
        lambda of: of.informed > 0 and of.waited_ns > LATE_NS,
        lambda of: f"the reply was asked for {ms(of.waited_ns):.0f} ms after the last event that could have released it",
    ),
    "noisy": Rule(lambda of: of.informed > 0 and of.refusals > 0, lambda _: "answered, beside a refusal"),
    "answered": Rule(lambda of: of.informed > 0, lambda _: "one informed reply, nothing refused"),
    "rejected": Rule(
        lambda of: of.refusals > 0 and of.host_errors > 0,
        lambda _: "the create was refused, the host was told, no reply followed",
    ),
    "lost": Rule(lambda of: of.refusals > 0, lambda _: "the create was refused, the host was told nothing, no reply followed"),
    "failed": Rule(lambda of: of.asked is not None, lambda of: f"a create after the last result had this answer: {of.asked}"),
    "stalled": Rule(lambda of: of.asked is None, lambda _: "no create was ever sent for the result"),
}

#: Outcomes that later events of the turn cannot change.
_EARLY: Final = frozenset({"abandoned", "duplicated", "stale", "interrupted", "late", "noisy"})


def outcome_of(facts: TurnFacts) -> tuple[str, str]:
    """Return the outcome of a turn and the reason for it."""
    name, rule = next((name, rule) for name, rule in RULES.items() if rule.applies(facts))
    unknown = undecided(facts, name)
    return (name, rule.why(facts)) if unknown is None else ("unknown", unknown)


def undecided(facts: TurnFacts, match: str) -> str | None:
    """Return why the recording does not prove the outcome `match`, or None if it does."""
    if not facts.upstream_seen:
        return "the link between proxy and upstream was not observed"
    if facts.unread:
        return "a frame that cannot be read came while a create waited for its answer"
    if match in ("rejected", "lost") and not facts.host_seen:
        return "refused, but the link to the host was not observed"
    if match == "interrupted" and not facts.ended and not facts.complete:
        return "the recording stops inside the reply"
    if match == "interrupted" and facts.ended and facts.status is None:
        return "the reply's response.done has no status"
    if facts.settled or match in _EARLY:
        return None
    if match in ("rejected", "lost"):
        if not facts.answered:
            return "refused, but the recording stops while the app's own result may still be answered"
        if match == "lost" and not facts.goes_on:
            return "the recording stops at the refusal, before the host could be told"
        return None
    return {
        "no_result": "the recording stops before the app's result",
        "answered": "one informed reply so far; the recording stops before the turn is over",
    }.get(match, "the recording stops before the turn is over")
