"""Test the outcomes of small reference sessions."""

from __future__ import annotations

import pytest
from support.played import assert_never_refused, assert_refused, outcome, outcomes, play, tool_turn, with_tie

from voicerace.analysis.verdict import judge

LINK = {"gap_ms": 150}
NETWORK = {"gap_ms": 300, "host_rtt_ms": 20, "upstream_rtt_ms": 60, "ack_ms": 35}
FAR = {"gap_ms": 8, "upstream_rtt_ms": 70, "reply_ms": 1500}
#: Release -> (tool_ms at which the outcome changes, outcome below it, outcome from it on).
FLIPS = {
    "0.9.1": ("220", "rejected", "answered"),
    "0.9.4": ("280", "answered", "stalled"),
    "0.11.1": ("125", "lost", "answered"),
}


@pytest.mark.parametrize(
    ("release", "before", "after"),
    [("0.9.1", "rejected", "answered"), ("0.9.4", "answered", "stalled"), ("0.11.1", "lost", "answered")],
)
def test_outcomes_before_and_after_response_done(release: str, before: str, after: str) -> None:
    assert outcomes((50, 300), release=release, **LINK) == [before, after]


@pytest.mark.parametrize(("release", "flip", "before", "after"), [(name, *flip) for name, flip in FLIPS.items()])
def test_the_outcome_changes_at_the_expected_nanosecond(release: str, flip: str, before: str, after: str) -> None:
    def at(nanoseconds: int) -> str:
        return outcome(release=release, tool_ms=f"{int(flip) + nanoseconds / 1e6:.6f}", **NETWORK)

    assert [at(-1), at(0), at(1)] == [before, after, after]


@pytest.mark.parametrize(("release", "flip", "before", "after"), [(name, *flip) for name, flip in FLIPS.items()])
def test_at_the_change_both_outcomes_are_possible(release: str, flip: str, before: str, after: str) -> None:
    assert with_tie(release=release, tool_ms=flip, **NETWORK) == (after, before)


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("0.9.1", ["rejected", "noisy", "noisy"]),
        ("0.9.4", ["answered", "stalled", "stalled"]),
        ("0.11.1", ["lost", "answered", "answered"]),
    ],
)
def test_outcomes_of_a_repeated_result(release: str, expected: list[str]) -> None:
    assert outcomes((50, 190, 300), release=release, scenario="double", ack_ms=0, **LINK) == expected


@pytest.mark.parametrize(("release", "host_errors"), [("0.9.1", 1), ("0.11.1", 0)])
@pytest.mark.parametrize("tool_ms", [50, 500])
def test_a_default_error_before_the_result_makes_the_reply_stale(release: str, host_errors: int, tool_ms: int) -> None:
    recording = play(release=release, handler="void_ref", tool_ms=tool_ms, **FAR)
    turn = tool_turn(recording)
    assert (turn.outcome, turn.host_errors) == ("stale", host_errors)
    assert_refused(recording)


@pytest.mark.parametrize("release", ["0.9.1", "0.11.1"])
def test_a_default_error_long_before_the_result_causes_two_replies(release: str) -> None:
    turn = tool_turn(play(release=release, handler="void_ref", tool_ms=3000, **FAR))
    assert (turn.outcome, turn.replies, turn.refusals) == ("duplicated", 2, 0)


@pytest.mark.parametrize("tool_ms", [50, 500, 3000])
def test_a_default_error_after_the_result_is_refused_without_a_gate(tool_ms: int) -> None:
    recording = play(release="0.9.1", handler="async_ref", tool_ms=tool_ms, **FAR)
    assert tool_turn(recording).outcome == "noisy"
    assert_refused(recording, times=1)


@pytest.mark.parametrize("tool_ms", [50, 500, 3000])
def test_a_default_error_after_the_result_shares_a_gated_request(tool_ms: int) -> None:
    recording = play(release="0.11.1", handler="async_ref", tool_ms=tool_ms, **FAR)
    turn = tool_turn(recording)
    assert (turn.outcome, turn.response_creates, turn.submissions) == ("answered", 1, 2)
    assert_never_refused(recording)


@pytest.mark.parametrize("release", ["0.9.1", "0.11.1"])
@pytest.mark.parametrize("tool_ms", [50, 500, 3000])
def test_a_returned_result_is_answered(release: str, tool_ms: int) -> None:
    recording = play(release=release, handler="return", tool_ms=tool_ms, **FAR)
    turn = tool_turn(recording)
    assert (turn.outcome, turn.submissions, turn.response_creates) == ("answered", 1, 1)
    assert not judge(recording).bad


@pytest.mark.parametrize(("release", "wedged"), [("0.9.1", False), ("0.9.4", True), ("0.11.1", False)])
def test_a_late_result_leaves_the_session_stuck_only_in_0_9_4(release: str, wedged: bool) -> None:
    assert judge(play(release=release, tool_ms=300, **LINK)).wedged is wedged
