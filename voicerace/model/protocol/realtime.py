"""Builds and reads the Realtime API's events (between proxy and upstream), with GA names.

Shapes follow `openai.types.realtime` (openai 3.54). Tests validate all built events strictly against these types.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

Message: TypeAlias = dict[str, Any]

#: Error code with which the API refuses a `response.create` while a response is active.
ACTIVE_RESPONSE: Final = "conversation_already_has_active_response"
#: Name that an app's log sanitizing writes instead of `ACTIVE_RESPONSE` (docs/background.md). No API sends it.
RENAMED_ACTIVE_RESPONSE: Final = "active_response_state_conflict"

# Server events. The release table uses letters for some of them (docs/release-facts.md#event-letters).
TEXT_DONE: Final = "response.output_text.done"
AUDIO_DONE: Final = "response.output_audio.done"
TRANSCRIPT_DONE: Final = "response.output_audio_transcript.done"
ARGUMENTS_DONE: Final = "response.function_call_arguments.done"
RESPONSE_CREATED: Final = "response.created"
RESPONSE_DONE: Final = "response.done"
OUTPUT_ADDED: Final = "response.output_item.added"
ITEM_ADDED: Final = "conversation.item.added"
ITEM_DONE: Final = "conversation.item.done"
#: Beta name of `conversation.item.added`. The proxies accept both names.
ITEM_CREATED: Final = "conversation.item.created"
SESSION_CREATED: Final = "session.created"
SESSION_UPDATED: Final = "session.updated"
TEXT_DELTA: Final = "response.output_text.delta"
AUDIO_DELTA: Final = "response.output_audio.delta"
TRANSCRIPT_DELTA: Final = "response.output_audio_transcript.delta"
ARGUMENTS_DELTA: Final = "response.function_call_arguments.delta"
ERROR: Final = "error"

# Client events.
RESPONSE_CREATE: Final = "response.create"
RESPONSE_CANCEL: Final = "response.cancel"
SESSION_UPDATE: Final = "session.update"
ITEM_CREATE: Final = "conversation.item.create"
ITEM_RETRIEVE: Final = "conversation.item.retrieve"
ITEM_TRUNCATE: Final = "conversation.item.truncate"
ITEM_DELETE: Final = "conversation.item.delete"

#: Statuses of a response or an item.
STATUSES: Final = frozenset({"in_progress", "completed", "cancelled", "failed", "incomplete"})

#: Events with text or audio of a reply. A reply counts as heard at the first of them.
HEARD: Final = frozenset({TEXT_DELTA, AUDIO_DELTA, TRANSCRIPT_DELTA, TEXT_DONE, TRANSCRIPT_DONE})


# -- items ---------------------------------------------------------------------------------------------------------


def user_item(text: str) -> Message:
    """Return the item of a user message, in the form that a client sends."""
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def assistant_item(text: str) -> Message:
    """Return the item of an assistant message, in the form that a client sends for the earlier conversation."""
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


def system_item(text: str) -> Message:
    """Return the item of a system message, in the form that a client sends."""
    return {"type": "message", "role": "system", "content": [{"type": "input_text", "text": text}]}


def output_item(call_id: str, output: str) -> Message:
    """Return the item with the result of a function call, in the form that a client sends."""
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def call_item(item_id: str, call_id: str, name: str, arguments: str, status: str) -> Message:
    """Return the item of a function call made by the model. `arguments` is JSON text."""
    return {"id": item_id, "type": "function_call", "status": status, "call_id": call_id, "name": name, "arguments": arguments}


def reply_item(item_id: str, status: str, content: Sequence[Mapping[str, Any]]) -> Message:
    """Return the item of an assistant message made by the model."""
    return {"id": item_id, "type": "message", "status": status, "role": "assistant", "content": list(content)}


def item_content(modality: str, text: str) -> Message:
    """Return the content part of a reply item: text, or the transcript of audio. An item never contains its audio."""
    if modality == "audio":
        return {"type": "output_audio", "transcript": text}
    return {"type": "output_text", "text": text}


def part_content(modality: str, text: str) -> Message:
    """Return the part in `response.content_part.*`. Its type names differ from those in `item_content`."""
    if modality == "audio":
        return {"type": "audio", "transcript": text}
    return {"type": "text", "text": text}


# -- client events -------------------------------------------------------------------------------------------------


def create_item(item: Mapping[str, Any]) -> Message:
    return {"type": ITEM_CREATE, "item": dict(item)}


#: Event id of each `response.create` of the reference gate. By this id the gate recognises the errors that answer it.
CREATE_ID: Final = "create"


def create_response(event_id: str | None = None, response: Mapping[str, Any] | None = None) -> Message:
    event: Message = {"type": RESPONSE_CREATE}
    if event_id is not None:
        event["event_id"] = event_id
    if response is not None:
        event["response"] = dict(response)
    return event


def update_session(session: Mapping[str, Any]) -> Message:
    return {"type": SESSION_UPDATE, "session": dict(session)}


#: Value of the padding field `obfuscation` in deltas other than audio. The API uses the field to hide the text's length.
OBFUSCATION: Final = "0000000000000000"

# -- server events -------------------------------------------------------------------------------------------------


def session_event(kind: str, event_id: str, session: Mapping[str, Any]) -> Message:
    """Return a `session.created` or `session.updated` event."""
    return {"type": kind, "event_id": event_id, "session": dict(session)}


def response_object(
    response_id: str,
    conversation_id: str | None,
    modality: str,
    status: str,
    details: Mapping[str, Any] | None = None,
    output: Iterable[Mapping[str, Any]] = (),
    metadata: object = None,
) -> Message:
    """Return the `response` object of `response.created` and `response.done`. `metadata` is copied from the request."""
    return {
        "object": "realtime.response",
        "id": response_id,
        "status": status,
        "status_details": None if details is None else dict(details),
        "output": list(output),
        "conversation_id": conversation_id,
        "output_modalities": [modality],
        "max_output_tokens": "inf",
        "audio": {"output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy"}},
        "usage": None if status == "in_progress" else _USAGE,
        "metadata": metadata,
    }


#: Token counts of every response. They are 0, because the mock does not count tokens.
_NO_TOKENS: Final = {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0}
_USAGE: Final[Mapping[str, Any]] = {
    "total_tokens": 0,
    "input_tokens": 0,
    "output_tokens": 0,
    "input_token_details": {**_NO_TOKENS, "cached_tokens": 0, "cached_tokens_details": _NO_TOKENS},
    "output_token_details": {"text_tokens": 0, "audio_tokens": 0},
}


def response_event(kind: str, event_id: str, response: Mapping[str, Any]) -> Message:
    """Return a `response.created` or `response.done` event."""
    return {"type": kind, "event_id": event_id, "response": dict(response)}


def conversation_item(kind: str, event_id: str, previous_item_id: str | None, item: Mapping[str, Any]) -> Message:
    """Return a `conversation.item.added` or `conversation.item.done` event."""
    return {"type": kind, "event_id": event_id, "previous_item_id": previous_item_id, "item": dict(item)}


def output_event(kind: str, event_id: str, response_id: str, index: int, item: Mapping[str, Any]) -> Message:
    """Return a `response.output_item.added` or `response.output_item.done` event."""
    return {"type": kind, "event_id": event_id, "response_id": response_id, "output_index": index, "item": dict(item)}


def content_event(kind: str, event_id: str, response_id: str, item_id: str, index: int, **fields: Any) -> Message:
    """Return an event about a content part (a delta, `….done` or `response.content_part.*`) with further `fields`."""
    return {
        "type": kind,
        "event_id": event_id,
        "response_id": response_id,
        "item_id": item_id,
        "output_index": index,
        "content_index": 0,
        **fields,
    }


def arguments_event(kind: str, event_id: str, response_id: str, item: Mapping[str, Any], index: int, text: str) -> Message:
    """Return a `response.function_call_arguments.delta` or `….done` event for a `call_item`."""
    event: Message = {
        "type": kind,
        "event_id": event_id,
        "response_id": response_id,
        "item_id": item["id"],
        "output_index": index,
        "call_id": item["call_id"],
    }
    if kind == ARGUMENTS_DELTA:
        return {**event, "delta": text, "obfuscation": OBFUSCATION}
    return {**event, "name": item["name"], "arguments": text}


def error_event(
    event_id: str,
    code: str | None,
    message: str,
    *,
    kind: str = "invalid_request_error",
    param: str | None = None,
    client_event_id: str | None = None,
) -> Message:
    """Return an `error` event with the fields of a published error (docs/protocol-facts.md#the-refusal)."""
    return {
        "type": ERROR,
        "event_id": event_id,
        "error": {"type": kind, "code": code, "message": message, "param": param, "event_id": client_event_id},
    }


def refusal(event_id: str, active: str, client_event_id: str | None) -> Message:
    """Return the event that refuses a `response.create` while the response with the id `active` is active."""
    return error_event(
        event_id,
        ACTIVE_RESPONSE,
        f"Conversation already has an active response in progress: {active}. "
        "Wait until the response is finished before creating a new one.",
        client_event_id=client_event_id,
    )


def rate_limits(event_id: str) -> Message:
    return {
        "type": "rate_limits.updated",
        "event_id": event_id,
        "rate_limits": [{"name": "tokens", "limit": 15000000, "remaining": 14999000, "reset_seconds": 0.004}],
    }


# -- reading -------------------------------------------------------------------------------------------------------


def is_refusal(message: Mapping[str, Any]) -> bool:
    """Return whether a server event is an `error` with the active-response code."""
    return message.get("type") == ERROR and is_refusal_code(error_of(message).get("code"))


def is_refusal_code(code: object) -> bool:
    """Return whether an error code is the active-response code, or the name that a sanitized capture has instead."""
    return code in (ACTIVE_RESPONSE, RENAMED_ACTIVE_RESPONSE)


def with_original_code(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a message, in which a renamed active-response code has its original name."""
    error = error_of(message)
    renamed = message.get("type") == ERROR and error.get("code") == RENAMED_ACTIVE_RESPONSE
    return {**message, "error": {**error, "code": ACTIVE_RESPONSE}} if renamed else dict(message)


def error_of(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the `error` object of an event, or an empty mapping if the event has no such object."""
    error = message.get("error")
    return error if isinstance(error, (dict, Mapping)) else {}


def response_named_by(message: Mapping[str, Any]) -> str | None:
    """Return the id of the active response in the text of a refusal, or None if the text contains no id."""
    text = error_of(message).get("message")
    marker = "in progress: "
    if not isinstance(text, str) or marker not in text:
        return None
    name = text.split(marker, 1)[1].split(" ", 1)[0].rstrip(".")
    return name or None


def response_of(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the `response` object of an event, or an empty mapping if the event has no such object."""
    response = message.get("response")
    return response if isinstance(response, (dict, Mapping)) else {}


def item_of(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the `item` object of an event, or an empty mapping if the event has no such object."""
    item = message.get("item")
    return item if isinstance(item, (dict, Mapping)) else {}


def known_status(status: str) -> str:
    """Return the status if it is one of `STATUSES`, else a fixed text."""
    return status if status in STATUSES else "(unknown status)"
