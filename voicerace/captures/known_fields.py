"""List the allowed messages: the types in both protocols, their fields, and the allowed values of the fields.

`voicerace.captures.redact` replaces every key and value without a rule in this module. Reports and exports contain only the
message types in `TYPES`.

Sources: `openai.types.realtime` (openai 3.54), `deepgram-sdk`, the beta names that the proxies accept, the messages of the
component and the proxies, and the component's public API.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, TypeAlias

from voicerace.model.catalog.callbacks import CALLBACKS
from voicerace.model.protocol.frames import CLOSE_CODES
from voicerace.model.protocol.realtime import STATUSES

__all__ = [
    "CODES", "CODE_FAMILIES", "COMMON", "FIELDS", "LONGEST_WAIT_MS", "ROLES", "SERVER_TYPES", "TYPES", "UNKNOWN_TYPE",
    "Kind", "Rule", "known_close", "known_type",
]  # fmt: skip


class Kind(Enum):
    """Kinds of fields without a fixed set of values. The comments state the output of `redact` for each kind."""

    ID = "id"  # replaced by a token, which is equal for equal ids
    TEXT = "text"  # replaced by the length of the text and a token
    ERROR_TEXT = "error text"  # replaced like a text; the tokens of its ids are appended
    CODE = "code"  # kept if it is one of `CODES`
    TYPE = "type"  # kept if it is one of `TYPES`
    AUDIO = "audio"  # replaced by silence of the same length
    RESULT = "result"  # replaced unless it is a placeholder (`voicerace.model.protocol.results`)
    FLAG = "flag"
    INDEX = "index"  # kept if it is from 0 to 999
    WAIT_MS = "wait_ms"  # a time in ms, reduced to at most ten minutes
    CLOSE = "close"  # a close code, replaced by `known_close(code)`


LONGEST_WAIT_MS: Final = 600_000
#: Rule of a value: a kind, a set of allowed values, the rules of an object's fields, or a list that contains the rule of its
#: items.
Rule: TypeAlias = Kind | frozenset[Any] | Mapping[str, "Rule"] | list["Rule"]

_ID: Final = Kind.ID
_TEXT: Final = Kind.TEXT
_FLAG: Final = Kind.FLAG
_INDEX: Final = Kind.INDEX

ROLES: Final = frozenset({"user", "assistant", "system"})
#: Values of ``code`` and ``type`` in errors of both protocols.
CODES: Final = frozenset(
    {
        "active_response_state_conflict", "authentication_error", "cannot_update_voice",
        "conversation_already_has_active_response",
        "decoder_audio_error", "disallowed_client_message_type", "idle_timeout", "inference_rate_limit_exceeded",
        "input_audio_buffer_commit_empty", "insufficient_quota", "internal_error", "invalid_api_key", "invalid_audio",
        "invalid_event", "invalid_json", "invalid_request", "invalid_request_error", "invalid_tool_call_id", "invalid_type",
        "invalid_value", "item_delete_invalid_item_id", "item_retrieve_invalid_item_id", "item_truncate_invalid_item_id",
        "missing_required_parameter", "model_not_found", "permission_error", "rate_limit_error", "rate_limit_exceeded",
        "response_cancel_not_active", "server_error", "session_expired", "unknown_parameter", "unmapped_upstream_event",
        "unsupported_content_type", "upstream_closed_before_session_ready", "upstream_error",
    }
)  # fmt: skip
#: Prefixes that `redact` keeps in unknown error codes. A prefix names the subject of the error.
CODE_FAMILIES: Final = (
    "input_audio", "item", "cannot_update", "response_cancel", "session_", "invalid_value", "invalid_json",
)  # fmt: skip
_REASONS: Final = frozenset({"turn_detected", "client_cancelled", "max_output_tokens", "content_filter", "connection_closed"})
_RATES: Final = frozenset({8000, 16000, 22050, 24000, 32000, 44100, 48000})
_MODALITIES: Final[Rule] = [frozenset({"text", "audio"})]
_ENCODINGS: Final = frozenset({"linear16", "mulaw", "alaw", "opus", "audio/pcm", "audio/pcmu", "audio/pcma"})

_PART: Final[Rule] = {
    "type": frozenset({"input_text", "output_text", "input_audio", "output_audio", "text", "audio", "input_image"}),
    "text": _TEXT,
    "transcript": _TEXT,
    "audio": Kind.AUDIO,
}
_ITEM: Final[Rule] = {
    "id": _ID,
    "object": frozenset({"realtime.item"}),
    "type": frozenset({"message", "function_call", "function_call_output", "mcp_call", "mcp_list_tools"}),
    "status": STATUSES,
    "role": ROLES,
    "call_id": _ID,
    "name": _TEXT,
    "arguments": _TEXT,
    "output": _TEXT,
    "content": [_PART],
}
_ERROR: Final[Rule] = {
    "type": Kind.CODE, "code": Kind.CODE, "message": Kind.ERROR_TEXT, "param": _TEXT, "event_id": _ID,
}  # fmt: skip
_RESPONSE: Final[Rule] = {
    "object": frozenset({"realtime.response"}),
    "id": _ID,
    "status": STATUSES,
    "status_details": {
        "type": STATUSES,
        "reason": _REASONS,
        "error": {"type": Kind.CODE, "code": Kind.CODE, "message": Kind.ERROR_TEXT},
    },
    "output": [_ITEM],
    "conversation_id": _ID,
    "conversation": frozenset({"none", "auto"}),
    "output_modalities": _MODALITIES,
    "modalities": _MODALITIES,
    "instructions": _TEXT,
    "input": [_ITEM],
}
_FORMAT: Final[Rule] = {"type": _ENCODINGS, "rate": _RATES}
_SESSION: Final[Rule] = {
    "type": frozenset({"realtime", "transcription"}),
    "object": frozenset({"realtime.session"}),
    "id": _ID,
    "model": _TEXT,
    "instructions": _TEXT,
    "output_modalities": _MODALITIES,
    "modalities": _MODALITIES,
    "audio": {
        "input": {
            "format": _FORMAT,
            "turn_detection": {
                "type": frozenset({"server_vad", "semantic_vad"}),
                "idle_timeout_ms": Kind.WAIT_MS,
                "create_response": _FLAG,
                "interrupt_response": _FLAG,
            },
            "transcription": {"model": _TEXT, "language": _TEXT, "prompt": _TEXT},
        },
        "output": {"format": _FORMAT, "voice": _TEXT},
    },
    "tools": [{"type": frozenset({"function", "mcp"}), "name": _TEXT, "description": _TEXT}],
    "tool_choice": frozenset({"auto", "none", "required"}),
}
_POSITION: Final[Mapping[str, Rule]] = {
    "response_id": _ID,
    "item_id": _ID,
    "output_index": _INDEX,
    "content_index": _INDEX,
    "call_id": _ID,
}
_BUFFER: Final[Mapping[str, Rule]] = {"item_id": _ID, "previous_item_id": _ID}
_IN_ITEM: Final[Mapping[str, Rule]] = {"previous_item_id": _ID, "item_id": _ID, "item": _ITEM}

#: Rules of fields in messages of any type.
COMMON: Final[Mapping[str, Rule]] = {
    "type": Kind.TYPE,
    "event_id": _ID,
    "response_id": _ID,
    "item_id": _ID,
    "previous_item_id": _ID,
    "call_id": _ID,
    "id": _ID,
}

_SERVER: Final[Mapping[str, Mapping[str, Rule]]] = {
    "error": {"error": _ERROR},
    "session.created": {"session": _SESSION},
    "session.updated": {"session": _SESSION},
    "rate_limits.updated": {},
    "conversation.created": {},
    **{f"conversation.item.{each}": _IN_ITEM for each in ("created", "added", "done", "retrieved", "deleted", "truncated")},
    "conversation.item.input_audio_transcription.completed": {**_POSITION, "transcript": _TEXT},
    "conversation.item.input_audio_transcription.delta": {**_POSITION, "delta": _TEXT},
    "conversation.item.input_audio_transcription.segment": {**_POSITION, "text": _TEXT},
    "conversation.item.input_audio_transcription.failed": {**_POSITION, "error": _ERROR},
    **{
        f"input_audio_buffer.{each}": _BUFFER
        for each in (
            "committed", "cleared", "speech_started", "speech_stopped", "timeout_triggered", "dtmf_event_received",
        )
    },
    **{f"output_audio_buffer.{each}": _POSITION for each in ("started", "stopped", "cleared")},
    "response.created": {"response": _RESPONSE},
    "response.done": {"response": _RESPONSE},
    **{f"response.output_item.{each}": {**_POSITION, "item": _ITEM} for each in ("added", "done")},
    **{f"response.content_part.{each}": {**_POSITION, "part": _PART} for each in ("added", "done")},
    **{f"response.{each}.delta": {**_POSITION, "delta": _TEXT} for each in (
        "output_text", "text", "output_audio_transcript", "audio_transcript", "function_call_arguments", "mcp_call_arguments",
    )},
    **{f"response.{each}.delta": {**_POSITION, "delta": Kind.AUDIO} for each in ("output_audio", "audio")},
    **{
        f"response.{each}.done": {**_POSITION, "text": _TEXT, "transcript": _TEXT, "name": _TEXT, "arguments": _TEXT}
        for each in (
            "output_text", "text", "output_audio", "audio", "output_audio_transcript", "audio_transcript",
            "function_call_arguments", "mcp_call_arguments",
        )
    },
    **{f"response.mcp_call.{each}": _POSITION for each in ("in_progress", "completed", "failed")},
    **{f"mcp_list_tools.{each}": _POSITION for each in ("in_progress", "completed", "failed")},
}  # fmt: skip
_CLIENT: Final[Mapping[str, Mapping[str, Rule]]] = {
    "session.update": {"session": _SESSION},
    "response.create": {"response": _RESPONSE},
    "response.cancel": {"response_id": _ID},
    "conversation.item.create": {"item": _ITEM, "previous_item_id": _ID},
    **{f"conversation.item.{each}": _IN_ITEM for each in ("delete", "retrieve", "truncate")},
    "input_audio_buffer.append": {"audio": Kind.AUDIO},
    "input_audio_buffer.commit": {},
    "input_audio_buffer.clear": {},
    "output_audio_buffer.clear": {},
}

_HISTORY: Final[Mapping[str, Rule]] = {"type": frozenset({"History"}), "role": ROLES, "content": _TEXT}
_CALL: Final[Mapping[str, Rule]] = {"id": _ID, "name": _TEXT, "arguments": _TEXT, "client_side": _FLAG}
_AUDIO: Final[Rule] = {"encoding": _ENCODINGS, "sample_rate": _RATES}
_FAILURE: Final[Mapping[str, Rule]] = {"code": Kind.CODE, "description": Kind.ERROR_TEXT, "message": Kind.ERROR_TEXT}
_RETURN: Final[Mapping[str, Rule]] = {"name": _TEXT, "content": _TEXT, "result": Kind.RESULT, "error": _TEXT}
_AGENT: Final[Mapping[str, Mapping[str, Rule]]] = {
    "Settings": {
        "audio": {"input": _AUDIO, "output": _AUDIO},
        "agent": {
            "idleTimeoutMs": Kind.WAIT_MS,
            "useOpenAIManualAudioCommit": _FLAG,
            "language": _TEXT,
            "greeting": _TEXT,
            "think": {
                "provider": {"type": frozenset({"open_ai"}), "model": _TEXT},
                "prompt": _TEXT,
                "functions": [{"name": _TEXT, "description": _TEXT}],
                "outputModalities": _MODALITIES,
                "toolChoice": frozenset({"auto", "none", "required"}),
            },
            "speak": {"provider": {"type": frozenset({"deepgram"}), "model": _TEXT}},
            "context": {"messages": [_HISTORY]},
        },
    },
    "History": _HISTORY,
    "InjectUserMessage": {"content": _TEXT},
    "InjectAgentMessage": {"content": _TEXT, "message": _TEXT},
    "FunctionCallResponse": {**_RETURN, "id": _ID},
    "FunctionCallRequest": {"functions": [_CALL]},
    "ConversationText": {"role": ROLES, "content": _TEXT},
    "Transcript": {"transcript": _TEXT, "is_final": _FLAG, "speech_final": _FLAG},
    **dict.fromkeys(("Error", "Warning", "InjectionRefused"), _FAILURE),
    **{
        each: {}
        for each in (
            "AgentAudioDone", "AgentDone", "AgentStartedSpeaking", "AgentThinking", "CloseStream", "ForceEndTurn",
            "FrustrationDetected", "FunctionCallCancelled", "KeepAlive", "LatencyReport", "ListenUpdated", "PromptUpdated",
            "SettingsApplied", "SpeakUpdated", "ThinkLiveUpdated", "ThinkUpdated", "UpdateListen", "UpdatePrompt",
            "UpdateSpeak", "UpdateThink", "UserStartedSpeaking", "UtteranceEnd", "Welcome",
        )
    },
}  # fmt: skip

#: Message between user, app and component -> rules of its fields.
_HOST: Final[Mapping[str, Mapping[str, Rule]]] = {
    **{each: {} for each in CALLBACKS},
    **{each: {} for each in ("leave", "lose", "offline", "stop", "start", "microphone", "onContextWarning")},
    "say": {"text": _TEXT},
    "speak": {"text": _TEXT},
    "injectUserMessage": {"content": _TEXT},
    "returned": {"value": frozenset({"promise", "nothing", "value"})},
    "resolved": {"value": {"id": _ID, "result": Kind.RESULT, "error": _TEXT}},
    "rejected": {"message": _TEXT},
    "sendFunctionCallResponse": _RETURN,
    "sendResponse": _RETURN,
    "onAgentStateChange": {"state": frozenset({"idle", "listening", "thinking", "speaking"})},
    "onAgentUtterance": {"text": _TEXT},
    "onUserMessage": {"text": _TEXT},
    "onTranscriptUpdate": {"transcript": _TEXT, "is_final": _FLAG, "speech_final": _FLAG},
    "onPlaybackStateChange": {"playing": _FLAG},
    "onFunctionCallRequest": _CALL,
    "onError": {"service": frozenset({"agent", "transcription"}), "code": Kind.CODE, "message": Kind.ERROR_TEXT},
    "onConnectionStateChange": {
        "service": frozenset({"agent", "transcription"}),
        "state": frozenset({"closed", "connecting", "connected", "error"}),
    },
}

#: Message type -> rules of its fields. `redact` replaces other fields.
FIELDS: Final[Mapping[str, Mapping[str, Rule]]] = {**_HOST, **_AGENT, **_CLIENT, **_SERVER}
SERVER_TYPES: Final = frozenset(_SERVER)
#: All message types, including the names that `Event.type` and the proxies' logs use for messages without a type.
TYPES: Final = frozenset({*FIELDS, "(binary)", "(text)", "(no type)", "(close)", "(open)", "(fault)"})
UNKNOWN_TYPE: Final = "(unknown type)"


def known_type(kind: str) -> str:
    """Return a message type if it is one of `TYPES`, else `UNKNOWN_TYPE`."""
    return kind if kind in TYPES else UNKNOWN_TYPE


def known_close(code: object) -> int | None:
    """Return a code in `CLOSE_CODES` unchanged, 3999 for others in 3000-3999, 4000 for others in 4000-4999, else None."""
    if type(code) is not int:
        return None
    if code in CLOSE_CODES:
        return code
    return 3999 if 3000 <= code < 4000 else 4000 if 4000 <= code < 5000 else None
