"""Does the model still do what the running proxies did? Recorded exchanges, replayed without Node; false knobs are caught."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pandas as pd
import pytest

from voicerace.conformance import replay
from voicerace.conformance.cases import scripts, sessions
from voicerace.conformance.conform import COLUMNS
from voicerace.conformance.evidence import real_sessions
from voicerace.experiments.sweep.sweep import trials_of
from voicerace.files import shipped
from voicerace.model.catalog.gate_rules import RULES
from voicerace.model.catalog.profiles import PROXY_TIMES_MS
from voicerace.model.catalog.releases import PROXIES, ProxyRelease
from voicerace.trace.recording import Recording, read_recordings

TAGS = ("0.9.1", "0.9.4", "0.11.1")

#: knob -> the values it can be flipped to, in any row.
FLIPS: dict[str, tuple[object, ...]] = {
    "create_on": tuple(frozenset(each) for each in ({"result"}, {"T"}, {"R"}, {"T", "R"}, {"T", "R", "I"}, {"R", "I"})),
    "recovery": (True, False),
    "flag_set_by": tuple(frozenset(each) for each in ({"audio"}, {"result"}, {"text"}, {"result", "text"}, {"server"})),
    "flag_cleared_by": tuple(frozenset(each) for each in ({"T"}, {"T", "A"}, {"T", "R"}, {"R"}, {"A", "R"})),
    "settings_wait": (True, False),
    "text_queued": (True, False),
    "audio": ("quiet", "vad"),
    "resampled": (True, False),
    "commit_on": tuple(
        frozenset(each)
        for each in (
            (),
            ("quiet",),
            ("most",),
            ("quiet", "most"),
            ("quiet", "flag"),
            ("quiet", "close"),
            ("most", "flag", "close"),
        )
    )
    + tuple(frozenset({"quiet", "most", "flag", "close"} - {each}) for each in ("", "quiet", "most", "flag", "close")),
    "first_commit_bytes": (4_800, 4_802, 32_000, 48_000, 48_002),
    "transcripts": ("pieces", "whole"),
    "refusal_hidden": (True, False),
    "unknown_event": ("raw", "error", "log"),
    "text_delta_known": (True, False),
    "done_raw": (True, False),
    "agent": ("none", "some", "all", "all_but_text_after_audio"),
    "reply_text": ("done", "item", "any"),
    "other_json_raw": (True, False),
    "context_in": ("items", "instructions"),
    "session_options": (True, False),
    "gate": (None, frozenset(RULES)),
    "error_code_from": ("message", "api"),
    "idle_timeout_waits": (True, False),
}

#: (tag, knob, value) that change nothing that a proxy of this tag can be seen to do, with the reason.
WITHOUT_EFFECT: dict[tuple[str, str, object], str] = {
    ("0.9.1", "recovery", True): "nothing waits behind a result, so there is nothing to recover",
    ("0.9.1", "text_delta_known", True): "what is not known goes to the host raw, known or not",
    ("0.9.4", "text_delta_known", True): "what is not known goes to the host raw, known or not",
}


@cache
def recordings(tag: str) -> tuple[Recording, ...]:
    names = (f"{tag}.jsonl.gz", f"{tag}-drawn.jsonl.gz")
    return tuple(each for name in names for each in read_recordings(shipped(f"data/conformance/{name}")))


@cache
def table(tag: str) -> pd.DataFrame:
    return pd.read_csv(shipped(f"data/conformance/{tag}.csv"))


def caught(tag: str, row: ProxyRelease) -> bool:
    return any(replay(recording, row) for recording in recordings(tag))


@pytest.mark.parametrize("tag", TAGS)
def test_the_model_does_what_the_running_proxy_did(tag: str) -> None:
    assert len(recordings(tag)) > 50
    for recording in recordings(tag):
        assert replay(recording, PROXIES[tag]) == [], recording.provenance["case"]


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("knob", FLIPS)
@pytest.mark.long
def test_every_knob_that_is_turned_is_noticed(tag: str, knob: str) -> None:
    row = PROXIES[tag]
    for value in FLIPS[knob]:
        if value == getattr(row, knob):
            continue
        flipped = replace(row, **{knob: value})
        expected = (tag, knob, value) not in WITHOUT_EFFECT
        assert caught(tag, flipped) is expected, f"{tag}: {knob} = {value}"


def test_every_knob_of_the_table_is_flipped() -> None:
    names = {
        name
        for name in ProxyRelease.__dataclass_fields__
        if name not in ("tag", "backend", "published", "generation", "source")
    }
    assert names == set(FLIPS)


@pytest.mark.parametrize(
    ("tag", "name", "value"),
    [
        ("0.9.1", "audio_quiet_ms", 200),
        ("0.9.1", "audio_quiet_ms", 550),
        ("0.11.1", "audio_quiet_ms", 200),
        ("0.11.1", "audio_quiet_ms", 550),
        ("0.11.1", "audio_most_ms", 390),
        ("0.11.1", "audio_most_ms", 850),
        ("0.11.1", "recovery_ms", 19_000),
        ("0.11.1", "recovery_ms", 21_000),
    ],
)
def test_the_proxys_own_times_are_noticed_to_a_fraction_of_a_second(
    tag: str, name: str, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PROXY_TIMES_MS, name, value)
    assert caught(tag, PROXIES[tag])


@pytest.mark.parametrize(
    ("tag", "other"), [("0.9.1", "0.9.4"), ("0.9.4", "0.9.1"), ("0.11.1", "0.10.4"), ("0.9.1", "0.9.0"), ("0.9.1", "0.9.2")]
)
def test_another_release_is_not_taken_for_this_one(tag: str, other: str) -> None:
    assert caught(tag, PROXIES[other])


@pytest.mark.parametrize("tag", TAGS)
def test_the_table_of_results_is_of_this_program_and_shows_no_difference(tag: str) -> None:
    results = table(tag)
    assert tuple(results.columns) == COLUMNS
    assert set(results["source"]) == {PROXIES[tag].source}
    assert (results["scenario"] != "script").sum() >= 200
    assert results["differences"].sum() == 0
    judged = results[results["scenario"] != "script"]
    assert (judged["outcome"] == judged["model_outcome"]).all()


@pytest.mark.parametrize("tag", TAGS)
def test_the_table_holds_every_case_that_is_tried_today(tag: str) -> None:
    names = [f"session-{number:03d}" for number, _ in enumerate(sessions(tag))] + [script.name for script in scripts()]
    assert list(table(tag)["case"]) == names


def test_the_sessions_of_the_running_proxies_fit_the_sweep_they_are_drawn_on() -> None:
    trials = trials_of({"releases": TAGS, "times": {"tool_ms": "0:400:50", "gap_ms": "150"}, "ties": False})
    real = real_sessions(trials)
    assert set(real["release"]) == set(TAGS)
    assert (real.groupby("release").size() >= 8).all()
    model = trials.set_index(["release", "tool_ms"])["outcome"]
    for row in real.to_dict("records"):
        if (row["release"], row["tool_ms"]) in model.index:
            assert row["outcome"] == model[row["release"], row["tool_ms"]]


def test_sessions_under_other_settings_are_not_drawn() -> None:
    trials = trials_of({"releases": TAGS, "times": {"tool_ms": "0:400:100", "gap_ms": "151"}, "ties": False})
    assert real_sessions(trials).empty


def test_a_message_more_a_message_less_and_another_order_are_differences() -> None:
    recording = next(each for each in recordings("0.9.1") if each.provenance["case"] == "two-results")
    sent = [place for place, event in enumerate(recording.events) if event.link.sender == "proxy"]
    for place in sent:
        without = recording.events[:place] + recording.events[place + 1 :]
        assert replay(replace(recording, events=without), PROXIES["0.9.1"])
        twice = recording.events[: place + 1] + recording.events[place:]
        assert replay(replace(recording, events=twice), PROXIES["0.9.1"])
