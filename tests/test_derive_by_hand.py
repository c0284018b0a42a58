"""Test single rules of `voicerace.captures.derive` at their limits, with hand-written logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from support.played import play
from test_filling import CAME, HOST, SENT, logged

from voicerace.captures.derive import Derived, derive, flag_cleared
from voicerace.model.catalog.releases import PROXIES
from voicerace.model.protocol import input_audio, realtime
from voicerace.trace.recording import Event, Link, Payload, Recording
from voicerace.units import ns

TO_HOST = Link("proxy", "component")
Message = tuple[int, Link, Mapping[str, Any]]

SETTINGS: Message = (0, HOST, {"type": "Settings"})
#: Messages after which the proxy is ready. Releases from 0.10.0 on also log session.update.
READY: list[Message] = [SETTINGS, (10, CAME, {"type": realtime.SESSION_UPDATED})]
UPDATE: Message = (1, SENT, {"type": realtime.SESSION_UPDATE})
READY_LOGGED: list[Message] = [SETTINGS, UPDATE, (10, CAME, {"type": realtime.SESSION_UPDATED})]
OUTPUT: Mapping[str, Any] = {"type": realtime.ITEM_CREATE, "item": {"type": "function_call_output"}}
RESULT: Mapping[str, Any] = {"type": "FunctionCallResponse"}


def came(at_ms: int, kind: str, **fields: Any) -> Message:
    return (at_ms, CAME, {"type": kind, **fields})


def sent(at_ms: int, kind: str) -> Message:
    return (at_ms, SENT, {"type": kind})


def derived(release: str, *messages: Message) -> Derived:
    return derive(logged(*messages), PROXIES[release])


def contradictions(release: str, *messages: Message) -> list[tuple[int, str]]:
    return [(each.seq, each.what) for each in derived(release, *messages).contradictions]


def response(begun_ms: int, done_ms: int) -> list[Message]:
    return [came(begun_ms, realtime.RESPONSE_CREATED), came(done_ms, realtime.RESPONSE_DONE)]


def with_event(recording: Recording, kind: str, link: Link, payload: Payload, *, after: int) -> Recording:
    """Return the recording with an event inserted after event number `after`, at the time of that event."""
    before = recording.events[: after + 1]
    event = replace(before[-1], link=link, kind=kind, payload=payload, received_ns=before[-1].at_ns("proxy"))
    events = (*before, event, *recording.events[after + 1 :])
    return replace(recording, events=tuple(replace(each, seq=seq) for seq, each in enumerate(events)))


# -- requests and their answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize(("done_ms", "contradicted"), [(282, False), (283, True)])
def test_a_request_two_round_trips_before_the_end_of_a_response_must_be_refused(
    done_ms: int, contradicted: bool, answered: bool
) -> None:
    """The item is confirmed after 40 ms. The log has whole milliseconds, so the round trip is at most 41 ms."""
    messages = [
        *READY,
        *response(20, 60),  # this response ends before the result, so it is not evidence
        came(100, realtime.RESPONSE_CREATED),
        (200, HOST, RESULT),
        came(240, realtime.ITEM_ADDED),
        came(done_ms, realtime.RESPONSE_DONE),
        *response(done_ms + 1, done_ms + 2) * answered,
    ]
    first = (2, "a response begins, but 0.9.1 has no unanswered response.create")
    second = (4, "a response begins, but 0.9.1 has no unanswered response.create")
    met = (5, "0.9.1 sends a response.create here, during an active response, but it is not refused")
    assert contradictions("0.9.1", *messages) == [first, second, *[met] * contradicted]


def test_a_refused_request_agrees_with_the_model() -> None:
    refusal = {"code": realtime.ACTIVE_RESPONSE, "message": "Conversation already has an active response"}
    found = contradictions(
        "0.9.1",
        *READY,
        (50, HOST, {"type": "InjectUserMessage"}),
        came(60, realtime.ITEM_ADDED),
        came(100, realtime.RESPONSE_CREATED),
        (200, HOST, RESULT),
        came(240, realtime.ITEM_ADDED),
        came(241, realtime.ERROR, error=refusal),
        came(900, realtime.RESPONSE_DONE),
    )
    assert found == []


def test_an_unanswered_logged_request_does_not_contradict_the_release() -> None:
    commit = [sent(50, input_audio.COMMIT), sent(50, realtime.RESPONSE_CREATE)]
    assert contradictions("0.9.1", *READY, *commit, came(5_000, "rate_limits.updated")) == []
    answered = [came(20, realtime.RESPONSE_CREATED), *commit, came(5_000, realtime.RESPONSE_DONE)]
    late = [each for each in contradictions("0.9.1", *READY, *answered) if "during an active response" in each[1]]
    assert late == []


def test_a_refusal_without_a_request_contradicts_the_release() -> None:
    refusal = {"code": realtime.ACTIVE_RESPONSE, "message": "Conversation already has an active response"}
    found = contradictions("0.9.1", *READY, came(20, realtime.ERROR, error=refusal))
    assert found == [(2, "a response.create is refused, but 0.9.1 has no unanswered one")]


@pytest.mark.parametrize(
    ("release", "heard", "contradicted"), [("0.9.1", True, True), ("0.11.1", True, False), ("0.11.1", False, True)]
)
def test_only_server_vad_explains_a_response_without_a_request(release: str, heard: bool, contradicted: bool) -> None:
    ready = READY if release == "0.9.1" else READY_LOGGED
    speech = [came(20, input_audio.SPEECH_STARTED), came(30, input_audio.COMMITTED)] * heard
    found = contradictions(release, *ready, *speech, came(40, realtime.RESPONSE_CREATED))
    assert ["a response begins" in what for _, what in found] == [True] * contradicted


def test_a_second_confirmation_of_one_session_update_contradicts_the_release() -> None:
    raw = (20, HOST, {"type": "typing"})  # 0.9.1 forwards unknown messages
    again = came(40, realtime.SESSION_UPDATED)
    what = "a session.update is confirmed, but 0.9.1 has no unconfirmed one"
    text = [(30, HOST, {"type": "InjectUserMessage"}), came(35, realtime.ITEM_ADDED)]
    assert contradictions("0.9.1", *READY, raw, *text, again) == [(5, what)]
    assert contradictions("0.9.1", came(10, realtime.SESSION_UPDATED)) == [(0, what)]


# -- logged messages to the API --------------------------------------------------------------------------------------


def test_the_request_after_a_logged_commit_belongs_to_it() -> None:
    messages = [*READY, sent(50, input_audio.APPEND), sent(450, input_audio.COMMIT), sent(450, realtime.RESPONSE_CREATE)]
    made = derived("0.9.1", *messages, *response(500, 900))
    assert made.contradictions == ()
    assert [(e.type, e.observed_at, e.sent_ns) for e in made.recording.on(SENT)] == [
        (realtime.SESSION_UPDATE, "derived", 0),
        (input_audio.APPEND, "log", ns(50)),
        (input_audio.COMMIT, "log", ns(450)),
        (realtime.RESPONSE_CREATE, "log", ns(450)),
    ]


@pytest.mark.parametrize(("at_ms", "contradicted"), [(19_599, True), (19_600, False), (20_100, False)])
def test_a_request_without_a_commit_is_the_timers_within_half_a_second(at_ms: int, contradicted: bool) -> None:
    """0.10.3 sends a request 20 s after an unconfirmed result. In this log the result arrives at 100 ms."""
    messages = [*READY_LOGGED, (100, HOST, RESULT), (101, SENT, OUTPUT), sent(at_ms, realtime.RESPONSE_CREATE)]
    made = derived("0.10.3", *messages)
    assert [each.observed_at for each in made.creates] == ["log"]
    what = "the log has a timer's response.create here, which 0.10.3 does not send"
    assert [(each.seq, each.what) for each in made.contradictions] == [(5, what)] * contradicted


def test_an_unexplained_request_contradicts_the_release() -> None:
    what = "the log has a timer's response.create here, which 0.10.3 does not send"
    assert contradictions("0.10.3", SETTINGS, UPDATE, sent(5, realtime.RESPONSE_CREATE)) == [(2, what)]
    assert contradictions("0.10.3", sent(5, realtime.RESPONSE_CREATE)) == [(0, what)]


def test_a_logged_message_that_the_model_does_not_send_is_a_contradiction_and_kept() -> None:
    made = derived("0.10.3", sent(5, realtime.SESSION_UPDATE), (6, SENT, OUTPUT))
    assert [(each.seq, each.what) for each in made.contradictions] == [
        (0, "the log has a session.update here, which 0.10.3 does not send"),
        (1, "the log has a conversation.item.create here, which 0.10.3 does not send"),
    ]
    assert [each.type for each in made.recording.on(SENT)] == [realtime.SESSION_UPDATE, realtime.ITEM_CREATE]


def test_a_message_that_the_log_lacks_contradicts_the_release() -> None:
    recording = logged(*READY)
    what = "0.10.3 sends and logs a session.update here; the log has none"
    found = derive(recording, PROXIES["0.10.3"])
    assert [(each.seq, each.what) for each in found.contradictions] == [(0, what)]
    assert [(e.type, e.observed_at) for e in found.recording.on(SENT)] == [(realtime.SESSION_UPDATE, "derived")]
    # A log with fewer links can lack session.update, and releases before 0.10.0 do not log it.
    assert derive(replace(recording, observed=(HOST,)), PROXIES["0.10.3"]).contradictions == ()
    assert derive(recording, PROXIES["0.9.1"]).contradictions == ()


def test_a_logged_message_keeps_its_fields_and_gets_the_models_item() -> None:
    call: list[Message] = [
        (20, CAME, {"type": realtime.RESPONSE_CREATED}),
        (21, CAME, {"type": realtime.ARGUMENTS_DONE, "call_id": "call_7"}),
    ]
    named = {**OUTPUT, "event_id": "evt_1"}
    made = derived("0.10.3", *READY_LOGGED, *call, (100, HOST, RESULT), (101, SENT, named))
    (_, output) = made.recording.on(SENT)
    assert isinstance(output.payload, Mapping)
    assert (output.payload["event_id"], output.observed_at, output.sent_ns) == ("evt_1", "log", ns(101))
    assert output.payload["item"]["call_id"] == "call_7"


def test_a_logged_message_of_another_type_is_not_the_expected_one() -> None:
    made = contradictions("0.10.3", *READY_LOGGED, (100, HOST, RESULT), sent(101, realtime.SESSION_UPDATE))
    assert made == [
        (4, "the log has a session.update here, which 0.10.3 does not send"),
        (3, "0.10.3 sends and logs a conversation.item.create here; the log has none"),
    ]
    assert contradictions("0.10.3", SETTINGS, (1, SENT, OUTPUT)) == [
        (1, "the log has a conversation.item.create here, which 0.10.3 does not send"),
        (0, "0.10.3 sends and logs a session.update here; the log has none"),
    ]


# -- timers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("at_ms", "asked"), [(20_599, False), (20_600, True)])
def test_a_timer_has_run_half_a_second_after_it_was_due(at_ms: int, asked: bool) -> None:
    messages = [*READY_LOGGED, (100, HOST, RESULT), (101, SENT, OUTPUT), came(at_ms, "rate_limits.updated")]
    made = derived("0.10.3", *messages)
    assert [made.origin[each.seq] for each in made.creates] == [5] * asked


# -- other events ------------------------------------------------------------------------------------------------------


def test_unknown_json_of_the_host_is_derived_unchanged() -> None:
    made = derived("0.9.1", *READY, (20, HOST, {"type": realtime.RESPONSE_CREATE, "response": {"n": 1}}))
    (create,) = made.creates
    assert create.payload == {"type": realtime.RESPONSE_CREATE, "response": {"n": 1}}
    assert (create.observed_at, create.sent_ns, made.origin[create.seq]) == ("derived", ns(20), 2)


def test_events_on_other_links_keep_their_position() -> None:
    says = Link("user", "app")
    recording = with_event(logged(*READY), "message", says, {"type": "say"}, after=0)
    made = derive(recording, PROXIES["0.9.1"]).recording.events
    assert [str(each.link) for each in made[:3]] == ["component>proxy", "proxy>upstream", "user>app"]


def test_audio_of_a_reply_is_derived_as_bytes() -> None:
    made = derived("0.9.1", *READY, came(20, realtime.RESPONSE_CREATED), came(30, realtime.AUDIO_DELTA, delta="AAE="))
    assert [each.payload for each in made.recording.on(TO_HOST) if each.type == "(binary)"] == [b"\0\1"]


def test_audio_of_the_host_is_not_derived() -> None:
    """The log already contains the appended audio."""
    recording = with_event(logged(*READY), "message", HOST, b"\0\1" * 100, after=1)
    made = derive(recording, PROXIES["0.9.1"])
    assert [each.type for each in made.recording.on(SENT)] == [realtime.SESSION_UPDATE]


@pytest.mark.parametrize("payload", [None, {"code": 1000}])
def test_after_the_host_closes_no_message_is_sent_to_it(payload: Payload) -> None:
    recording = logged(*READY, came(20, realtime.TEXT_DONE, text="Hello"))
    before = derive(recording, PROXIES["0.9.1"]).recording.on(TO_HOST)
    made = derive(with_event(recording, "close", HOST, payload, after=1), PROXIES["0.9.1"]).recording.on(TO_HOST)
    assert [each.type for each in made] == ["SettingsApplied"]
    assert len(before) > 1


def test_an_early_upstream_close_is_reported_to_the_host() -> None:
    recording = with_event(logged(SETTINGS), "close", CAME, {"code": 1006}, after=0)
    sent = derive(recording, PROXIES["0.9.1"]).recording.on(TO_HOST)
    assert [each.payload["code"] for each in sent if isinstance(each.payload, Mapping)] == [
        "upstream_closed_before_session_ready"
    ]


@pytest.mark.parametrize("kind", ["open", "fault"])
def test_open_and_fault_events_cause_no_message(kind: str) -> None:
    recording = with_event(logged(*READY), kind, HOST, {"type": "InjectUserMessage", "reason": "dropped"}, after=1)
    made = derive(recording, PROXIES["0.9.1"]).recording
    assert [each.kind for each in made.events].count(kind) == 1
    assert [each.type for each in made.on(SENT, TO_HOST)] == [realtime.SESSION_UPDATE, "SettingsApplied"]


@pytest.mark.parametrize(
    ("observed", "audio", "links"),
    [
        ((HOST, CAME), False, (HOST, TO_HOST, SENT, CAME)),
        ((CAME,), False, (CAME,)),
        ((CAME,), True, (HOST, TO_HOST, SENT, CAME)),
        ((HOST,), True, (HOST,)),
    ],
)
def test_a_log_with_all_received_messages_allows_both_directions(
    observed: tuple[Link, ...], audio: bool, links: tuple[Link, ...]
) -> None:
    recording = replace(logged(*READY, *[sent(50, input_audio.APPEND)] * audio), observed=observed)
    assert derive(recording, PROXIES["0.9.1"]).recording.observed == links


# -- the flag ----------------------------------------------------------------------------------------------------------

ASKED: list[Message] = [*READY, (20, HOST, {"type": "InjectUserMessage"}), came(30, realtime.ITEM_ADDED)]
BEGUN = came(40, realtime.RESPONSE_CREATED)
TEXT = came(50, realtime.TEXT_DONE)
DONE = came(60, realtime.RESPONSE_DONE)


@pytest.mark.parametrize(
    ("release", "messages", "cleared"),
    [
        ("0.9.1", [*ASKED, BEGUN, TEXT, DONE], [(5, realtime.TEXT_DONE, 6)]),
        ("0.9.1", [*ASKED, BEGUN, TEXT], [(5, realtime.TEXT_DONE, None)]),
        ("0.9.1", [DONE, *ASKED, BEGUN, TEXT, DONE], [(6, realtime.TEXT_DONE, 7)]),
        ("0.9.1", [*ASKED, BEGUN, DONE, TEXT], []),
        ("0.9.1", [*ASKED, TEXT], []),
        ("0.9.1", [*READY, BEGUN, TEXT, DONE], []),
        ("0.9.4", [*ASKED, BEGUN, DONE], []),
        ("0.9.1", [*READY, sent(20, input_audio.COMMIT), BEGUN, TEXT, DONE], [(4, realtime.TEXT_DONE, 5)]),
        ("0.9.1", [*READY, sent(20, input_audio.APPEND), BEGUN, TEXT, DONE], []),
    ],
)  # fmt: skip
def test_the_flag_is_cleared_early_while_a_response_is_active(
    release: str, messages: list[Message], cleared: list[tuple[int, str, int | None]]
) -> None:
    found = derived(release, *messages).cleared_early
    assert [(each.seq, each.by, each.done) for each in found] == cleared


@pytest.mark.parametrize(("cleared_by", "early"), [({"T", "A"}, True), ({"R"}, False)])
def test_a_simulated_session_clears_the_flag_early_at_text_done(cleared_by: set[str], early: bool) -> None:
    played = play(release="0.9.1", scenario="late-settings", modality="text", tool_ms=400)
    found = flag_cleared(played, replace(PROXIES["0.9.1"], flag_cleared_by=frozenset(cleared_by)))
    assert bool(found) == early
    by_seq: dict[int, Event] = {each.seq: each for each in played.events}
    for each in found:
        assert each.done is not None
        assert (by_seq[each.seq].type, by_seq[each.done].type) == (realtime.TEXT_DONE, realtime.RESPONSE_DONE)
