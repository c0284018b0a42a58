"""Validate messages strictly with the official models: missing fields, undeclared fields, and fields of the wrong type.

The packages' own clients validate nothing, and their models accept unknown fields. Therefore the model is chosen by
`type`, pydantic validates strictly, and a field that the model does not declare is a fault at any depth.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, get_args

import deepgram.agent.v1.types as deepgram_types
import pydantic
from openai.types.realtime.realtime_client_event import RealtimeClientEvent
from openai.types.realtime.realtime_server_event import RealtimeServerEvent

from voicerace.model.protocol import realtime

__all__ = ["CLIENT_EVENTS", "HOST_MESSAGES", "PROXY_MESSAGES", "SERVER_EVENTS", "faults"]

Models = Mapping[str, type[pydantic.BaseModel]]


def _by_type(union: Any) -> Models:
    models = get_args(get_args(union)[0])
    return {get_args(model.model_fields["type"].annotation)[0]: model for model in models}


def _of_deepgram(*names: str) -> Models:
    return {
        get_args(model.model_fields["type"].annotation)[0]: model
        for model in (getattr(deepgram_types, f"AgentV1{name}") for name in names)
    }


#: Models of the messages that the upstream sends (SERVER_EVENTS) and receives (CLIENT_EVENTS), by type.
SERVER_EVENTS: Models = _by_type(RealtimeServerEvent)
CLIENT_EVENTS: Models = _by_type(RealtimeClientEvent)
#: Models of the messages that a Voice Agent receives (HOST_MESSAGES) and sends (PROXY_MESSAGES), by type.
HOST_MESSAGES: Models = _of_deepgram("Settings", "InjectUserMessage", "SendFunctionCallResponse", "KeepAlive")
PROXY_MESSAGES: Models = _of_deepgram(
    "SettingsApplied", "ConversationText", "FunctionCallRequest", "Error", "AgentThinking", "AgentStartedSpeaking",
    "AgentAudioDone", "UserStartedSpeaking", "Welcome", "Warning", "PromptUpdated", "SpeakUpdated", "InjectionRefused",
)  # fmt: skip


def faults(models: Models, message: Mapping[str, Any]) -> list[str]:
    """Return the faults of a message as ``path: fault``."""
    model = models.get(str(message.get("type")))
    if model is None:
        return ["type: no such message"]
    try:
        value = model.model_validate(dict(message), strict=True)
    except pydantic.ValidationError as error:
        return [f"{'.'.join(str(part) for part in each['loc'])}: {each['type']}" for each in error.errors()]
    return [each for each in _undeclared(value, "") if (message.get("type"), each) not in _RECORDED]


#: (type, fault) of keys in recordings of the real API (`data/api`) that the models do not declare.
_RECORDED = {
    (kind, f"{key}: undeclared")
    for kind, key in (
        (realtime.TEXT_DELTA, "obfuscation"),
        (realtime.TRANSCRIPT_DELTA, "obfuscation"),
        (realtime.ARGUMENTS_DELTA, "obfuscation"),
        *product((realtime.SESSION_CREATED, realtime.SESSION_UPDATED), ("session.object", "session.id", "session.expires_at")),
    )
}


def _undeclared(value: object, path: str) -> Iterator[str]:
    """Yield ``path: undeclared`` for each field that no model declares, at any depth."""
    prefix = f"{path}." if path else ""
    if isinstance(value, pydantic.BaseModel):
        yield from (f"{prefix}{name}: undeclared" for name in value.model_extra or ())
        for name in value.model_fields_set & set(type(value).model_fields):
            yield from _undeclared(getattr(value, name), f"{prefix}{name}")
    elif isinstance(value, (list, tuple)):
        for index, each in enumerate(value):
            yield from _undeclared(each, f"{prefix}{index}")
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _undeclared(each, f"{prefix}{name}")
