"""Test the schedule check of live sessions, which distinguishes late messages from other behaviour of the proxy."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.experiments.explore.schedule_check import deviation_of
from voicerace.trace.recording import Event, Link, Recording

MS = 1_000_000


@cache
def plan(release: str = "0.9.1", tool_ms: int = 50) -> Recording:
    times = {"tool_ms": tool_ms, "gap_ms": 150, "host_rtt_ms": 10, "upstream_rtt_ms": 10}
    return simulate(SessionConfig.of(release=release, times=times))


def moved(recording: Recording, wanted: str, over: Link, by_ms: float) -> Recording:
    """Return the recording with the message `wanted` on the link `over` delayed by `by_ms`."""
    events = list(recording.events)
    [index] = [number for number, e in enumerate(events) if e.type == wanted and e.link == over][:1]
    at = events[index].received_ns
    assert at is not None
    events[index] = replace(events[index], received_ns=at + int(by_ms * MS))
    return replace(recording, events=tuple(events))


def shifted(recording: Recording, by_ms: float) -> Recording:
    def late(event: Event) -> Event:
        times = {
            name: None if at is None else at + int(by_ms * MS)
            for name in ("sent_ns", "received_ns")
            for at in [getattr(event, name)]
        }
        return replace(event, **times)

    return replace(recording, events=tuple(map(late, recording.events)))


def without(recording: Recording, kind: str) -> Recording:
    """Return the recording without the messages of type `kind`."""
    return replace(recording, events=tuple(e for e in recording.events if e.type != kind))


def test_the_same_order_is_no_deviation_for_any_delay() -> None:
    assert deviation_of(plan(), plan()) is None
    assert deviation_of(shifted(plan(), 40), plan()) is None


def test_a_swapped_message_is_a_deviation_with_its_delay() -> None:
    # The result is planned 95 ms before response.done at the proxy. Here it arrives 20 ms after response.done.
    late = moved(plan(), "FunctionCallResponse", Link("component", "proxy"), 115)
    slip = deviation_of(late, plan())
    assert slip is not None
    assert slip.order
    assert slip.location == "proxy"
    assert slip.late_ms == pytest.approx(115, abs=2)
    assert "FunctionCallResponse from component came behind" in slip.message


def test_a_missing_message_is_no_deviation_of_the_order() -> None:
    slip = deviation_of(without(plan(), "Error"), plan())
    assert slip is not None
    assert not slip.order
    assert slip.late_ms == 0
    assert "Error from proxy was expected" in slip.message


def test_a_request_later_than_in_the_model_is_named() -> None:
    slip = deviation_of(plan("0.9.4"), plan("0.9.1"))
    assert slip is not None
    assert slip.message.startswith("response.create from proxy came behind")


def test_the_position_where_a_session_stops_is_reported() -> None:
    cut = replace(plan(), events=plan().events[:40])
    slip = deviation_of(cut, plan())
    assert slip is not None
    assert not slip.order
    assert slip.message.startswith("nothing, where")
    more = deviation_of(plan(), cut)
    assert more is not None
    assert "which was not expected" in more.message
