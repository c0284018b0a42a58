"""Test that the suspicions (docs/background.md#suspicions) are detected from the messages alone, for several proxies."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from voicerace import Event, InputError, Recording, SessionConfig, simulate
from voicerace.captures.derive import flag_cleared
from voicerace.conformance.detectors import held_actions, sightings
from voicerace.conformance.hypotheses import HypothesisAnswer, Suspicions, answers_from, real_recordings, suspicions
from voicerace.conformance.suspicions import PROBES, SUSPICIONS
from voicerace.model.catalog.releases import PROXIES, ProxyRelease, R, proxy_release
from voicerace.model.protocol import realtime
from voicerace.trace.recording import Link

LATE = [each for each in PROBES if each.get("scenario") == "late-settings" and each.get("modality") == "text"]
LATE_AUDIO = [{**each, "modality": "session"} for each in LATE]
SPOKEN = [each for each in PROBES if each.get("scenario") == "barge-in" and each["times"].get("reply_gap_ms") == 3000]
EARLY = {"times": {"gap_ms": 300, "tool_ms": 50}}
TWICE = {"handler": "async_ref", "times": {"gap_ms": 300, "tool_ms": 50}}
AGAIN = {"scenario": "double", "times": {"gap_ms": 300, "tool_ms": 50, "repeat_ms": 30}}
PARALLEL = {"scenario": "parallel", "calls": 2, "times": {"gap_ms": 300, "tool_ms": "10,900"}}


def played(release: ProxyRelease | str, probes: Iterable[Any]) -> list[Recording]:
    row = proxy_release(release) if isinstance(release, str) else release
    base = row.tag if row.tag in PROXIES else "0.11.1"
    return [simulate(replace(SessionConfig.of(release=base, **each), release=row)) for each in probes]


def asked(release: ProxyRelease | str, probes: Iterable[Any]) -> dict[str, HypothesisAnswer]:
    return {each.suspicion: each for each in answers_from("any", played(release, probes))}


#: Release -> suspected messages that its flag does not block, in the model and in the running proxy.
NOT_HELD = [
    ("0.9.0", {"update-while-active", "commit-while-active"}),
    ("0.9.1", {"flag-early", "update-while-active", "commit-while-active"}),
    ("0.9.4", {"flag-early", "update-while-active", "commit-while-active"}),
    ("0.10.5", {"flag-early", "commit-while-active"}),
    ("0.11.1", set()),
]


@pytest.mark.parametrize(("release", "yes"), [*NOT_HELD, ("reference", set())])
def test_the_flag_blocks_the_messages_of_its_release(release: str, yes: set[str]) -> None:
    answers = asked(release, [*LATE, *SPOKEN])
    flagged = ("flag-early", "update-while-active", "commit-while-active", "second-update")
    assert {name for name in flagged if answers[name].yes} == yes


def test_a_flag_that_waits_for_response_done_is_not_cleared_early() -> None:
    waits = replace(PROXIES["0.9.4"], flag_cleared_by=frozenset({R}))
    answers = asked(waits, [*LATE, *SPOKEN])
    assert not any(answers[name].yes for name in ("flag-early", "update-while-active", "commit-while-active"))
    assert answers["flag-early"].model.held is None


def test_a_message_that_is_never_blocked_is_no_early_clearing_of_the_flag() -> None:
    looks_away = replace(PROXIES["0.9.1"], settings_wait=False)
    answers = asked(looks_away, LATE)
    assert not answers["flag-early"].yes
    assert "in the midst of it, before response.done" in answers["update-while-active"].ways


def test_the_early_flag_is_shown_by_two_sessions() -> None:
    answer = asked("0.9.1", LATE)["flag-early"]
    held, through = answer.model.held, answer.model.shortest
    assert held is not None
    assert through is not None
    assert list(held.rows()["message"])[:2] == ["response.created", "Settings"]
    assert list(through.rows()["message"]) == [
        "response.created",
        "response.output_text.done",
        "session.update",
        "response.done",
    ]


@pytest.mark.parametrize(("release", "early"), [("0.9.1", True), ("0.9.4", False)])
def test_after_an_audio_reply_only_releases_that_read_the_end_of_audio_clear_the_flag_early(release: str, early: bool) -> None:
    """Neither release requests a modality, so the result also applies to the real API. 0.9.4 reads only the end of text."""
    assert asked(release, LATE)["flag-early"].yes
    assert asked(release, LATE_AUDIO)["flag-early"].yes == early


@pytest.mark.parametrize("release", ["0.9.1", "0.9.4", "0.10.5", "0.11.1"])
def test_a_held_message_is_released_when_the_model_clears_its_flag(release: str) -> None:
    for recording in played(release, [*LATE, *SPOKEN]):
        early = {event.by for event in flag_cleared(recording, PROXIES[release])}
        for action in held_actions(recording):
            if action.sent and action.span == "after":
                assert early & {realtime.TEXT_DONE, realtime.AUDIO_DONE}
            if not action.sent and action.what == "session.update":
                assert action.span == "before"


def test_an_audio_commit_into_a_reply_is_refused_and_an_update_is_not() -> None:
    answers = asked("0.9.1", [*LATE, *SPOKEN])
    assert answers["commit-while-active"].model.refused == answers["commit-while-active"].model.seen
    assert answers["update-while-active"].model.refused == 0
    refusing = [{**each, "knobs_given": {"session_update_active": "refuse"}} for each in LATE]
    assert asked("0.9.1", refusing)["update-while-active"].model.refused == 5


@pytest.mark.parametrize(
    ("release", "probe", "how"),
    [
        ("0.9.1", EARLY, None),
        ("0.9.1", TWICE, "two results for one call"),
        ("0.9.1", AGAIN, "two results for one call"),
        ("0.9.1", PARALLEL, "several calls, one result each"),
        ("0.9.4", TWICE, None),
        ("0.9.4", PARALLEL, None),
        ("0.10.3", PARALLEL, "several calls, one result each"),
        ("reference", PARALLEL, None),
        ("reference", AGAIN, None),
        ("0.9.1", {"scenario": "chained", "times": {"gap_ms": 300, "tool_ms": 600}}, None),
        ("0.9.1", {"scenario": "inject", "times": {"gap_ms": 300, "tool_ms": 600, "inject_ms": 60}}, None),
    ],
)
def test_a_second_create_for_a_turn_has_its_cause(release: str, probe: Any, how: str | None) -> None:
    answer = asked(release, [probe])["second-create"]
    assert list(answer.ways) == ([] if how is None else [how])


@pytest.mark.parametrize(
    ("handler", "scenario", "by"),
    [
        ("return", "single", None),
        ("async_send", "single", None),
        ("async_ref", "single", "by the component"),
        ("void_ref", "single", "by the component"),
        ("void_send", "single", "by the component"),
        ("ref_now", "single", "by the component"),
        ("return", "double", "by the app"),
        ("async_ref", "double", "by the component and the app"),
    ],
)
def test_a_result_sent_twice_has_its_sender(handler: str, scenario: str, by: str | None) -> None:
    times = {"gap_ms": 300, "tool_ms": 50, "repeat_ms": 30}
    answer = asked("0.9.1", [{"handler": handler, "scenario": scenario, "times": times}])["double-result"]
    assert list(answer.ways) == ([] if by is None else [by])
    if by == "by the component":
        assert answer.trace is not None
        assert any("own error" in message for message in answer.trace.rows()["message"])


def test_a_second_session_update_is_on_the_same_connection() -> None:
    (reconnected,) = played("0.9.1", [{"scenario": "reconnect"}])
    updates = [event for event in reconnected.events if event.type == realtime.SESSION_UPDATE]
    assert len(updates) == 2
    assert not [each for each in sightings(reconnected) if each.suspicion == "second-update"]
    (single,) = played("0.9.1", [{"times": {"tool_ms": 400}}])
    first = next(event for event in single.events if event.type == realtime.SESSION_UPDATE)
    last = single.events[-1]
    again = Event(
        last.seq + 1, Link("proxy", "upstream"), "message", last.received_ns, last.received_ns, first.payload, first.observed_at
    )
    (found,) = sightings(replace(single, events=(*single.events, again)))
    assert (found.suspicion, found.events[:2]) == ("second-update", (first.seq, again.seq))


def test_a_refusal_without_any_duplicate_is_another_path() -> None:
    (answer,) = [each for each in asked("0.9.1", [EARLY]).values() if each.yes]
    assert (answer.suspicion, answer.ways, answer.model.refused) == ("another-path", {"rejected": 1}, 1)
    assert not [each for each in asked("reference", [EARLY]).values() if each.yes]


def test_recordings_of_a_program_apply_to_every_tag_of_it() -> None:
    of_a_row, of_its_twin = real_recordings(PROXIES["0.9.4"]), real_recordings(PROXIES["0.9.5"])
    assert of_a_row
    assert of_a_row == of_its_twin
    assert {each.provenance["release"] for each in of_its_twin} == {"0.9.4"}
    assert not any(each.provenance["knobs"] for each in of_a_row)
    assert not real_recordings(proxy_release("reference"))


def test_running_proxies_show_the_suspicions_of_their_models() -> None:
    for tag in ("0.9.1", "0.9.4", "0.11.1"):
        found = Suspicions(answers_from(tag, [], real_recordings(PROXIES[tag])))
        assert found.answer(tag, "double-result").target == "real proxy"
        assert found.answer(tag, "another-path").yes
        assert not found.answer(tag, "second-update").yes


@pytest.mark.parametrize(("release", "yes"), NOT_HELD)
def test_running_proxies_block_and_release_like_their_models(release: str, yes: set[str]) -> None:
    flagged = ("flag-early", "update-while-active", "commit-while-active")
    answers = {each.suspicion: each for each in answers_from(release, [], real_recordings(PROXIES[release]))}
    assert {name for name in flagged if answers[name].yes} == yes
    if "commit-while-active" in yes:
        assert answers["commit-while-active"].real.refused


def test_the_frame_has_a_row_per_release_and_suspicion_with_its_sample_size() -> None:
    found = suspicions(["reference", "0.9.1"], [EARLY])
    assert found.releases == ("reference", "0.9.1")
    assert len(found.frame) == 2 * len(SUSPICIONS)
    assert found.answer("reference", "another-path").sentence == (
        "No: seen in 0 of 1 sessions of the model and no recording of the running proxy."
    )
    assert list(found.table.columns) == ["release", *SUSPICIONS]


def test_unknown_suspicions_and_releases_are_refused_by_name() -> None:
    found = Suspicions(answers_from("0.9.1", []))
    with pytest.raises(InputError, match="second-create"):
        found.answer("0.9.1", "third-create")
    with pytest.raises(InputError, match=r"0\.9\.2 was not examined"):
        found.answer("0.9.2", "second-create")
    with pytest.raises(InputError, match="releases"):
        suspicions(["0.9.99"], [])
