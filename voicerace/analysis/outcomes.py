"""The outcomes of a tool turn, one row each, and what a verdict says of a turn and of a session.

The order of the rows is the precedence: the outcome is the first row whose rule matches (`voicerace.analysis.rules`). `unknown`
has no rule: it stands for a match that the recording does not settle. ``python -m voicerace.analysis.outcomes`` writes
docs/outcomes.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

__all__ = ["BAD", "OUTCOMES", "TABLE", "Kind", "Outcome", "Turn", "Verdict", "markdown", "worst"]

Kind: TypeAlias = Literal["observed", "derived", "at least", "unknown"]


@dataclass(frozen=True)
class Outcome:
    """One outcome.

    Attributes:
        name: the word for it.
        severity: a session has the outcome of its turn with the highest severity.
        bad: it is a fault of the app's stack.
        unless_by: whose doing makes it no fault: see `Turn.by`.
        silent: the user has not heard the answer.
        meaning: what it means for the user.
        short: the same in a few words, in two lines at most.
        ending: how a finding of the explorer ends with it; empty where no finding does.
        colour, hatch, marker, glyph: how it looks; `light_text`: what is written on the colour is white.
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


#: Colours after Okabe and Ito, and Tol; told apart by hatch and marker as well, and in grey print by lightness.
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
            "refused, the app is\ntold; no reply", "✗", "#D55E00", "///", "X", "the host is told, and no reply follows",
            silent=True,
        ),
        Outcome(
            "lost", 12, True, "the request for the reply is refused, nobody is told, the user hears nothing",
            "refused, nobody is\ntold; no reply", "∅", "#882255", "xxx", "d",
            "the host is told nothing, and no reply follows", silent=True, light_text=True,
        ),
        Outcome(
            "failed", 8, True, "the reply was asked for and came to nothing", "no reply",
            "✶", "#8C6D46", "**", "*", "no reply is heard", unless_by=("user", "api"), silent=True, light_text=True,
        ),
        Outcome(
            "stalled", 11, True, "the proxy never asks for the reply, the user hears nothing", "never asked for;\nno reply",
            "…", "#E69F00", "\\\\\\", "s", "no create is ever sent", silent=True,
        ),
    )
}  # fmt: skip
#: By precedence.
OUTCOMES: Final = tuple(TABLE)
#: Faults of the app's stack; two of them only by whose doing: see `Turn.bad`.
BAD: Final = frozenset(name for name, row in TABLE.items() if row.bad)


def worst(outcomes: list[str]) -> str:
    """The outcome of a session whose tool turns have these; ``unknown`` without any."""
    return max(outcomes, key=lambda name: TABLE[name].severity, default="unknown")


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
        row = TABLE[self.outcome]
        return row.bad and self.by not in row.unless_by

    def to_json(self) -> dict[str, Any]:
        """The fields by name; tuples as lists."""
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


_PAGE: Final = """# The words of a verdict

An outcome is of one tool turn: the first row, from the top, whose rule (`voicerace/analysis/rules.py`) matches. `unknown` has
no rule: a turn is unknown when the recording stops, or a link that is needed was not observed, before the match is settled. A
session has the outcome of its turn with the highest severity.

| outcome | in pictures | severity | bad | meaning |
|---|---|---|---|---|
{rows}

`wedged`: the user's next words got no reply either. `margin_ms`: the first create behind the result reaching the server,
minus the slot being free. `lead_ms`: the result reaching the proxy, minus `response.done` reaching it.

Made by `make docs`.
"""


def markdown() -> str:
    """docs/outcomes.md."""
    rows = []
    for row in TABLE.values():
        bad = "yes" if row.bad else "no"
        if row.unless_by:
            bad += f", unless by the {' or the '.join(row.unless_by)}"
        rows.append(f"| `{row.name}` | {row.glyph} | {row.severity} | {bad} | {row.meaning} |")
    return _PAGE.format(rows="\n".join(rows))
