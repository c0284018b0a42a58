"""Builds the Voice Agent messages between component and proxy.

The shapes follow `deepgram-sdk`. The tests list the exceptions and their sources. App and component do not use a wire
protocol. The types of the messages between them are names in the component's public API (voice-agent-react).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

Message: TypeAlias = dict[str, Any]

#: Error text of the result that the component sends if a handler gives no result (issue #355 of voice-agent-react). If the
#: app sends a result later, the call has two results.
DEFAULT_ERROR: Final = "Handler completed without sending a response"
DEFAULT_ERROR_CONTENT: Final = json.dumps({"error": DEFAULT_ERROR}, separators=(",", ":"))

#: Prefix of the assistant text with which older proxies announce a function call. Such text is not a reply.
CALL_TEXT_PREFIX: Final = "Function call: "


def settings(
    *,
    prompt: str,
    model: str,
    functions: Sequence[Mapping[str, Any]] = (),
    greeting: str | None = None,
    context: Sequence[Mapping[str, str]] = (),
    idle_timeout_ms: int = 10_000,
) -> Message:
    """Return `Settings` in the form that the component sends. `context` is a sequence of ``{"role", "content"}``."""
    agent: Message = {
        "idleTimeoutMs": idle_timeout_ms,
        "language": "en",
        "think": {"provider": {"type": "open_ai", "model": model}, "prompt": prompt},
        "speak": {"provider": {"type": "deepgram", "model": "aura-asteria-en"}},
    }
    if functions:
        agent["think"]["functions"] = [dict(function) for function in functions]
    if greeting is not None and not context:
        agent["greeting"] = greeting
    if context:
        agent["context"] = {"messages": [{"type": "History", **message} for message in context]}
    return {
        "type": "Settings",
        "audio": {
            "input": {"encoding": "linear16", "sample_rate": 16000},
            "output": {"encoding": "linear16", "sample_rate": 24000},
        },
        "agent": agent,
    }


def inject_user_message(text: str) -> Message:
    return {"type": "InjectUserMessage", "content": text}


def function_call_response(call_id: str, name: str, content: str) -> Message:
    """Return the message with the result of a function call. `content` is JSON text."""
    return {"type": "FunctionCallResponse", "id": call_id, "name": name, "content": content}


def settings_applied() -> Message:
    return {"type": "SettingsApplied"}


def conversation_text(role: str, content: str) -> Message:
    return {"type": "ConversationText", "role": role, "content": content}


def function_call_request(call_id: str, name: str, arguments: str) -> Message:
    """Return the FunctionCallRequest for one call. The proxy never sends two calls in one message."""
    return {
        "type": "FunctionCallRequest",
        "functions": [{"id": call_id, "name": name, "arguments": arguments, "client_side": True}],
    }


def error(description: str, code: str | None) -> Message:
    return {"type": "Error", "description": description, "code": code}


def agent_thinking() -> Message:
    return {"type": "AgentThinking", "content": ""}


def call_text(name: str, arguments: str) -> str:
    """Return the assistant text with which some releases announce a function call."""
    return f"{CALL_TEXT_PREFIX}{name}({arguments.strip()})"


def is_default_error(content: object) -> bool:
    """Return whether a result's text is the JSON of `DEFAULT_ERROR`, regardless of whitespace."""
    return has_value(content, {"error": DEFAULT_ERROR}, DEFAULT_ERROR)


def has_value(content: object, value: Any, mark: str) -> bool:
    """Return whether a result's text is the JSON of `value`. Text that does not contain `mark` is not parsed."""
    if not isinstance(content, str) or mark not in content:
        return False
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return type(found) is type(value) and bool(found == value)


def is_reply_output(payload: Mapping[str, Any] | bytes | str | None) -> bool:
    """Return whether a message to the host contains reply audio or reply text that the user can hear or read."""
    if isinstance(payload, bytes):
        return len(payload) > 0
    return (
        isinstance(payload, Mapping)
        and payload.get("type") == "ConversationText"
        and payload.get("role") == "assistant"
        and not str(payload.get("content", "")).startswith(CALL_TEXT_PREFIX)
    )
