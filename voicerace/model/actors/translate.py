"""Maps single messages between the two protocols, like the proxy.

Fields and codes are those of the proxy's `translator.ts` and `server.ts`. `ProxyRelease` contains the differences between
releases. The texts of instructions and descriptions differ from the proxy's texts, but no code depends on them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from voicerace.model.actors import javascript
from voicerace.model.actors.javascript import UNDEFINED, at, defined, field, is_number, or_else, string, trim
from voicerace.model.catalog.releases import ProxyRelease
from voicerace.model.protocol import agent, input_audio, realtime, speech

#: Types of upstream events that 0.10.0 and later releases drop silently. `text_delta_known` covers text deltas.
KNOWN_EVENTS: Final = frozenset({
    "response.created", "response.output_item.added", "response.output_item.done", "response.content_part.added",
    "response.content_part.done", "response.output_audio_transcript.delta", "response.output_text.added",
    "rate_limits.updated", input_audio.COMMITTED, input_audio.CLEARED, input_audio.TIMEOUT_TRIGGERED,
})  # fmt: skip
UNPARSED: Final = "upstream message that is no JSON"
#: Part of the API's error text. Releases before 0.10.0 recognise an idle timeout by it.
_IDLE_TEXT: Final = "The server had an error while processing your request"


def output_item(response: Mapping[str, Any], release: ProxyRelease) -> realtime.Message:
    """Return the `function_call_output` item for a `FunctionCallResponse`.

    From 0.10.0 on, the field `error`, else `result`, replaces a missing or empty `content`.
    """
    content = at(response, "content")
    if release.context_in != "instructions":
        output = or_else(content, "")
    elif isinstance(content, str) and content:
        output = content
    elif (error := or_else(at(response, "error"), None)) is not None:
        output = javascript.stringify({"error": error})
    else:
        result = or_else(at(response, "result"), "")
        output = result if isinstance(result, str) else javascript.stringify(result)
    return defined({"type": "function_call_output", "call_id": at(response, "id"), "output": output})


def host_error(event: Mapping[str, Any], code_from: Literal["message", "api"]) -> agent.Message:
    """Return the host's Error message for an upstream `error` event. `code_from` is `ProxyRelease.error_code_from`."""
    message = at(event, "error", "message")
    string(or_else(message, event))  # The proxy converts this value to text for its log, which can throw.
    text, code = string(or_else(message, "Unknown error")), at(event, "error", "code")
    if code_from == "api":
        # The proxy keeps a null code, and replaces a missing or empty code.
        return agent.error(text, "unknown" if code is UNDEFINED or code == "" else code)
    if isinstance(message, str) and "maximum duration" in message and "60 minutes" in message:
        return agent.error(text, "session_max_duration")
    if is_idle_timeout(event, code_from):
        return agent.error(text, "idle_timeout")
    return agent.error(text, or_else(code, "unknown"))


def is_idle_timeout(event: Mapping[str, Any], code_from: Literal["message", "api"]) -> bool:
    """Return whether the release treats an `error` event as an idle timeout, by the error's code or text."""
    if code_from == "api":
        return bool(at(event, "error", "code") == "idle_timeout")
    message = at(event, "error", "message")
    return isinstance(message, str) and _IDLE_TEXT in message


def utterance_end(event: Mapping[str, Any], release: ProxyRelease) -> agent.Message:
    """Return the UtteranceEnd message for `input_audio_buffer.speech_stopped`."""
    if release.transcripts == "pieces":
        return speech.utterance_end()
    channel, end = event.get("channel"), event.get("last_word_end")
    return speech.utterance_end(channel if isinstance(channel, list) and channel else (0, 1), end if is_number(end) else 0)


def transcript(event: Mapping[str, Any], text: Any, release: ProxyRelease, *, final: bool) -> agent.Message:
    """Return the Transcript message for `conversation.item.input_audio_transcription.delta` or `….completed`."""
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
    """Return the text of an assistant's item, or None if the item has no text."""
    return "\n".join(_texts(item)) or None


def text_of_done(event: Mapping[str, Any]) -> str | None:
    """Return the trimmed text of `response.output_text.done`, or None if it is missing or empty."""
    for value in (at(event, "text"), at(event, "part", "text")):
        if isinstance(value, str) and (text := trim(value)):
            return text
    return None


def text_of_output(event: Mapping[str, Any]) -> str | None:
    """Return the assistant's text in the `output` of `response.done`, or None if the output has no text."""
    output = at(event, "response", "output")
    return "\n".join(text for item in output for text in _texts(item)) or None if isinstance(output, list) else None


def text_of_delta(event: Mapping[str, Any]) -> str:
    """Return the text of `response.output_text.delta`. Its field `delta` is the text or an object that contains the text."""
    delta = at(event, "delta")
    pieces = (delta, at(delta, "text"), at(delta, "delta"))
    return next((each for each in pieces if isinstance(each, str) and each), "")


def _texts(item: Any) -> Iterator[str]:
    """Yield the non-empty text of each content part of an assistant's item."""
    if at(item, "role") != "assistant":
        return
    content = at(item, "content")
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, Mapping) and (text := _text_of_part(part)):
            yield text


def _text_of_part(part: Mapping[str, Any]) -> str | None:
    if part.get("type") == "function_call":
        name, arguments = part.get("name"), part.get("arguments")
        return call_text(name if isinstance(name, str) else "function", arguments if isinstance(arguments, str) else "")
    for names in (("text",), ("transcript",), ("output_text", "text"), ("input_text", "text"), ("content",)):
        value = at(part, *names)
        if isinstance(value, str) and (text := trim(value)):
            return text
    return None


def call_text(name: Any, arguments: Any) -> str:
    """Return the transcript line that announces a function call. Unlike `agent.call_text`, trim with JavaScript's rules."""
    trimmed_arguments = "" if arguments is UNDEFINED or arguments is None else javascript.trimmed(arguments)
    return f"{agent.CALL_TEXT_PREFIX}{string(name)}({trimmed_arguments})"


def closed_early(code: int) -> str:
    return f"upstream closed before the session was ready (code {code})"


def unmapped(kind: object) -> str:
    return f"upstream event that the proxy does not know: {string(kind)}"


def disallowed(kind: object) -> str:
    return f"client message of type {string(kind)}: allowed are Settings, InjectUserMessage, FunctionCallResponse, KeepAlive"
