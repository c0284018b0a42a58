"""Test that exactly one rule of the verdict matches a turn, in the order of the outcome table."""

from __future__ import annotations

from collections import Counter
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.played import play

from voicerace.analysis.outcomes import OUTCOMES, TABLE, worst
from voicerace.analysis.rules import LATE_NS, RULES, TurnFacts, outcome_of, undecided
from voicerace.analysis.verdict import judge
from voicerace.report.plots.style import INK, STYLES

ROOT = Path(__file__).parents[1]
BOOL = st.booleans()


@st.composite
def facts(draw: st.DrawFn) -> TurnFacts:
    """Draw the facts of any turn. An informed reply is heard, and an error at the host belongs to a refusal."""
    heard = draw(st.integers(0, 3))
    informed = draw(st.integers(0, heard))
    ended = informed > 0 and draw(BOOL)
    refusals = draw(st.integers(0, 2))
    return TurnFacts(
        closed=draw(BOOL),
        missing=draw(st.sampled_from([(), (), ("call_1",)])) if not informed else (),
        inputs=draw(st.integers(1, 3)),
        heard=heard,
        informed=informed,
        ended=ended,
        status=draw(st.sampled_from([None, "completed", "completed", "failed", "cancelled"])) if ended else None,
        waited_ns=draw(st.sampled_from([0, LATE_NS, LATE_NS + 1])),
        refusals=refusals,
        host_errors=draw(st.integers(0, 1)) if refusals else 0,
        asked=draw(st.sampled_from([None, "none", "another error"])),
        upstream_seen=draw(BOOL),
        host_seen=draw(BOOL),
        complete=draw(BOOL),
        settled=draw(BOOL),
        unread=draw(BOOL),
        answered=draw(BOOL),
        goes_on=draw(BOOL),
    )


def by_hand(of: TurnFacts) -> str:
    """Return the outcome by an independent definition: a decision on what the user heard, without an order of rules."""
    if of.closed:
        return "abandoned"
    if of.missing:
        return "no_result"
    match (of.heard > 0, of.informed > 0, of.refusals > 0):
        case (True, False, _):
            return "stale"
        case (True, True, refused):
            if of.heard > of.inputs:
                return "duplicated"
            if not of.ended or of.status != "completed":
                return "interrupted"
            return "late" if of.waited_ns > 5_000_000_000 else "noisy" if refused else "answered"
        case (False, _, True):
            return "rejected" if of.host_errors else "lost"
    return "stalled" if of.asked is None else "failed"


@settings(max_examples=1000)
@given(facts())
@pytest.mark.long
def test_exactly_one_outcome_matches(of: TurnFacts) -> None:
    matching = [name for name, rule in RULES.items() if rule.applies(of)]
    first = [name for name in OUTCOMES if name in matching][:1]
    assert first == [by_hand(of)]
    outcome, why = outcome_of(of)
    assert outcome in (*first, "unknown")
    assert (outcome == "unknown") == (undecided(of, first[0]) is not None)
    assert why


def test_the_rules_have_the_order_of_the_table_and_unknown_has_none() -> None:
    assert tuple(RULES) == tuple(name for name in OUTCOMES if name != "unknown")
    assert OUTCOMES[0] == "unknown"


@settings(max_examples=300)
@given(facts())
def test_a_complete_recording_of_both_links_is_unknown_only_for_an_end_without_a_status(of: TurnFacts) -> None:
    seen = replace(of, upstream_seen=True, host_seen=True, complete=True, settled=True, unread=False, goes_on=True)
    outcome, why = outcome_of(seen)
    assert (outcome == "unknown") == (by_hand(seen) == "interrupted" and seen.ended and seen.status is None), why


@settings(max_examples=300)
@given(facts())
def test_a_longer_recording_never_changes_a_settled_outcome(of: TurnFacts) -> None:
    """A longer recording can only make `settled`, `complete`, `answered` and `goes_on` true. The other facts are unchanged."""
    more = replace(of, complete=True, settled=True, answered=True, goes_on=True)
    if outcome_of(of)[0] != "unknown":
        assert outcome_of(more)[0] == outcome_of(of)[0]


@pytest.mark.parametrize("name", [each.name for each in fields(TurnFacts)])
def test_every_fact_affects_an_outcome(name: str) -> None:
    """A field that affects no outcome does not belong to the facts."""
    values: dict[str, tuple[Any, ...]] = {
        "missing": ((), ("call_1",)), "inputs": (1, 2), "heard": (0, 1, 2), "informed": (0, 1), "status": (None, "completed"),
        "waited_ns": (0, LATE_NS + 1), "refusals": (0, 1), "host_errors": (0, 1), "asked": (None, "none"),
    }  # fmt: skip
    base = TurnFacts(False, (), 1, 0, 0, False, None, 0, 0, 0, None, True, True, False, False, False, False, False)
    bases = [
        base, replace(base, heard=2, informed=1, ended=True, status="completed"), replace(base, refusals=1, settled=True),
        replace(base, heard=1, informed=1, ended=True, status="completed"), replace(base, refusals=1, answered=True),
        replace(base, heard=1, informed=1), replace(base, settled=True),
    ]  # fmt: skip
    assert any(
        len({outcome_of(replace(each, **{name: value})) for value in values.get(name, (False, True))}) > 1 for each in bases
    )


#: Facts of a settled turn of a complete recording, in which no event follows the result.
SETTLED = TurnFacts(False, (), 1, 0, 0, False, None, 0, 0, 0, None, True, True, True, True, False, True, True)
ANSWERED = replace(SETTLED, heard=1, informed=1, ended=True, status="completed")


@pytest.mark.parametrize(
    ("of", "outcome", "why"),
    [
        (
            replace(ANSWERED, closed=True), "abandoned",
            "a connection closed after the call, before a refusal or a heard reply",
        ),
        (
            replace(SETTLED, missing=("call 1", "call 3")), "no_result",
            "the app gave no result of its own for call 1, call 3",
        ),
        (replace(ANSWERED, heard=3, inputs=2), "duplicated", "3 replies heard to 2 user input(s)"),
        (
            replace(SETTLED, heard=3, inputs=2), "stale",
            "a reply was heard, but it was asked for before the app's own result was there",
        ),
        (replace(ANSWERED, status="cancelled"), "interrupted", "the reply ended as cancelled"),
        (replace(ANSWERED, ended=False, status=None), "interrupted", "the reply never ended"),
        (
            replace(ANSWERED, waited_ns=7_000_000_000), "late",
            "the reply was asked for 7000 ms after the last event that could have released it",
        ),
        (replace(ANSWERED, refusals=1, host_errors=1), "noisy", "answered, beside a refusal"),
        (replace(ANSWERED, heard=2, inputs=2, waited_ns=LATE_NS), "answered", "one informed reply, nothing refused"),
        (
            replace(SETTLED, refusals=1, host_errors=1), "rejected",
            "the create was refused, the host was told, no reply followed",
        ),
        (
            replace(SETTLED, refusals=2, asked="refused"), "lost",
            "the create was refused, the host was told nothing, no reply followed",
        ),
        (replace(SETTLED, asked="none"), "failed", "a create after the last result had this answer: none"),
        (SETTLED, "stalled", "no create was ever sent for the result"),
        # The outcome ignores an error of another turn's refusal, and a wait without a reply.
        (replace(SETTLED, host_errors=1), "stalled", "no create was ever sent for the result"),
        (replace(SETTLED, waited_ns=LATE_NS + 1), "stalled", "no create was ever sent for the result"),
    ],
)  # fmt: skip
def test_each_outcome_has_its_explanation(of: TurnFacts, outcome: str, why: str) -> None:
    assert outcome_of(of) == (outcome, why)


STOPS = "the recording stops before the turn is over"
CUT_SHORT = {"complete": False, "settled": False}
REFUSED = replace(SETTLED, refusals=1, **CUT_SHORT)


@pytest.mark.parametrize(
    ("of", "why"),
    [
        (replace(ANSWERED, upstream_seen=False), "the link between proxy and upstream was not observed"),
        (replace(ANSWERED, unread=True), "a frame that cannot be read came while a create waited for its answer"),
        (replace(SETTLED, refusals=1, host_seen=False), "refused, but the link to the host was not observed"),
        (
            replace(SETTLED, refusals=1, host_errors=1, host_seen=False),
            "refused, but the link to the host was not observed",
        ),
        (replace(ANSWERED, host_seen=False), None),
        (replace(ANSWERED, ended=False, status=None, complete=False), "the recording stops inside the reply"),
        (replace(ANSWERED, ended=False, status=None), None),
        (replace(ANSWERED, status="failed", complete=False), None),
        (replace(ANSWERED, status=None), "the reply's response.done has no status"),
        (replace(ANSWERED, status=None, **CUT_SHORT), "the reply's response.done has no status"),
        (replace(ANSWERED, **CUT_SHORT), "one informed reply so far; the recording stops before the turn is over"),
        (replace(SETTLED, missing=("call 1",), **CUT_SHORT), "the recording stops before the app's result"),
        (replace(SETTLED, **CUT_SHORT), STOPS),
        (replace(SETTLED, asked="none", **CUT_SHORT), STOPS),
        (REFUSED, None),
        (replace(REFUSED, host_errors=1), None),
        (
            replace(REFUSED, answered=False),
            "refused, but the recording stops while the app's own result may still be answered",
        ),
        (
            replace(REFUSED, answered=False, host_errors=1),
            "refused, but the recording stops while the app's own result may still be answered",
        ),
        (replace(REFUSED, goes_on=False), "the recording stops at the refusal, before the host could be told"),
        (replace(REFUSED, goes_on=False, host_errors=1), None),
        # Later events cannot change these outcomes.
        (replace(SETTLED, closed=True, **CUT_SHORT), None),
        (replace(ANSWERED, heard=2, **CUT_SHORT), None),
        (replace(SETTLED, heard=1, **CUT_SHORT), None),
        (replace(ANSWERED, waited_ns=LATE_NS + 1, **CUT_SHORT), None),
        (replace(ANSWERED, refusals=1, **CUT_SHORT), None),
        (replace(ANSWERED, status="cancelled", **CUT_SHORT), None),
    ],
)
def test_an_undecided_outcome_has_its_reason(of: TurnFacts, why: str | None) -> None:
    match = next(name for name, rule in RULES.items() if rule.applies(of))
    assert undecided(of, match) == why
    assert (outcome_of(of) == ("unknown", why)) == (why is not None)


def test_outcomes_without_an_audible_answer_are_silent() -> None:
    silent = {name for name, row in TABLE.items() if row.silent}
    assert silent == {"unknown", "no_result", "stale", "rejected", "lost", "failed", "stalled"}


def test_text_on_an_outcomes_colour_has_the_higher_contrast() -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for name, row in TABLE.items():
        white, ink = 1.05 / (luminance(row.colour) + 0.05), (luminance(row.colour) + 0.05) / (luminance(INK) + 0.05)
        assert row.light_text == (white > ink), name


def test_outcome_rows_verdicts_turns_and_facts_are_immutable() -> None:
    judged = judge(play(release="0.9.1", tool_ms=400))
    for each in (TABLE["lost"], judged, judged.turns[0], SETTLED):
        with pytest.raises(FrozenInstanceError):
            each.outcome = "answered"  # type: ignore[misc, union-attr]


def test_severities_are_a_total_order() -> None:
    assert sorted(row.severity for row in TABLE.values()) == [*range(1, len(TABLE) + 1)]
    assert worst(["answered", "lost", "noisy"]) == "lost"
    assert worst(["lost", "unknown"]) == worst([]) == "unknown"


def test_outcomes_have_distinct_styles() -> None:
    for name in ("glyph", "colour", "marker", "meaning", "short"):
        assert Counter(getattr(row, name) for row in TABLE.values()).most_common(1)[0][1] == 1, name
    assert Counter(row.hatch for row in TABLE.values() if row.hatch).most_common(1)[0][1] == 1
    assert list(STYLES) == list(TABLE)


def test_a_session_has_the_outcome_of_its_worst_turn() -> None:
    judged = judge(play(release="0.11.1", scenario="voice", tool_ms=2140, create_ms=150, gap_ms=300))
    assert judged.outcome == worst([turn.outcome for turn in judged.turns])
