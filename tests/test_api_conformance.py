"""Compare the mock with recordings of the real API: every difference is explained, and a modified mock is detected."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from voicerace.cli import main
from voicerace.conformance import api
from voicerace.conformance.api import ApiDifference, compare_recording, conform_api, mock_for, recordings_to_compare
from voicerace.conformance.api_explained import EXPLAINED
from voicerace.conformance.api_play import RecordedModel
from voicerace.model.actors.actor import Effects, Send
from voicerace.model.actors.upstream import Knobs
from voicerace.model.catalog.providers import PROVIDERS
from voicerace.trace.recording import Recording

Change = Callable[[Mapping[str, Any]], Mapping[str, Any] | None]


def kinds(mock: Callable[[Recording], RecordedModel], *providers: str) -> set[tuple[str, str, str]]:
    """Return (kind, event, path) of each unexplained difference between the mock and the recordings."""
    return {(each.kind, each.event, each.path) for each in conform_api(*providers, mock=mock).unexplained}


def test_every_difference_is_explained_and_every_explanation_is_used() -> None:
    found = conform_api()
    assert found.unexplained == []
    assert set(found.explained) == set(EXPLAINED)
    assert dict(found.sessions) == {"openai": 18, "azure": 9, "gateway-openai": 5, "azure-voice-live": 9, "xai": 13}
    assert sum(found.messages.values()) > 1_100


def test_an_explanation_fits_only_the_differences_it_names() -> None:
    row = next(each for each in EXPLAINED if each.model != "*" and each.path == "session.model")
    fault = ApiDifference("value", "x", "openai", "gpt-realtime-2.1", "session.created", "session.model", "a", "b")
    assert row.fits(fault)
    for other in ({"model": "gpt-realtime"}, {"path": "session.id"}, {"event": "response.done"}, {"kind": "id"}):
        assert not row.fits(fault._replace(**other))


# -- modified mocks --------------------------------------------------------------------------------------------------


def test_text_replies_in_audio_sessions_are_detected() -> None:
    def texts(recording: Recording) -> RecordedModel:
        mock = mock_for(recording)
        mock.modality = "text"
        return mock

    assert ("missing", "response.output_audio.done", "") in kinds(texts)


def test_items_that_close_one_by_one_are_detected() -> None:
    def singly(recording: Recording) -> RecordedModel:
        mock = mock_for(recording)
        mock.knobs = Knobs(items_close="singly")
        return mock

    assert {event for _, event, _ in kinds(singly)} >= {"response.output_item.added(function_call)"}


def test_rate_limits_on_azure_are_detected() -> None:
    def limited(recording: Recording) -> RecordedModel:
        mock = mock_for(recording)
        mock.provider = replace(mock.provider, rate_limits=True)
        return mock

    assert ("extra", "rate_limits.updated", "") in kinds(limited, "azure")
    assert not kinds(limited, "openai")


@pytest.mark.parametrize(
    ("provider", "changed", "event"),
    [
        ("azure-voice-live", {"names": {}}, "conversation.item.created(function_call_output)"),
        ("azure-voice-live", {"modalities": "output_modalities"}, "response.text.done"),
        ("xai", {"names": {}}, "conversation.item.done(function_call_output)"),
        ("xai", {"audio_around": False}, "response.output_audio.done"),
    ],
)
def test_event_order_and_names_of_another_provider_are_detected(provider: str, changed: dict[str, Any], event: str) -> None:
    def other(recording: Recording) -> RecordedModel:
        mock = mock_for(recording)
        mock.provider = replace(mock.provider, **changed)
        return mock

    assert event in {each for _, each, _ in kinds(other, provider)}
    assert not kinds(mock_for, provider)


def test_rate_limits_without_delay_after_response_done_are_detected() -> None:
    def at_once(recording: Recording) -> RecordedModel:
        mock = mock_for(recording)
        mock.limits_lag = False
        return mock

    assert ("client", "rate_limits.updated", "") in kinds(at_once, "openai")


def test_a_call_that_begins_before_the_message_ends_is_detected_on_xai() -> None:
    def together(recording: Recording) -> RecordedModel:
        mock = mock_for(recording)
        mock.knobs = Knobs(items_close="together")
        return mock

    assert {event for _, event, _ in kinds(together, "xai")} & {"response.output_item.added(function_call)"}


def test_content_parts_of_another_provider_are_detected() -> None:
    def openai(recording: Recording) -> RecordedModel:
        mock = mock_for(recording)
        mock.provider = PROVIDERS["openai"]
        return mock

    assert ("key missing", "response.content_part.added(text)", "content") in kinds(openai, "azure")


def changed(change: Change) -> Callable[[Recording], RecordedModel]:
    """Return a factory of mocks that apply `change` to each message before sending it."""

    class Changed(RecordedModel):
        def _effects(self) -> Effects:
            sent = super()._effects()
            out = [(each, change(each.payload) if isinstance(each, Send) else None) for each in sent]  # type: ignore[arg-type]
            return [replace_payload(each, new) for each, new in out if not isinstance(each, Send) or new is not None]

    def make(recording: Recording) -> RecordedModel:
        plain = mock_for(recording)
        same = {"idles": plain.idles, "limits_lag": plain.limits_lag, "provider": plain.provider.name, "knobs": plain.knobs}
        return Changed(modality=plain.modality, **same)

    return make


def replace_payload(effect: Any, payload: Mapping[str, Any] | None) -> Any:
    return Send(effect.to, payload) if isinstance(effect, Send) and payload is not None else effect  # type: ignore[arg-type]


def without_turn_detection(message: Mapping[str, Any]) -> Mapping[str, Any]:
    if message["type"] != "session.created":
        return message
    audio = message["session"]["audio"]
    inner = {name: value for name, value in audio["input"].items() if name != "turn_detection"}
    return {**message, "session": {**message["session"], "audio": {**audio, "input": inner}}}


def with_object(message: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**message, "item": {**message["item"], "object": "realtime.item"}} if "item" in message else message


def other_response(message: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**message, "response_id": f"other_{message['event_id']}"} if "response_id" in message else message


def without_metadata(message: Mapping[str, Any]) -> Mapping[str, Any]:
    if "response" not in message:
        return message
    return {**message, "response": {name: value for name, value in message["response"].items() if name != "metadata"}}


def without_item_done(message: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return None if message["type"] == "conversation.item.done" else message


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (without_turn_detection, ("key missing", "session.created", "session.audio.input.turn_detection")),
        (with_object, ("key extra", "conversation.item.added(message user)", "item.object")),
        (other_response, ("id", "response.function_call_arguments.done", "response_id")),
        (without_metadata, ("key missing", "response.created", "response.metadata")),
        (without_item_done, ("missing", "conversation.item.done(message user)", "")),
    ],
    ids=["no turn detection", "object", "ids", "no metadata", "no item.done"],
)  # fmt: skip
def test_a_mock_with_other_messages_is_detected(change: Change, difference: tuple[str, str, str]) -> None:
    assert kinds(changed(lambda each: each), "azure") == set()
    assert difference in kinds(changed(change), "azure")


def test_missing_metadata_of_a_response_is_detected() -> None:
    """The recordings with all keys contain no metadata. The test therefore adds metadata to one of them."""
    plain = next(each for each in recordings_to_compare("openai") if "tool_call_round" in each.provenance["connection"])
    metadata = {"topic": "weather"}

    def with_metadata(payload: Any) -> Any:
        if payload["type"] == "response.create":
            return {**payload, "response": {"metadata": metadata}}
        return {**payload, "response": {**payload["response"], "metadata": metadata}} if "response" in payload else payload

    recording = replace(plain, events=tuple(replace(event, payload=with_metadata(event.payload)) for event in plain.events))

    def dropped(message: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**message, "response": {**message["response"], "metadata": None}} if "response" in message else message

    def paths(mock: RecordedModel) -> set[str]:
        return {each.path for each in compare_recording(recording, mock)[1]}

    assert not any("metadata" in path for path in paths(mock_for(recording)))
    assert "response.metadata.topic" in paths(changed(dropped)(recording))


# -- command line ----------------------------------------------------------------------------------------------------


def test_the_verb_prints_counts_by_provider(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conformance", "--api", "--provider", "azure", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (row,) = found["providers"]
    assert (row["provider"], row["sessions"], row["differences"], found["unexplained"]) == ("azure", 9, 0, [])
    assert row["explained"] == sum(each["differences"] for each in found["explained"])
    assert main(["conformance", "--api", "--provider", "azure"]) == 0
    assert "9 sessions" in capsys.readouterr().out


def test_an_unexplained_difference_is_status_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(api, "EXPLAINED", ())
    assert main(["conformance", "--api", "--provider", "azure"]) == 1
    assert "value: session.created session.expires_at" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--api", "--provider", "nobody"], ["provider", "azure"]),
        (["--api", "--proxy", "backend:x"], ["--api", "one of the two"]),
        (["--provider", "azure"], ["--provider", "--api"]),
        ([], ["proxy: is missing", "backend:DIR", "--api", "--reported"]),
    ],
)
def test_conflicting_options_are_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: list[str]
) -> None:
    assert main(["conformance", *arguments]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert all(word in message for word in words)
