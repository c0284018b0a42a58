"""What the proxy makes of one message: its mappings between the two protocols, without state.

Shapes and codes are those of the proxy's `translator.ts` and `server.ts`; where a release differs, its row says so. The
wording of instructions and descriptions is our own: nothing decides on it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeGuard

from voicerace.tables.releases import ProxyRelease
from voicerace.wire import agent, input_audio, realtime, speech

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
_TOOL_INSTRUCTION: Final = "Use the results of tool calls in the reply."


def json_of(text: str | bytes) -> Any:
    """A frame's JSON as JavaScript reads it: UTF-8 whatever it is, and no NaN. None where it is none, and for null.

    The proxies ask what they parsed for its type, so null fails there and counts as no JSON; any other value has none.
    """
    try:
        return json.loads(text if isinstance(text, str) else text.decode("utf-8", "replace"), parse_constant=_no_json)
    except (ValueError, RecursionError):
        return None


def _no_json(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def session(settings: Mapping[str, Any], release: ProxyRelease) -> dict[str, Any]:
    """`Settings` as the session of `session.update` (knob 4)."""
    think = settings.get("agent", {}).get("think", {})
    functions = think.get("functions") or []
    instructions = think.get("prompt") or ""
    if release.context_in == "instructions":
        if lines := [f"{_role(each)}: {str(each.get('content') or '').strip()}" for each in context_messages(settings)]:
            instructions = f"{instructions}\n\nPrevious conversation:\n" + "\n".join(lines)
        if functions:
            instructions = f"{instructions}\n\n{_TOOL_INSTRUCTION}"
        instructions = instructions.strip() if not think.get("prompt") else instructions
    body: dict[str, Any] = {
        "type": "realtime",
        "model": think.get("provider", {}).get("model", "gpt-realtime"),
        "instructions": instructions,
        "audio": {
            "input": {
                "turn_detection": _turn_detection(settings, release),
                "format": {"type": "audio/pcm", "rate": 24000},
                "transcription": {"model": "gpt-4o-transcribe", "language": "en", "prompt": ""},
            }
        },
    }
    if functions:
        body["tools"] = [
            {
                "type": "function",
                "name": each["name"],
                **({"description": each["description"]} if "description" in each else {}),
                "parameters": each.get("parameters", {}),
            }
            for each in functions
        ]
    return body


def server_vad(settings: Mapping[str, Any], release: ProxyRelease) -> bool:
    """Whether `session` asks the server to listen for the end of speech (knob 6)."""
    return release.audio == "vad" and settings.get("agent", {}).get("useOpenAIManualAudioCommit") is not True


def _turn_detection(settings: Mapping[str, Any], release: ProxyRelease) -> dict[str, Any] | None:
    """Server VAD from 0.11 on, its idle timeout held to the API's 5-30 s."""
    if not server_vad(settings, release):
        return None
    idle = settings.get("agent", {}).get("idleTimeoutMs")
    return {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 200,
        "idle_timeout_ms": min(30_000, max(5_000, math.floor(idle + 0.5))) if _is_number(idle) and idle >= 0 else None,
        "create_response": True,
        "interrupt_response": True,
    }


def context_messages(settings: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Earlier conversation that came with Settings."""
    return (settings.get("agent", {}).get("context") or {}).get("messages") or ()


def context_item(message: Mapping[str, Any]) -> realtime.Message:
    text = message.get("content") or ""
    return realtime.assistant_item(text) if _role(message) == "assistant" else realtime.user_item(text)


def _role(message: Mapping[str, Any]) -> str:
    return "assistant" if message.get("role") == "assistant" else "user"


def output_item(response: Mapping[str, Any], release: ProxyRelease) -> realtime.Message:
    """`FunctionCallResponse` as an item. From 0.10.0 an empty content falls back to `error`, then `result`."""
    content = response.get("content")
    if release.context_in == "instructions" and not content:
        if response.get("error") is not None:
            content = json.dumps({"error": response["error"]}, separators=(",", ":"))
        elif (result := response.get("result")) is not None:
            content = result if isinstance(result, str) else json.dumps(result, separators=(",", ":"))
    return realtime.output_item(str(response.get("id")), content or "")


def host_error(event: Mapping[str, Any], code_from: Literal["message", "api"]) -> agent.Message:
    """`error` as the host's Error."""
    error = realtime.error_of(event)
    message = error.get("message")
    text = "Unknown error" if message is None else str(message)
    if code_from == "api":
        # A code of null is passed on as null; only a missing or empty one becomes unknown.
        code = error.get("code", "unknown")
        return agent.error(text, "unknown" if code == "" else code)
    if "maximum duration" in text and "60 minutes" in text:
        return agent.error(text, "session_max_duration")
    if _IDLE_TEXT in text:
        return agent.error(text, "idle_timeout")
    code = error.get("code")
    return agent.error(text, "unknown" if code is None else code)


def is_idle_timeout(event: Mapping[str, Any], code_from: Literal["message", "api"]) -> bool:
    """Whether an error is the end of an idle session, as the release tells it: by its text or by its code."""
    error = realtime.error_of(event)
    if code_from == "api":
        return error.get("code") == "idle_timeout"
    return _IDLE_TEXT in str(error.get("message"))


def utterance_end(event: Mapping[str, Any], release: ProxyRelease) -> agent.Message:
    """`input_audio_buffer.speech_stopped` as UtteranceEnd."""
    if release.transcripts == "pieces":
        return speech.utterance_end()
    channel, end = event.get("channel"), event.get("last_word_end")
    return speech.utterance_end(channel if isinstance(channel, list) and channel else (0, 1), end if _is_number(end) else 0)


def transcript(event: Mapping[str, Any], text: str, release: ProxyRelease, *, final: bool) -> agent.Message:
    """`conversation.item.input_audio_transcription.delta` or `….completed` as Transcript."""
    if release.transcripts == "pieces":
        return speech.transcript(text, final=final)
    channel, index = event.get("channel"), event.get("channel_index")
    if not (isinstance(index, list) and index):
        index = [channel] if _is_number(channel) else [0]
    start, duration, others = event.get("start"), event.get("duration"), event.get("alternatives")
    return speech.transcript(
        text,
        final=final,
        channel=channel if _is_number(channel) else index[0],
        channel_index=index,
        start=start if _is_number(start) else 0,
        duration=duration if _is_number(duration) else 0,
        alternatives=[_alternative(each, text) for each in others] if final and isinstance(others, list) and others else None,
    )


def _alternative(given: Mapping[str, Any], text: str) -> agent.Message:
    confidence, words, own = given.get("confidence"), given.get("words"), given.get("transcript")
    return speech.alternative(
        text if own is None else own, confidence if _is_number(confidence) else 1, words if isinstance(words, list) else ()
    )


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def text_of_item(item: Mapping[str, Any]) -> str | None:
    """The text of an assistant's message item, or None without one."""
    if item.get("role") != "assistant":
        return None
    content = item.get("content")
    parts = content if isinstance(content, list) else [content] if isinstance(content, dict) else []
    texts = [text for part in parts if (text := _text_of_part(part))]
    return "\n".join(texts) or None


def _text_of_part(part: object) -> str | None:
    if not isinstance(part, Mapping):
        return None
    for key in ("text", "transcript"):
        value = part.get(key)
        if isinstance(value, str) and value.strip():
            return value.strip()
    return None


def text_of_done(event: Mapping[str, Any]) -> str | None:
    """The text of `response.output_text.done`, trimmed, or None."""
    text = event.get("text")
    return text.strip() or None if isinstance(text, str) else None


def text_of_output(response: Mapping[str, Any]) -> str | None:
    """Assistant text in the `output` of `response.done`."""
    output = response.get("output")
    texts = (
        [text for item in output if isinstance(item, Mapping) and (text := text_of_item(item))]
        if isinstance(output, list)
        else []
    )
    return "\n".join(texts) or None


def closed_early(code: int) -> str:
    return f"upstream closed before the session was ready (code {code})"


def unmapped(kind: str) -> str:
    return f"upstream event that the proxy does not know: {kind}"


def disallowed(kind: object) -> str:
    return (
        f"client message of type {kind!r}: allowed are Settings, InjectUserMessage, FunctionCallResponse; KeepAlive is dropped"
    )
