"""Test that the official packages strictly accept every message of the models, except for documented exceptions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from support.bench import mock
from support.played import play
from support.strictly import CLIENT_EVENTS, HOST_MESSAGES, PROXY_MESSAGES, SERVER_EVENTS, Models, faults

from voicerace.model.actors.actor import Send
from voicerace.model.actors.component import Component
from voicerace.model.actors.proxy import Proxy
from voicerace.model.actors.upstream import Knobs
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.releases import COMPONENTS, PROXIES
from voicerace.model.protocol import agent, realtime

KNOBS: list[dict[str, str]] = [
    {},
    {"function_output": "item_done"},
    {"function_output": "response_done"},
    {"session_update_active": "refuse"},
    {"item_before_output": "no"},
    {"binary_frames": "refuse"},
    {"reply_status": "failed"},
    {"reply_status": "incomplete"},
    {"error_after_create": "server_error"},
]

# -- messages to check -----------------------------------------------------------------------------------------------


@cache
def session_messages(release: str) -> tuple[tuple[str, Any], ...]:
    """Return (link, message) of each message in many sessions of one release."""
    given: list[dict[str, Any]] = [
        {"modality": modality, "preamble": preamble, "scenario": "parallel", "calls": calls, "handler": "void_ref"}
        for modality in ("text", "audio")
        for preamble in (False, True)
        for calls in (1, 2, 3, 4)
    ]
    given += [{"knobs_given": knobs, "modality": modality} for knobs in KNOBS for modality in ("text", "audio")]
    given += [{"handler": handler, "tool_end": tool_end} for handler in HANDLERS for tool_end in ("error", "reject", "none")]
    given += [{"scenario": "double", "tool_ms": tool_ms} for tool_ms in (50, 300)]
    return tuple(
        (str(event.link), event.payload)
        for words in given
        for event in play(release=release, **words).events
        if event.kind == "message"
    )


def on(release: str, name: str) -> list[Any]:
    return [payload for link, payload in session_messages(release) if link == name]


def bench_messages() -> Iterator[Mapping[str, Any]]:
    """Yield the mock's messages after a cancel, an out-of-band request and invalid input."""
    for modality in ("text", "audio"):
        for stop_at in ("response.created", "response.output_item.added", "response.content_part.added"):
            bench = mock(("reply",), modality=modality).tell(realtime.create_response("evt_1")).until(stop_at)
            yield from bench.tell({"type": "response.cancel"}, {"type": "response.cancel"}).settle().messages()
        bench = mock(modality=modality, preamble=True, calls=2, slot_lag_ms=5, item_done_ms=3)
        bench.tell(realtime.create_item(realtime.user_item("Hello?")), realtime.create_response())
        bench.tell(realtime.create_response("evt_2"), realtime.create_response(response={"conversation": "none"}))
        bench.until("response.function_call_arguments.delta").tell({"type": "response.cancel"}).settle()
        bench.tell("no JSON", {"type": "unknown", "event_id": "evt_3"}, b"\xff")
        bench.tell(realtime.create_item(realtime.output_item("call_none", "{}")))
        bench.tell(realtime.update_session({"type": "realtime", "audio": {"output": {"voice": "marin"}}})).settle()
        yield from bench.messages()
    bench = mock(knobs=Knobs(session_update_active="refuse")).tell(realtime.create_response())
    yield from bench.tell(realtime.update_session({"type": "realtime"})).settle().messages()


def proxied(release: str, *from_host: Any, events: tuple[Mapping[str, Any], ...] = ()) -> list[Send]:
    """Return the messages sent by one proxy that receives host messages and then events, without replies to its messages."""
    proxy = Proxy(PROXIES[release])
    effects = [effect for message in from_host for effect in proxy.message("component", message)]
    effects += [effect for event in events for effect in proxy.message("upstream", event)]
    return [effect for effect in effects if isinstance(effect, Send)]


def settings(**words: Any) -> Mapping[str, Any]:
    """Return `Settings` as sent by the component with these arguments."""
    sent, *_ = Component(COMPONENTS["0.9.1"], **words).start()
    assert isinstance(sent, Send)
    assert isinstance(sent.payload, Mapping)
    return sent.payload


HISTORY = [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hello, how can I help?"}]
SETTINGS = [settings(), settings(greeting="Hello!"), settings(context=HISTORY)]
SESSION_UPDATED = realtime.session_event(realtime.SESSION_UPDATED, "event_1", {"type": "realtime"})

# -- the Realtime API ------------------------------------------------------------------------------------------------


def assert_known(models: Models, messages: list[Any]) -> None:
    """Assert that `models` strictly accept every message."""
    assert messages
    wrong = {(each["type"], *faults(models, each)) for each in messages if faults(models, each)}
    assert not wrong


@pytest.mark.parametrize("release", ["0.9.1", "0.9.4", "0.11.1"])
def test_the_api_accepts_every_event_of_the_mock(release: str) -> None:
    assert_known(SERVER_EVENTS, on(release, "upstream>proxy"))


def test_the_api_accepts_every_event_of_a_mock_with_cancels_and_invalid_input() -> None:
    messages = list(bench_messages())
    assert_known(SERVER_EVENTS, messages)
    codes = {code for each in messages if (code := realtime.error_of(each).get("code"))}
    assert codes == {
        "conversation_already_has_active_response", "response_cancel_not_active", "invalid_json", "invalid_value",
        "invalid_tool_call_id", "cannot_update_voice",
    }  # fmt: skip


def test_these_sessions_cover_every_event_of_the_mock() -> None:
    met = {each["type"] for each in [*on("0.9.1", "upstream>proxy"), *bench_messages()]}
    assert met == {
        "session.created", "session.updated", "error", "rate_limits.updated", "response.created", "response.done",
        "conversation.item.added", "conversation.item.done", "response.output_item.added", "response.output_item.done",
        "response.content_part.added", "response.content_part.done", "response.output_text.delta",
        "response.output_text.done", "response.output_audio.delta", "response.output_audio.done",
        "response.output_audio_transcript.delta", "response.output_audio_transcript.done",
        "response.function_call_arguments.delta", "response.function_call_arguments.done",
    }  # fmt: skip


@pytest.mark.parametrize("release", PROXIES)
def test_the_api_accepts_every_event_of_a_proxy(release: str) -> None:
    assert_known(CLIENT_EVENTS, on(release, "proxy>upstream"))


@pytest.mark.parametrize("release", PROXIES)
@pytest.mark.parametrize("given_settings", SETTINGS, ids=["plain", "greeting", "context"])
def test_the_api_accepts_every_event_at_the_start_of_a_proxys_session(release: str, given_settings: Mapping[str, Any]) -> None:
    text = agent.inject_user_message("Hello.")
    sent = proxied(release, given_settings, text, events=(SESSION_UPDATED,))
    assert_known(CLIENT_EVENTS, [effect.payload for effect in sent if effect.to == "upstream"])


def test_older_proxies_send_the_api_unknown_messages() -> None:
    """Older proxies forward unknown JSON of the host in a binary frame. The API's models do not accept it as an event."""
    raw = [release for release in PROXIES if proxied(release, {"type": "KeepAlive"})]
    assert raw == [release for release, row in PROXIES.items() if row.other_json_raw]
    for release in raw:
        (sent,) = proxied(release, {"type": "KeepAlive"})
        assert isinstance(sent.payload, bytes)
        assert faults(CLIENT_EVENTS, json.loads(sent.payload)) == ["type: no such message"]


# -- the Voice Agent API ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Gap:
    """Known faults of one message type by the models of deepgram-sdk.

    Attributes:
        faults: the faults.
        release: a release that sends the message.
        reason: why the message has these faults.
    """

    faults: frozenset[str]
    release: str
    reason: str


#: Message type -> faults, for messages of the host link that deepgram-sdk's models refuse.
#: Older proxies forward events of the Realtime API. These events are excluded here and checked by the API's models.
EXCEPTIONS: dict[str, Gap] = {
    "Settings": Gap(
        frozenset({"agent.idleTimeoutMs: undeclared"}),
        "0.9.0",
        "the component sends its idle timeout to an OpenAI proxy inside `agent` (0.9.0 on); Deepgram's API has no such field",
    ),
    "AgentStartedSpeaking": Gap(
        frozenset({"total_latency: missing", "tts_latency: missing", "ttt_latency: missing"}),
        "0.9.7",
        "the proxy sends the bare type (0.9.7 on); Deepgram's measures its latencies",
    ),
    "AgentDone": Gap(
        frozenset({"type: no such message"}),
        "0.10.0",
        "a message of the proxy's own (0.10.0 on); the SDK has AgentAudioDone only",
    ),
    "Error": Gap(
        frozenset({"code: string_type"}),
        "0.10.0",
        "from 0.10.0 the API's code is passed on as it is, and null is one of its values",
    ),
}
#: An error of the API without a code.
NO_CODE = realtime.error_event("event_2", None, "It failed.", kind="server_error")


#: Types of all messages on the host link except raw API events.
HOST_LINK = frozenset(
    {
        "Settings", "InjectUserMessage", "FunctionCallResponse", "SettingsApplied", "ConversationText",
        "FunctionCallRequest", "Error", "AgentThinking", "AgentStartedSpeaking", "AgentAudioDone", "AgentDone",
    }
)  # fmt: skip


def host_link(release: str) -> Iterator[tuple[Models, Mapping[str, Any]]]:
    """Yield (models, message) for all JSON on the host link of a release in both directions, except raw API events."""
    for given_settings in SETTINGS:
        yield HOST_MESSAGES, given_settings
    for message in on(release, "component>proxy"):
        yield HOST_MESSAGES, message
    from_proxy = on(release, "proxy>component")
    from_proxy += [each.payload for each in proxied(release, SETTINGS[1], events=(SESSION_UPDATED, NO_CODE))]
    for message in from_proxy:
        if isinstance(message, Mapping) and message["type"] not in SERVER_EVENTS and message["type"] not in CLIENT_EVENTS:
            yield PROXY_MESSAGES, message


@cache
def found_faults(release: str) -> dict[str, frozenset[str]]:
    """Return message type -> faults of all messages of that type on the host link of a release."""
    found: dict[str, set[str]] = {}
    for models, message in host_link(release):
        found.setdefault(message["type"], set()).update(faults(models, message))
    return {kind: frozenset(each) for kind, each in found.items()}


@pytest.mark.parametrize("release", PROXIES)
def test_the_sdk_accepts_every_message_of_the_host_link_but_the_exceptions(release: str) -> None:
    found = found_faults(release)
    assert set(found) <= HOST_LINK
    allowed = {kind: gap.faults for kind, gap in EXCEPTIONS.items()}
    assert {kind: each for kind, each in found.items() if not each <= allowed.get(kind, frozenset())} == {}


@pytest.mark.parametrize("kind", EXCEPTIONS)
def test_every_exception_is_needed_exactly(kind: str) -> None:
    assert EXCEPTIONS[kind].reason
    assert found_faults(EXCEPTIONS[kind].release)[kind] == EXCEPTIONS[kind].faults


def test_these_sessions_cover_every_message_of_the_host_link() -> None:
    assert {kind for release in ("0.9.1", "0.11.1") for kind in found_faults(release)} == HOST_LINK


@pytest.mark.parametrize("kind", ["AgentDone", "UtteranceEnd"])
def test_the_sdk_has_no_model_of_the_proxys_own_messages(kind: str) -> None:
    assert faults(PROXY_MESSAGES, {"type": kind}) == ["type: no such message"]


@pytest.mark.parametrize("release", PROXIES)
def test_raw_messages_of_older_proxies_are_api_events(release: str) -> None:
    """Raw events on the host link are not Voice Agent messages. The API's models accept each of them."""
    row = PROXIES[release]
    raw = set()
    for message in on(release, "proxy>component"):
        if isinstance(message, Mapping) and message["type"] in SERVER_EVENTS:
            assert faults(SERVER_EVENTS, message) == []
            raw.add(message["type"])
    assert bool(raw) == (row.unknown_event == "raw" or row.done_raw)
    assert ("response.done" in raw) == row.done_raw


# -- strictness of the models ----------------------------------------------------------------------------------------

DONE = realtime.response_event("response.done", "event_1", realtime.response_object("resp_1", "conv_1", "text", "completed"))


@pytest.mark.parametrize(
    ("models", "message", "expected"),
    [
        (SERVER_EVENTS, {**DONE, "extra": 1}, ["extra: undeclared"]),
        (SERVER_EVENTS, {**DONE, "response": {**DONE["response"], "extra": 1}}, ["response.extra: undeclared"]),
        (SERVER_EVENTS, {"type": "response.done", "response": {}}, ["event_id: missing"]),
        (SERVER_EVENTS, {**DONE, "event_id": 7}, ["event_id: string_type"]),
        (SERVER_EVENTS, {**DONE, "type": "response.cancelled"}, ["type: no such message"]),
        (CLIENT_EVENTS, {"type": "response.create", "create": True}, ["create: undeclared"]),
        (CLIENT_EVENTS, realtime.create_response(response={"conversation": "none"}), []),
        (PROXY_MESSAGES, {"type": "SettingsApplied", "at": 1}, ["at: undeclared"]),
        (PROXY_MESSAGES, {"type": "ConversationText", "content": ""}, ["role: missing"]),
        (HOST_MESSAGES, {"type": "InjectUserMessage", "content": 7}, ["content: string_type"]),
    ],
)
def test_a_model_refuses_undeclared_fields_and_types(models: Models, message: Mapping[str, Any], expected: list[str]) -> None:
    assert faults(models, message) == expected


def test_an_unknown_field_of_an_item_is_found() -> None:
    item = {**realtime.call_item("item_1", "call_1", "get_weather", "{}", "completed"), "extra": 1}
    event = realtime.output_event("response.output_item.done", "event_1", "resp_1", 0, item)
    assert faults(SERVER_EVENTS, event) == ["item.extra: undeclared"]
