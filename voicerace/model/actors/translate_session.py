"""Maps the host's `Settings` to `session.update` and to items for the earlier conversation, like the proxy.

`ProxyRelease` specifies which fields a release reads. All releases treat a field of a wrong type alike. Source:
`mapSettingsToSessionUpdate` in `translator.ts` of each tag.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from voicerace.model.actors import javascript
from voicerace.model.actors.javascript import ThrownError, at, defined, field, has_length, is_number, or_else, string, trim
from voicerace.model.catalog.releases import ProxyRelease
from voicerace.model.protocol import realtime

__all__ = ["context_items", "greeting", "has_context", "server_vad", "session"]

_TOOL_INSTRUCTION: Final = "Use the results of tool calls in the reply."
_OUTPUT_FORMATS: Final = frozenset({"audio/pcm", "audio/pcmu", "audio/pcma"})
#: Lowest and highest `speed` that the API accepts.
_SPEED_MIN, _SPEED_MAX = 0.25, 1.5
_SAFE: Final = 2**53 - 1


def session(settings: Mapping[str, Any], release: ProxyRelease) -> dict[str, Any]:
    """Return the `session` object of the `session.update` that the proxy sends for `Settings`.

    Raises:
        ThrownError: the proxy throws because a field has a wrong type.
    """
    think = at(settings, "agent", "think")
    body: dict[str, Any] = {
        "type": "realtime",
        "model": or_else(at(think, "provider", "model"), "gpt-realtime"),
        "instructions": _instructions(settings, release),
        "audio": {
            "input": {
                "turn_detection": _turn_detection(settings, release),
                "format": {"type": "audio/pcm", "rate": 24000},
                "transcription": {"model": "gpt-4o-transcribe", "language": "en", "prompt": ""},
            }
        },
    }
    functions = at(think, "functions")
    if has_length(functions):
        body["tools"] = [_tool(each) for each in javascript.mapped(functions)]
    if release.session_options:
        body |= _options(think)
        if output := _audio_output(at(settings, "agent", "sessionAudioOutput")):
            body["audio"]["output"] = output
    return body


def _instructions(settings: Mapping[str, Any], release: ProxyRelease) -> Any:
    think = at(settings, "agent", "think")
    instructions = or_else(at(think, "prompt"), "")
    if release.context_in != "instructions":
        return instructions
    parts = [string(instructions)] if javascript.truthy(instructions) else []
    if has_context(settings):
        lines = [
            f"{_role(each)}: {javascript.trimmed(or_else(at(each, 'content'), ''))}"
            for each in javascript.mapped(at(settings, "agent", "context", "messages"))
        ]
        parts.append("Previous conversation:\n" + "\n".join(lines))
    if has_length(at(think, "functions")):
        parts.append(_TOOL_INSTRUCTION)
    return "\n\n".join(parts)


def _tool(function: Any) -> dict[str, Any]:
    return defined(
        {
            "type": "function",
            "name": field(function, "name"),
            "description": at(function, "description"),
            "parameters": or_else(at(function, "parameters"), {}),
        }
    )


def server_vad(settings: Mapping[str, Any], release: ProxyRelease) -> bool:
    """Return whether the session uses server VAD."""
    return release.audio == "vad" and at(settings, "agent", "useOpenAIManualAudioCommit") is not True


def _turn_detection(settings: Mapping[str, Any], release: ProxyRelease) -> dict[str, Any] | None:
    """Return the server VAD settings, or None without server VAD. The idle timeout is clamped to the API's 5 to 30 s."""
    if not server_vad(settings, release):
        return None
    idle = at(settings, "agent", "idleTimeoutMs")
    is_time = is_number(idle) and math.isfinite(idle) and idle >= 0
    return {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 200,
        "idle_timeout_ms": min(30_000, max(5_000, math.floor(idle + 0.5))) if is_time else None,
        "create_response": True,
        "interrupt_response": True,
    }


def _options(think: Any) -> dict[str, Any]:
    """Return the session options: the tool choice, unchecked, and those other options that have valid values."""
    options: dict[str, Any] = {"tool_choice": at(think, "toolChoice")}
    wanted = at(think, "outputModalities")
    if isinstance(wanted, list) and (modalities := [each for each in wanted if each in ("text", "audio")]):
        options["output_modalities"] = modalities
    max_tokens = at(think, "maxOutputTokens")
    if is_number(max_tokens) and 0 < max_tokens <= _SAFE and max_tokens == math.floor(max_tokens):
        options["max_output_tokens"] = max_tokens
    prompt = at(think, "managedPrompt")
    if prompt_id := _text(at(prompt, "id")):
        options["prompt"] = {"id": prompt_id}
        if version := _text(at(prompt, "version")):
            options["prompt"]["version"] = version
        if isinstance(variables := at(prompt, "variables"), Mapping):
            options["prompt"]["variables"] = variables
    return defined(options)


def _audio_output(given: Any) -> dict[str, Any]:
    """Return the valid ones among format, speed and voice of `agent.sessionAudioOutput`."""
    output: dict[str, Any] = {}
    kind = _text(at(given, "format", "type"))
    if kind in _OUTPUT_FORMATS:
        rate = at(given, "format", "rate")
        has_rate = kind == "audio/pcm" and is_number(rate) and rate == 24_000
        output["format"] = {"type": kind, "rate": 24_000} if has_rate else {"type": kind}
    speed = at(given, "speed")
    if is_number(speed) and _SPEED_MIN <= speed <= _SPEED_MAX:
        output["speed"] = speed
    if voice := _text(at(given, "voice")):
        output["voice"] = voice
    elif voice := _text(at(given, "voice", "id")):
        output["voice"] = {"id": voice}
    return output


def _text(value: Any) -> str:
    """Return `value` trimmed if it is a string, else an empty string."""
    return trim(value) if isinstance(value, str) else ""


def has_context(settings: Mapping[str, Any]) -> bool:
    """Return whether Settings contains earlier conversation."""
    return has_length(at(settings, "agent", "context", "messages"))


def context_items(settings: Mapping[str, Any]) -> Iterator[realtime.Message]:
    """Yield a `conversation.item.create` for each message of the earlier conversation.

    Raises:
        ThrownError: the proxy throws for a message. The items for the messages before it have been yielded.
    """
    messages = at(settings, "agent", "context", "messages")
    if not has_length(messages):
        return
    if isinstance(messages, Mapping):
        raise ThrownError("not iterable")
    for each in messages:
        text = or_else(field(each, "content"), "")
        item = realtime.assistant_item if _role(each) == "assistant" else realtime.user_item
        yield realtime.create_item(item(text))


def _role(message: Any) -> str:
    return "assistant" if field(message, "role") == "assistant" else "user"


def greeting(settings: Mapping[str, Any]) -> str | None:
    text = at(settings, "agent", "greeting")
    return text if _text(text) else None
