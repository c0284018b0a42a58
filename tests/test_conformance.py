"""Compare the proxy model with recordings of the running proxies. Wrong knobs are detected."""

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

#: Knob -> values to which the test changes it, in any row.
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

#: (tag, knob, value) -> the reason why this change has no observable effect on a proxy of this tag.
WITHOUT_EFFECT: dict[tuple[str, str, object], str] = {
    ("0.9.1", "recovery", True): "no message waits for a result, so there is nothing to recover",
    ("0.9.1", "text_delta_known", True): "unknown events are forwarded unchanged anyway",
    ("0.9.4", "text_delta_known", True): "unknown events are forwarded unchanged anyway",
}


@cache
def recordings(tag: str) -> tuple[Recording, ...]:
    names = (f"{tag}.jsonl.gz", f"{tag}-drawn.jsonl.gz")
    return tuple(each for name in names for each in read_recordings(shipped(f"data/conformance/{name}")))


@cache
def table(tag: str) -> pd.DataFrame:
    return pd.read_csv(shipped(f"data/conformance/{tag}.csv"))


def detected(tag: str, row: ProxyRelease) -> bool:
    return any(replay(recording, row) for recording in recordings(tag))


@pytest.mark.parametrize("tag", TAGS)
def test_the_model_sends_what_the_running_proxy_sent(tag: str) -> None:
    assert len(recordings(tag)) > 50
    for recording in recordings(tag):
        assert replay(recording, PROXIES[tag]) == [], recording.provenance["case"]


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("knob", FLIPS)
@pytest.mark.long
def test_every_changed_knob_is_detected(tag: str, knob: str) -> None:
    row = PROXIES[tag]
    for value in FLIPS[knob]:
        if value == getattr(row, knob):
            continue
        flipped = replace(row, **{knob: value})
        expected = (tag, knob, value) not in WITHOUT_EFFECT
        assert detected(tag, flipped) is expected, f"{tag}: {knob} = {value}"


def test_every_knob_of_the_table_is_tested() -> None:
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
def test_changed_times_of_the_proxy_are_detected(tag: str, name: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROXY_TIMES_MS, name, value)
    assert detected(tag, PROXIES[tag])


@pytest.mark.parametrize(
    ("tag", "other"), [("0.9.1", "0.9.4"), ("0.9.4", "0.9.1"), ("0.11.1", "0.10.4"), ("0.9.1", "0.9.0"), ("0.9.1", "0.9.2")]
)
def test_the_row_of_another_release_is_detected(tag: str, other: str) -> None:
    assert detected(tag, PROXIES[other])


@pytest.mark.parametrize("tag", TAGS)
def test_the_table_of_results_matches_this_program_and_has_no_difference(tag: str) -> None:
    results = table(tag)
    assert tuple(results.columns) == COLUMNS
    assert set(results["source"]) == {PROXIES[tag].source}
    assert (results["scenario"] != "script").sum() >= 200
    assert results["differences"].sum() == 0
    judged = results[results["scenario"] != "script"]
    assert (judged["outcome"] == judged["model_outcome"]).all()


@pytest.mark.parametrize("tag", TAGS)
def test_the_table_has_every_current_case(tag: str) -> None:
    names = [f"session-{number:03d}" for number, _ in enumerate(sessions(tag))] + [script.name for script in scripts()]
    assert list(table(tag)["case"]) == names


def test_sessions_of_the_running_proxies_agree_with_the_sweep() -> None:
    trials = trials_of({"releases": TAGS, "times": {"tool_ms": "0:400:50", "gap_ms": "150"}, "ties": False})
    real = real_sessions(trials)
    assert set(real["release"]) == set(TAGS)
    assert (real.groupby("release").size() >= 8).all()
    model = trials.set_index(["release", "tool_ms"])["outcome"]
    for row in real.to_dict("records"):
        if (row["release"], row["tool_ms"]) in model.index:
            assert row["outcome"] == model[row["release"], row["tool_ms"]]


def test_sessions_with_other_settings_are_not_plotted() -> None:
    trials = trials_of({"releases": TAGS, "times": {"tool_ms": "0:400:100", "gap_ms": "151"}, "ties": False})
    assert real_sessions(trials).empty


def test_missing_and_duplicated_messages_are_differences() -> None:
    recording = next(each for each in recordings("0.9.1") if each.provenance["case"] == "two-results")
    sent = [place for place, event in enumerate(recording.events) if event.link.sender == "proxy"]
    for place in sent:
        without = recording.events[:place] + recording.events[place + 1 :]
        assert replay(replace(recording, events=without), PROXIES["0.9.1"])
        twice = recording.events[: place + 1] + recording.events[place:]
        assert replay(replace(recording, events=twice), PROXIES["0.9.1"])
