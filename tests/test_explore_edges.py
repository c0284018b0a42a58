"""Test the edges of the exploration: exact bounds, times of zero, sessions without Settings, simultaneous events."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.played import play

from voicerace.cli import main
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.experiments.explore.bounds import Bounds
from voicerace.experiments.explore.explorer import ExplorationResult, explore
from voicerace.experiments.explore.finding import Finding
from voicerace.experiments.explore.replay import replayed
from voicerace.experiments.explore.signature import Signature, signatures
from voicerace.experiments.explore.timed_trace import _SLACK_US, TimedTrace, TraceStep, _Constraint, solved
from voicerace.experiments.explore.zone import FREE, NEW, Matrix, advance, at_most, covered, less_than, picked
from voicerace.experiments.explore.zone_batch import compared, earliest, latest, picked_stack, thresholds
from voicerace.model.catalog.releases import PROXIES, proxy_release
from voicerace.model.protocol import realtime


def found(release: str, story: str, *bounds: str, handler: str = "return") -> ExplorationResult:
    result = explore(release, [(story, handler)], bounds)
    assert result.stats[0].complete
    assert result.stats[0].unconfirmed == 0
    return result


# -- bounds ----------------------------------------------------------------------------------------------------------


def test_a_slot_lag_that_can_be_zero_can_be_positive() -> None:
    lagging = found("0.11.1", "single", "slot_lag_ms=0:100")
    positive = found("0.11.1", "single", "slot_lag_ms=1:100")
    assert set(lagging.findings) >= set(positive.findings) > set(found("0.11.1", "single").findings)
    assert all(replayed(each).confirmed for each in lagging.findings.values())


def test_an_optional_time_is_in_force_iff_it_is_printed() -> None:
    near = ("host_ms=0:10", "upstream_ms=0:10", "gap_ms=300", "tool_ms=0:300", "ack_ms=0:10")
    usual, early = found("0.9.4", "single", *near), found("0.9.4", "single", *near, "item_done_ms=0:300")
    assert "item_done_ms" not in usual.to_json()["bounds"]
    assert early.to_json()["bounds"]["item_done_ms"] == [0, 300]
    assert early.stats[0].states > usual.stats[0].states


def test_a_time_that_no_session_of_a_scenario_has_is_no_bound(capsys: pytest.CaptureFixture[str]) -> None:
    assert "idle_timeout_ms" not in Bounds.of().to_json()
    assert main(["explore", "--bounds", "idle_timeout_ms=1:2"]) == 2
    assert "idle_timeout_ms is no known time" in capsys.readouterr().err


def test_exact_bounds_are_explored_to_the_end() -> None:
    """Both results arrive at one time, because they are sent at one time over a link with an exact delay."""
    result = found("0.9.4", "double", "host_ms=10", "upstream_ms=30", "repeat_ms=0")
    assert "stalled" in {each.outcome for each in result.findings}
    assert all(replayed(each).confirmed for each in result.findings.values())


def test_random_sessions_of_exact_bounds_have_only_signatures_that_were_found() -> None:
    stored = set(found("0.9.4", "double", "host_ms=10", "upstream_ms=30", "repeat_ms=0").findings)
    rng, met = random.Random(3), set()
    for _ in range(60):
        times = {"host_rtt_ms": 20, "upstream_rtt_ms": 60, "repeat_ms": 0, "gap_ms": rng.uniform(0, 1000)}
        times |= {"tool_ms": rng.uniform(0, 1500), "ack_ms": rng.uniform(10, 150), "reply_ms": rng.uniform(200, 900)}
        session = SessionConfig.of(release="0.9.4", scenario="double", times=times)
        met |= set(signatures(simulate(session), session.release))
    assert "stalled" in {each.outcome for each in met}
    assert met <= stored


# -- sessions without Settings ---------------------------------------------------------------------------------------


def test_a_session_that_replies_without_settings_is_unconfigured() -> None:
    """The user writes three times before the component sends Settings, and leaves."""
    quick = ("host_ms=0:10", "upstream_ms=0:10", "create_ms=10", "first_item_ms=50", "reply_ms=200:210", "settings_ms=900:1000")
    findings = found("0.9.1", "late-settings", *quick).findings
    silent = Signature("unconfigured", "", "Settings", "not applied", 0)
    assert silent in findings
    replay = replayed(findings[silent])
    assert replay.confirmed
    types = [event.type for event in replay.recording.events]
    assert "SettingsApplied" not in types
    assert "session.update" not in types
    assert realtime.RESPONSE_CREATED in types
    assert Finding.from_json(findings[silent].to_json()).name == "unconfigured-settings-not-applied"


# -- simultaneous events ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("release", [*PROXIES, "reference"])
def test_simultaneous_events_do_not_hide_the_cause_of_a_request(release: str) -> None:
    """The only text before the reply is the question. So in a tool turn no request is for a user text."""
    for handler in ("return", "void_ref"):
        for tool in (100, 150):
            for host in (0, 50):
                times = {"tool_ms": tool, "gap_ms": 150 - host, "host_rtt_ms": host, "upstream_rtt_ms": 0, "ack_ms": 0}
                session = SessionConfig.of(release=release, handler=handler, times=times)
                bad = signatures(simulate(session), session.release)
                assert not [each for each in bad if each.writer == "user text" and each.outcome != "wedged"], times


def test_a_result_at_the_time_of_response_done_is_named() -> None:
    recording = play(release="reference", handler="void_ref", tool_ms=150, gap_ms=150, host_rtt_ms=50, upstream_rtt_ms=50)
    assert signatures(recording, proxy_release("reference")) == (Signature("stale", "", "default error", "R", 2),)


# -- zones in batches ------------------------------------------------------------------------------------------------

BOUND = st.one_of(st.integers(0, 40).map(at_most), st.integers(1, 40).map(less_than), st.just(FREE))


@st.composite
def zones(draw: st.DrawFn, size: int) -> Matrix:
    rows = [[draw(BOUND) for _ in range(size)] for _ in range(size)]
    return tuple(tuple(0 if i == k else rows[i][k] for k in range(size)) for i in range(size))


@given(st.data(), st.integers(1, 4))
def test_a_batch_of_zones_is_advanced_like_each_zone(data: st.DataObject, size: int) -> None:
    zone = data.draw(zones(size))
    due = [(data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, 30))) for _ in range(2)]
    moment, least, apart = due[0][0], data.draw(st.integers(0, due[0][1])), data.draw(st.booleans())
    kept = (NEW, *data.draw(st.lists(st.integers(0, size - 1), max_size=3)))
    limits = [min((2 * most for at, most in due if at == each), default=FREE) for each in range(size)]
    stack = np.array([zone, zone], dtype=np.int64)
    after = latest(stack, np.array([limits, limits]))
    before = earliest(stack, np.array([moment] * 2), np.array([least] * 2), np.array([apart] * 2))
    one = advance(zone, due, moment, least, apart=apart)
    possible = (before + after >= 0).all(axis=1)
    assert list(possible) == [one is not None] * 2
    if one is not None:
        together = picked_stack(stack, before, after, np.array([kept] * 2))
        assert [tuple(map(tuple, each)) for each in together.tolist()] == [picked(zone, one, kept)] * 2


@given(st.data(), st.integers(1, 4), st.integers(0, 3), st.integers(1, 3))
def test_a_batch_of_zones_is_compared_like_each_pair(data: st.DataObject, size: int, known: int, count: int) -> None:
    stack = [data.draw(zones(size)) for _ in range(known + count)]
    least = [data.draw(st.integers(0, 30)) for _ in range(size)]
    most = [each + data.draw(st.integers(0, 30)) for each in least]
    every = np.array(stack, dtype=np.int64)
    needed = thresholds(every, *(np.array([each] * len(stack)) for each in (least, most)))
    positions = range(known, known + count)
    fresh, dropped = compared(every, needed, np.array(positions), np.zeros(count, dtype=np.intp))
    kept = [new for new in positions if not any(covered(stack[new], stack[k], least, most) for k in range(new))]
    assert [known + each for each in fresh.tolist()] == kept
    assert set(dropped.tolist()) == {k for new in kept for k in range(new) if covered(stack[k], stack[new], least, most)}


@given(st.data(), st.integers(2, 6))
def test_the_slack_of_a_trace_is_the_largest_for_which_it_has_times(data: st.DataObject, size: int) -> None:
    moments = st.integers(0, size - 1)
    trace = TimedTrace(steps=[TraceStep("", "", ("", "", ""), 0, 0)] * (size - 1))
    for _ in range(data.draw(st.integers(1, 12))):
        bound = data.draw(st.integers(-20, 40)), data.draw(st.integers(0, 1))
        trace.constraints.append(_Constraint(data.draw(moments), data.draw(moments), *bound))

    def possible(slack: int) -> bool:
        times = [0] * size
        for _ in range(size + 1):
            for first, second, most, slacks in trace.constraints:
                times[second] = max(times[second], times[first] - most + slacks * slack)
        kept = all(times[c.first] - times[c.second] <= c.most_us - c.slacks * slack for c in trace.constraints)
        return kept and times[0] == 0

    found = solved(trace)
    if found is None:
        assert not possible(0)
        return
    times, slack = found
    assert possible(slack)
    assert slack == _SLACK_US or not possible(slack + 1)
    assert all(times[c.first] - times[c.second] <= c.most_us - c.slacks * slack for c in trace.constraints)
