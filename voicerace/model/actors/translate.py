"""What the proxy makes of one message: its mappings between the two protocols, without state.

Shapes and codes are those of the proxy's `translator.ts` and `server.ts`; where a release differs, its row says so. The
wording of instructions and descriptions is our own: nothing decides on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from voicerace.model.actors.javascript import (
    UNDEFINED,
    at,
    defined,
    field,
    is_number,
    or_else,
    string,
    stringify,
    trim,
    trimmed,
)
from voicerace.model.catalog.releases import ProxyRelease
from voicerace.model.protocol import agent, input_audio, realtime, speech

#: Upstream events that the releases with a closed list know and drop (0.10.0's list; text deltas are a knob).
KNOWN_EVENTS: Final = frozenset(
    {
        "response.created",
        "response.output_item.added",
        "response.output_item.done",
        "response.content_part.added",
        "response.content_part.done",
        "response.output_audio_transcript.delta",
        "response.output_text.added",
        "rate_limits.updated",
        input_audio.COMMITTED,
        input_audio.CLEARED,
        input_audio.TIMEOUT_TRIGGERED,
    }
)

UNPARSED: Final = "upstream message that is no JSON"
#: The API's text that the older releases take for the end of an idle session.
_IDLE_TEXT: Final = "The server had an error while processing your request"


def output_item(response: Mapping[str, Any], release: ProxyRelease) -> realtime.Message:
    """`FunctionCallResponse` as an item. From 0.10.0 what is no text, or empty, falls back to `error`, then `result`."""
    content = at(response, "content")
    if release.context_in != "instructions":
        output = or_else(content, "")
    elif isinstance(content, str) and content:
        output = content
    elif (error := or_else(at(response, "error"), None)) is not None:
        output = stringify({"error": error})
    else:
        result = or_else(at(response, "result"), "")
        output = result if isinstance(result, str) else stringify(result)
    return defined({"type": "function_call_output", "call_id": at(response, "id"), "output": output})


def host_error(event: Mapping[str, Any], code_from: Literal["message", "api"]) -> agent.Message:
    """`error` as the host's Error."""
    message = at(event, "error", "message")
    # Its log takes the whole event for the text of an error without one.
    string(or_else(message, event))
    text, code = string(or_else(message, "Unknown error")), at(event, "error", "code")
    if code_from == "api":
        # A code of null is passed on as null; only a missing or empty one becomes unknown.
        return agent.error(text, "unknown" if code is UNDEFINED or code == "" else code)
    if isinstance(message, str) and "maximum duration" in message and "60 minutes" in message:
        return agent.error(text, "session_max_duration")
    if is_idle_timeout(event, code_from):
        return agent.error(text, "idle_timeout")
    return agent.error(text, or_else(code, "unknown"))


def is_idle_timeout(event: Mapping[str, Any], code_from: Literal["message", "api"]) -> bool:
    """Whether an error is the end of an idle session, as the release tells it: by its text or by its code."""
    if code_from == "api":
        return bool(at(event, "error", "code") == "idle_timeout")
    message = at(event, "error", "message")
    return isinstance(message, str) and _IDLE_TEXT in message


def utterance_end(event: Mapping[str, Any], release: ProxyRelease) -> agent.Message:
    """`input_audio_buffer.speech_stopped` as UtteranceEnd."""
    if release.transcripts == "pieces":
        return speech.utterance_end()
    channel, end = event.get("channel"), event.get("last_word_end")
    return speech.utterance_end(channel if isinstance(channel, list) and channel else (0, 1), end if is_number(end) else 0)


def transcript(event: Mapping[str, Any], text: Any, release: ProxyRelease, *, final: bool) -> agent.Message:
    """`conversation.item.input_audio_transcription.delta` or `….completed` as Transcript."""
    if release.transcripts == "pieces":
        return speech.transcript(text, final=final)
    channel, index = at(event, "channel"), at(event, "channel_index")
    if not (isinstance(index, list) and index):
        index = [channel] if is_number(channel) else [0]
    start, duration, others = at(event, "start"), at(event, "duration"), at(event, "alternatives")
    return speech.transcript(
        text,
        final=final,
        channel=channel if is_number(channel) else or_else(index[0], 0),
        channel_index=index,
        start=start if is_number(start) else 0,
        duration=duration if is_number(duration) else 0,
        alternatives=[_alternative(each, text) for each in others] if final and isinstance(others, list) and others else None,
    )


def _alternative(given: Any, text: str) -> agent.Message:
    own, confidence, words = field(given, "transcript"), at(given, "confidence"), at(given, "words")
    return speech.alternative(
        or_else(own, text), confidence if is_number(confidence) else 1, words if isinstance(words, list) else ()
    )


def text_of_item(item: Any) -> str | None:
    """The text of an assistant's message item, or None without one."""
    return "\n".join(_texts(item)) or None


def text_of_done(event: Mapping[str, Any]) -> str | None:
    """The text of `response.output_text.done`, trimmed, or None."""
    for value in (at(event, "text"), at(event, "part", "text")):
        if isinstance(value, str) and (words := trim(value)):
            return words
    return None


def text_of_output(event: Mapping[str, Any]) -> str | None:
    """Assistant text in the `output` of `response.done`."""
    output = at(event, "response", "output")
    return "\n".join(words for item in output for words in _texts(item)) or None if isinstance(output, list) else None


def text_of_delta(event: Mapping[str, Any]) -> str:
    """The piece in `response.output_text.delta`, which may be wrapped in an object."""
    delta = at(event, "delta")
    pieces = (delta, at(delta, "text"), at(delta, "delta"))
    return next((each for each in pieces if isinstance(each, str) and each), "")


def _texts(item: Any) -> Iterator[str]:
    """The texts of an assistant's item, part by part."""
    if at(item, "role") != "assistant":
        return
    content = at(item, "content")
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, Mapping) and (words := _text_of_part(part)):
            yield words


def _text_of_part(part: Mapping[str, Any]) -> str | None:
    if part.get("type") == "function_call":
        name, arguments = part.get("name"), part.get("arguments")
        return call_text(name if isinstance(name, str) else "function", arguments if isinstance(arguments, str) else "")
    places = (("text",), ("transcript",), ("output_text", "text"), ("input_text", "text"), ("content",))
    for place in places:
        value = at(part, *place)
        if isinstance(value, str) and (words := trim(value)):
            return words
    return None


def call_text(name: Any, arguments: Any) -> str:
    """The line of the transcript that announces a function call."""
    words = "" if arguments is UNDEFINED or arguments is None else trimmed(arguments)
    # `agent.call_text` would trim as Python does.
    return f"{agent.CALL_TEXT_PREFIX}{string(name)}({words})"


def closed_early(code: int) -> str:
    return f"upstream closed before the session was ready (code {code})"


def unmapped(kind: object) -> str:
    return f"upstream event that the proxy does not know: {string(kind)}"


def disallowed(kind: object) -> str:
    return f"client message of type {string(kind)}: allowed are Settings, InjectUserMessage, FunctionCallResponse, KeepAlive"
