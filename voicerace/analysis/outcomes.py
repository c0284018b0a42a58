"""The outcomes of a tool turn, and the verdicts on a turn and on a session.

The order of `TABLE` is the precedence: the first outcome whose rule matches applies (`voicerace.analysis.rules`). `unknown` has
no rule. It applies if the recording does not prove which rule matches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

__all__ = ["BAD", "OUTCOMES", "TABLE", "Kind", "Outcome", "Turn", "Verdict", "worst"]

Kind: TypeAlias = Literal["observed", "derived", "at least", "unknown"]


@dataclass(frozen=True)
class Outcome:
    """An outcome of a tool turn.

    Attributes:
        severity: rank of the outcome. A session has the outcome of its turn with the highest severity.
        bad: whether the outcome is a fault of the app's stack.
        unless_by: values of `Turn.by` for which the outcome is not a fault of the app's stack.
        silent: whether the user does not hear the answer.
        meaning: effect on the user.
        short: short form of `meaning`, in at most two lines.
        ending: text for the outcome at the end of a finding. It is empty if no finding has the outcome.
        colour: colour in plots, as a hexadecimal RGB value.
        hatch: Matplotlib hatch pattern in plots.
        marker: Matplotlib marker in plots.
        glyph: symbol in text output.
        light_text: whether text on `colour` is white.
    """

    name: str
    severity: int
    bad: bool
    meaning: str
    short: str
    glyph: str
    colour: str
    hatch: str
    marker: str
    ending: str = ""
    unless_by: tuple[str, ...] = ()
    silent: bool = False
    light_text: bool = False


#: Outcomes by name, in order of precedence. The colours come from the palettes of Okabe and Ito, and of Tol. Hatches,
#: markers and, in greyscale, lightness also distinguish the outcomes.
TABLE: Final[dict[str, Outcome]] = {
    row.name: row
    for row in (
        Outcome(
            "unknown", 13, False, "what was recorded does not show it", "not to be told",
            "?", "#FFFFFF", "", "$?$", silent=True,
        ),
        Outcome(
            "abandoned", 6, False, "a connection closed before anything could be heard", "connection closed",
            "⊣", "#A6A6A6", "|||", "|",
        ),
        Outcome(
            "no_result", 5, False, "the app gave no result", "no result",
            "–", "#D0D0D0", "---", "_", silent=True,
        ),
        Outcome(
            "duplicated", 7, True, "the user hears two replies to one question", "the user hears\ntwo replies",
            "‖", "#44AA99", "++", "P", "more replies are heard than the user asked for",
        ),
        Outcome(
            "stale", 9, True, "the user hears a reply that does not know the result", "the reply does not\nknow the result",
            "≠", "#CC79A7", "oo", "D", "the reply does not know the result", silent=True,
        ),
        Outcome(
            "interrupted", 4, True, "the reply breaks off", "the reply\nbreaks off",
            "⊘", "#999933", "||", "v", "the reply never ends", unless_by=("user",),
        ),
        Outcome(
            "late", 3, True, "the user hears the reply more than five seconds after it could have come",
            "the reply comes\nmore than 5 s late", "»", "#DDCC77", "--", ">", "the reply was asked for more than 5 s late",
        ),
        Outcome(
            "noisy", 2, True, "the user hears the reply, and beside it a request was refused",
            "a reply, and\na refusal beside it", "!", "#F0E442", "..", "h", "a reply comes all the same",
        ),
        Outcome(
            "answered", 1, False, "the user hears one reply that knows the result", "the user hears\nthe answer",
            "✓", "#7CC7EE", "", "o",
        ),
        Outcome(
            "rejected", 10, True, "the request for the reply is refused, the app sees the error, the user hears nothing",
            "refused, the app is\nnotified; no reply", "✗", "#D55E00", "///", "X", "the host is told, and no reply follows",
            silent=True,
        ),
        Outcome(
            "lost", 12, True, "the request for the reply is refused, the app is not notified, the user hears nothing",
            "refused, app not\nnotified; no reply", "∅", "#882255", "xxx", "d",
            "the host is told nothing, and no reply follows", silent=True, light_text=True,
        ),
        Outcome(
            "failed", 8, True, "the reply was requested and the user hears nothing of it", "no reply",
            "✶", "#8C6D46", "**", "*", "no reply is heard", unless_by=("user", "api"), silent=True, light_text=True,
        ),
        Outcome(
            "stalled", 11, True, "the proxy never requests the reply, the user hears nothing", "never requested;\nno reply",
            "…", "#E69F00", "\\\\\\", "s", "no create is ever sent", silent=True,
        ),
    )
}  # fmt: skip
#: Names of the outcomes in the order of precedence.
OUTCOMES: Final = tuple(TABLE)
#: Names of the outcomes that are faults of the app's stack. For some of them this depends on the cause (`Turn.bad`).
BAD: Final = frozenset(name for name, row in TABLE.items() if row.bad)


def worst(outcomes: list[str]) -> str:
    """Return the outcome with the highest severity, or ``unknown`` if `outcomes` is empty."""
    return max(outcomes, key=lambda name: TABLE[name].severity, default="unknown")


@dataclass(frozen=True)
class Turn:
    """A turn, from a user input to the next, with at least one function call.

    Attributes:
        outcome: one of `OUTCOMES`.
        why: reason for the outcome, in one sentence.
        calls: ids of the function calls.
        user_inputs: number of user inputs in the turn.
        submissions: number of results on the upstream link.
        own_submissions: number of results on the upstream link that the app itself gave.
        response_creates: number of requests after the first result.
        refusals: number of refusals with the active-response code.
        host_errors: number of Errors with the active-response code sent to the host, or None if the host link was not observed.
        replies: number of replies heard.
        margin_ms: time in ms from when the slot became free to the arrival at the upstream of the first request after the
            app's first own result. Negative if the request is too early. None without such a request or an earlier response.
        lead_ms: time in ms from the arrival of response.done at the proxy to the arrival there of the app's first own result.
        dead_air_ms: response latency in ms, from the calls' response.done to the informed reply's first output at the host,
            or None without an informed reply.
        by: cause of the outcome if it is not the proxy: ``user`` (the user spoke during the reply, or the connection was
            lost), ``client`` (the client cancelled the reply or sent an invalid request) or ``api``. Otherwise None.
        events: `Event.seq` of the events that determine the outcome, in ascending order.
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
        """Whether the outcome is a fault of the app's stack, not of the user or the API."""
        row = TABLE[self.outcome]
        return row.bad and self.by not in row.unless_by

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name, with tuples as lists."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}


@dataclass(frozen=True)
class Verdict:
    """The verdict on a session and its tool turns.

    Attributes:
        outcome: outcome of the tool turn with the highest severity, or ``unknown`` without a tool turn.
        wedged: whether the session is stuck: its last user input got no reply. None if the session has only one input or the
            recording does not decide it.
        session_updates: number of session.update messages, or None if the link was not observed.
        turns: tool turns, in order.
        why: reason for the outcome, in one sentence. Without a tool turn, the reason why there is none.
        fault: a failure that no actor caused (a connection that did not open, silence), or None.
        kinds: name of a count -> whether the count is observed, derived, a lower bound or unknown.
        unconfigured: whether the user gave an input and no session.update was ever sent, so that the API kept its defaults;
            None if this was not observed from the start to the end.
    """

    outcome: str
    wedged: bool | None
    session_updates: int | None
    turns: tuple[Turn, ...]
    why: str = ""
    fault: str | None = None
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    unconfigured: bool | None = None

    @property
    def turn(self) -> Turn | None:
        """The first tool turn with the session's outcome, or None."""
        return next((turn for turn in self.turns if turn.outcome == self.outcome), None)

    @property
    def bad(self) -> bool:
        """Whether the session is stuck or has a fault of the app's stack."""
        return bool(self.wedged) or any(turn.bad for turn in self.turns)
