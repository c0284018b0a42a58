"""What the proxy makes of `Settings`: the session that it asks for, and the conversation that came before (knob 4).

Which fields a release reads is its row's; what it does with a field of the wrong kind, the same in all of them. Facts:
`mapSettingsToSessionUpdate` of each tag's `translator.ts`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from voicerace.model.actors.javascript import (
    ThrownError,
    at,
    defined,
    field,
    has_length,
    is_number,
    mapped,
    or_else,
    string,
    trim,
    trimmed,
    truthy,
)
from voicerace.model.catalog.releases import ProxyRelease
from voicerace.model.protocol import realtime

__all__ = ["context_items", "greeting", "has_context", "server_vad", "session"]

_TOOL_INSTRUCTION: Final = "Use the results of tool calls in the reply."
_OUTPUT_FORMATS: Final = frozenset({"audio/pcm", "audio/pcmu", "audio/pcma"})
#: The API's range of `speed`.
_SLOWEST, _FASTEST = 0.25, 1.5
_SAFE: Final = 2**53 - 1


def session(settings: Mapping[str, Any], release: ProxyRelease) -> dict[str, Any]:
    """`Settings` as the session of `session.update`.

    Raises:
        ThrownError: a field is of a kind that the proxy does not survive.
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
        body["tools"] = [_tool(each) for each in mapped(functions)]
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
    parts = [string(instructions)] if truthy(instructions) else []
    if has_context(settings):
        lines = [
            f"{_role(each)}: {trimmed(or_else(at(each, 'content'), ''))}"
            for each in mapped(at(settings, "agent", "context", "messages"))
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


# -- the user's turn -------------------------------------------------------------------------------------------------


def server_vad(settings: Mapping[str, Any], release: ProxyRelease) -> bool:
    """Whether `session` asks the server to listen for the end of speech (knob 6)."""
    return release.audio == "vad" and at(settings, "agent", "useOpenAIManualAudioCommit") is not True


def _turn_detection(settings: Mapping[str, Any], release: ProxyRelease) -> dict[str, Any] | None:
    """Server VAD from 0.11 on, its idle timeout held to the API's 5-30 s."""
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


# -- session options -------------------------------------------------------------------------------------------------


def _options(think: Any) -> dict[str, Any]:
    """Tool choice as it comes; the others only where they are what the API takes."""
    options: dict[str, Any] = {"tool_choice": at(think, "toolChoice")}
    wanted = at(think, "outputModalities")
    if isinstance(wanted, list) and (modalities := [each for each in wanted if each in ("text", "audio")]):
        options["output_modalities"] = modalities
    most = at(think, "maxOutputTokens")
    if is_number(most) and 0 < most <= _SAFE and most == math.floor(most):
        options["max_output_tokens"] = most
    prompt = at(think, "managedPrompt")
    if prompt_id := _words(at(prompt, "id")):
        options["prompt"] = {"id": prompt_id}
        if version := _words(at(prompt, "version")):
            options["prompt"]["version"] = version
        if isinstance(variables := at(prompt, "variables"), Mapping):
            options["prompt"]["variables"] = variables
    return defined(options)


def _audio_output(given: Any) -> dict[str, Any]:
    """`agent.sessionAudioOutput`: format, speed and voice, each if it is valid."""
    output: dict[str, Any] = {}
    kind = _words(at(given, "format", "type"))
    if kind in _OUTPUT_FORMATS:
        rate = at(given, "format", "rate")
        is_rated = kind == "audio/pcm" and is_number(rate) and rate == 24_000
        output["format"] = {"type": kind, "rate": 24_000} if is_rated else {"type": kind}
    speed = at(given, "speed")
    if is_number(speed) and _SLOWEST <= speed <= _FASTEST:
        output["speed"] = speed
    if voice := _words(at(given, "voice")):
        output["voice"] = voice
    elif voice := _words(at(given, "voice", "id")):
        output["voice"] = {"id": voice}
    return output


def _words(value: Any) -> str:
    """Trimmed text; empty where there is none."""
    return trim(value) if isinstance(value, str) else ""


# -- what came before ------------------------------------------------------------------------------------------------


def has_context(settings: Mapping[str, Any]) -> bool:
    """Whether earlier conversation came with Settings."""
    return has_length(at(settings, "agent", "context", "messages"))


def context_items(settings: Mapping[str, Any]) -> Iterator[realtime.Message]:
    """Earlier conversation, an item each.

    Raises:
        ThrownError: one of them cannot be read; those before it were given.
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
    words = at(settings, "agent", "greeting")
    return words if _words(words) else None
