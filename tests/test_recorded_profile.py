"""Test that every API time in the profile `recorded-2026` is a time in the recordings of `data/api`."""

from __future__ import annotations

import pandas as pd
import pytest

from voicerace.captures.api_times import api_times_frame
from voicerace.model.catalog.profiles import PROFILES, RECORDED_RTT_MS, RECORDED_TEXT_TIMES, SERVER_TIMES
from voicerace.model.parameters import Choice, Duration, Fixed, Times, Uniform
from voicerace.units import ns

#: Sessions of a realtime model, without Voice Live sessions of another model (`cascade`) and without gpt-live.
REALTIME = ("GA", "beta", "xai")
FOUND = api_times_frame()
FOUND = FOUND[FOUND["protocol"].isin(REALTIME)]
TIMES = Times.of({}, "recorded-2026").values
TEXT = Times.of(RECORDED_TEXT_TIMES, "recorded-2026").values


def recorded(*names: str, audio: bool | None = None) -> list[int]:
    rows = FOUND[FOUND["time"].isin(names)]
    if audio is not None:
        rows = rows[rows["what"].str.contains("output_audio") == audio]
    return sorted(ns(each) for each in rows["ms"])


def listed(value: Duration) -> list[int]:
    assert isinstance(value, Choice)
    return list(value.values_ns)


@pytest.mark.parametrize("name", ["create_ms", "ack_ms"])
def test_round_trip_times_are_the_recorded_ones_minus_the_assumed_round_trip(name: str) -> None:
    assert listed(TIMES[name]) == [each - ns(RECORDED_RTT_MS) for each in recorded(name)]


def test_the_assumed_round_trip_is_shorter_than_any_recorded_response() -> None:
    assert ns(RECORDED_RTT_MS) < min(recorded("update_ms", "create_ms", "ack_ms"))


@pytest.mark.parametrize("name", ["first_item_ms", "arguments_ms", "rate_limits_ms"])
def test_times_inside_the_api_are_the_recorded_ones(name: str) -> None:
    assert listed(TIMES[name]) == recorded(name)


@pytest.mark.parametrize("name", ["reply_ms", "reply_gap_ms"])
def test_reply_times_are_the_recorded_ones_of_the_same_modality(name: str) -> None:
    assert listed(TIMES[name]) == recorded(name, audio=True)
    assert listed(TEXT[name]) == recorded(name, audio=False)


def test_the_gap_is_drawn_between_the_smallest_and_the_largest_recorded_gap() -> None:
    gap, gaps = TIMES["gap_ms"], recorded("gap_ms", "gap_at_most_ms")
    assert isinstance(gap, Uniform)
    assert [ns(gap.low), ns(gap.high)] == [gaps[0], gaps[-1]]


def test_item_done_takes_as_long_as_in_every_recording() -> None:
    assert isinstance(done := TIMES["item_done_ms"], Fixed)
    assert set(done.values_ns) == set(recorded("item_done_ms"))


def test_every_api_time_names_its_recordings_or_is_marked_as_chosen() -> None:
    profile, usual = PROFILES["recorded-2026"], PROFILES["loopback"]
    own = {name for name in SERVER_TIMES if profile.values[name] != usual.values[name]}
    assert all(profile.sources[name].startswith(("recorded", "chosen")) for name in own)
    measured = set(FOUND["time"]) & set(SERVER_TIMES)
    assert measured == {name for name in own if profile.sources[name].startswith("recorded")}


def test_sources_cite_rows_that_are_in_the_data() -> None:
    def value(time: str, session: str, row_from: int, row_to: int) -> float:
        found = FOUND[FOUND["session"].str.contains(session, regex=False) & (FOUND["time"] == time)]
        rows = found[(found["row_from"] == row_from) & (found["row_to"] == row_to)]
        return float(pd.Series(rows["ms"]).item())

    call, xai = "tool_call_round@6589e130", "reconnect_replays_a_tool_round@6906fadd"
    assert value("gap_ms", call, 22, 24) == 4
    assert value("gap_ms", xai, 26, 28) == 1
    assert value("gap_ms", "crosstown_foundry", 6, 7) == 12
    assert value("gap_at_most_ms", "livekit_agents_1056_nbrustein", 3, 4) == 8
    assert value("item_done_ms", call, 22, 23) == value("item_done_ms", xai, 26, 27) == 1
    assert value("arguments_ms", call, 8, 22) == 106
    idle = "idle_timeout_nudge_is_not_a_user_turn@ad405285"
    assert [value("rate_limits_ms", idle, 22, 24), value("rate_limits_ms", idle, 127, 128)] == [29, 33]
    assert value("arguments_ms", xai, 23, 26) == 0
