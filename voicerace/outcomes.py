"""The words of a verdict: the outcomes, and what is said of a turn and of a session. Told by `voicerace.verdict`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

__all__ = ["BAD", "OUTCOMES", "Kind", "Turn", "Verdict"]

#: In the order of the design: the first that matches is the outcome.
OUTCOMES: Final = (
    "unknown", "no_result", "abandoned", "duplicated", "stale", "interrupted", "late", "noisy", "answered",
    "rejected", "lost", "failed", "stalled",
)  # fmt: skip
#: What a user of the app would call a fault; `interrupted` only when the user did not do it, and `failed` as well only
#: when the API did not cause it: see `Turn.bad`.
BAD: Final = frozenset({"duplicated", "stale", "interrupted", "late", "noisy", "rejected", "lost", "stalled"})
Kind: TypeAlias = Literal["observed", "derived", "at least", "unknown"]


@dataclass(frozen=True)
class Turn:
    """One tool turn: from a user input to the next, with at least one function call.

    Attributes:
        outcome: one of `OUTCOMES`.
        why: the outcome in one sentence.
        calls: function calls, by id.
        user_inputs: inputs that belong to the turn.
        submissions: results that reached the upstream link; `own_submissions` those of the app itself.
        response_creates: creates from the first result on.
        refusals: refusals with the active-response code.
        host_errors: Errors with that code that the host was sent; None when the host link was not observed.
        replies: replies heard.
        margin_ms: the first create behind the app's first own result, reaching the upstream, minus the slot being
            free; None without a create or a response to hold it against.
        lead_ms: that result reaching the proxy minus response.done reaching it.
        dead_air_ms: from the calls' response.done to the informed reply's first output at the host; None without one.
        by: who ended the reply, or kept it from coming, when the proxy did not: ``user`` (spoke into it, or lost the
            connection), ``client`` (cancelled it, or asked for it wrongly), ``api``; None otherwise.
        events: seqs of what the outcome rests on, in order.
    """

    outcome: str
    why: str
    calls: tuple[str, ...]
    user_inputs: int
    submissions: int
    own_submissions: int
    response_creates: int
    refusals: int
    host_errors: int | None
    replies: int
    margin_ms: float | None
    lead_ms: float | None
    dead_air_ms: float | None
    by: Literal["user", "client", "api"] | None
    events: tuple[int, ...]

    @property
    def bad(self) -> bool:
        """Whether anything happened that nobody should ship: neither the user's wish nor the API's failure."""
        if self.outcome == "interrupted":
            return self.by != "user"
        return self.outcome in BAD or (self.outcome == "failed" and self.by not in ("api", "user"))

    def to_json(self) -> dict[str, Any]:
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}


@dataclass(frozen=True)
class Verdict:
    """A session's judgement: its tool turns, and the worst of them on top.

    Attributes:
        outcome: the worst outcome of a tool turn; ``unknown`` without one.
        wedged: the last user input got no reply; None when there was no further input to tell by.
        session_updates: of the whole session.
        turns: the tool turns, in order.
        why: the outcome in one sentence: that of the worst turn; without a turn, why there is none to judge.
        fault: what went wrong that no party did on purpose (a connection that did not open, silence), or None.
        kinds: how sure each count is.
    """

    outcome: str
    wedged: bool | None
    session_updates: int | None
    turns: tuple[Turn, ...]
    why: str = ""
    fault: str | None = None
    kinds: Mapping[str, Kind] = field(default_factory=dict)

    @property
    def turn(self) -> Turn | None:
        """The worst tool turn: the one the flat counts are of."""
        return next((turn for turn in self.turns if turn.outcome == self.outcome), None)

    @property
    def bad(self) -> bool:
        """Whether anything happened that nobody should ship."""
        return bool(self.wedged) or any(turn.bad for turn in self.turns)
