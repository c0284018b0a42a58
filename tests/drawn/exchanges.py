"""Draw random exchanges with hypothesis: valid and invalid messages of every kind, in any order.

In an invalid message, some fields are missing or of another type. Other frames contain no message. A wait is 800 ms, so that
no short timer of the proxy ends near its end. The draws depend on the version of hypothesis, so the repository keeps the
recordings in addition to the seed.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final

from hypothesis import strategies as st

from voicerace.conformance.steps import CONTEXT, GREETED, LEAVE, SETTINGS, UPDATED, ExchangeStep, Script, closes, host, up, wait
from voicerace.model.actors.translate import KNOWN_EVENTS
from voicerace.model.protocol import input_audio, realtime, speech

__all__ = ["drawn_scripts"]

_Maker = st.SearchStrategy[ExchangeStep]

#: Ordinary texts, white space of Python and JavaScript, property names of JavaScript objects, and non-BMP characters.
_WORDS: Final = st.sampled_from(
    (
        "A reply.",
        " A reply. ",
        "x",
        "",
        " ",
        "\u2003\ufeff",
        "\x1c",
        "Ünï 🎈",
        '"\\\n',
        "__proto__",
        "constructor",
        "7",
        "null",
        "hi",
    )
)
_NUMBERS: Final = st.sampled_from((0, 1, 7, -1, 0.5, 1.25, 1e-7, 1e21, 123456789012, 5_000, 24_000))
_OBJECTS: Final = st.sampled_from(
    (
        {}, {"text": "In an object."}, {"a": None}, {"length": 2}, {"toString": 1}, {"__proto__": {"type": "x"}},
        {"b": 1, "10": 2, "2": [0.5]},
        {"delta": "wrapped"}, {"id": "item_1", "type": "function_call_output"}, {"code": "idle_timeout", "message": 5},
    )
)  # fmt: skip
_LISTS: Final = st.sampled_from(
    ([], [None], ["text"], [1, 2], [{}], [{"role": "assistant", "content": "x"}], [[{"toString": 1}]])
)
#: Values that replace the value of a field.
_WRONG: Final = st.one_of(st.none(), st.booleans(), _NUMBERS, _WORDS, _OBJECTS, _LISTS)
_ABSENT: Final = object()
_IDS: Final = st.sampled_from(("item_1", "item_2", "item_3", "call_1", "", "5", 5))


@st.composite
def _spoilt(draw: st.DrawFn, right: Mapping[str, Any], depth: int = 3) -> dict[str, Any]:
    """Draw an object from `right` (field -> strategy or value), in which a field can be missing or of another type."""
    made: dict[str, Any] = {}
    for name, value in right.items():
        turn = 0 if name == "type" and depth == 3 else draw(st.integers(0, 19))
        if turn == 19:
            made[name] = draw(_WRONG)
        elif turn != 18:
            given = draw(value) if isinstance(value, st.SearchStrategy) else value
            made[name] = draw(_spoilt(given, depth - 1)) if isinstance(given, Mapping) and given and depth else given
    return made


def _message(kind: str, **fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    return _spoilt({"type": kind, **fields})


def _optional(value: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for a field that about half of the messages omit."""
    return st.one_of(st.just(_ABSENT), value)


def _whole(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields without the absent optional fields."""
    return {
        name: _whole(value) if isinstance(value, Mapping) else value for name, value in fields.items() if value is not _ABSENT
    }


# -- messages of the host --------------------------------------------------------------------------------------------

_OPTIONS: Final = {
    "toolChoice": _optional(st.sampled_from(("auto", "none", "required", {"type": "function", "name": "f"}))),
    "outputModalities": _optional(st.lists(st.sampled_from(("text", "audio", "video", None)), max_size=3)),
    "maxOutputTokens": _optional(st.sampled_from((1, 4096, 0, -1, 0.5, "inf", 2**53 - 1, 2**53))),
    "managedPrompt": _optional(
        st.fixed_dictionaries(
            {"id": _WORDS}, optional={"version": _WORDS, "variables": st.one_of(_OBJECTS, _LISTS), "other": _WORDS}
        )
    ),
}
_OUTPUT: Final = st.fixed_dictionaries(
    {},
    optional={
        "format": st.fixed_dictionaries(
            {"type": st.sampled_from(("audio/pcm", " audio/pcmu ", "audio/pcma", "audio/mp3"))},
            optional={"rate": st.sampled_from((24_000, 16_000, "24000", None))},
        ),
        "speed": st.sampled_from((0.25, 1, 1.5, 1.6, 0.2, "1", True)),
        "voice": st.sampled_from(("marin", " cedar ", "", {"id": "voice_1"}, {"id": " "}, {})),
    },
)
_CONTEXT: Final = st.lists(
    _spoilt({"type": "History", "role": st.sampled_from(("user", "assistant", "system")), "content": _WORDS}, 1),
    max_size=3,
)
_FUNCTIONS: Final = st.lists(_spoilt({"name": "f", "description": "d", "parameters": _OBJECTS}, 1), max_size=2)


@st.composite
def _settings(draw: st.DrawFn) -> ExchangeStep:
    if draw(st.integers(0, 2)) == 0:
        return host(draw(st.sampled_from((SETTINGS, GREETED, CONTEXT))))
    think = {"provider": {"type": "open_ai", "model": "gpt-realtime"}, "prompt": _WORDS, "functions": _FUNCTIONS, **_OPTIONS}
    asked = {
        "idleTimeoutMs": _NUMBERS,
        "think": think,
        "greeting": _optional(_WORDS),
        "context": _optional(st.fixed_dictionaries({"messages": _CONTEXT})),
        "sessionAudioOutput": _optional(_OUTPUT),
        # The option is usually absent, because with it every release commits audio.
        "useOpenAIManualAudioCommit": _optional(st.just(True)),
    }
    return host(_whole(draw(_message("Settings", agent=asked))))


_RESULT: Final = st.one_of(
    _message("FunctionCallResponse", id=st.sampled_from(("call_1", "call_2", "call_x")), name="f", content=_WORDS),
    _message("FunctionCallResponse", id="call_1", error=_WRONG, result=_WRONG),
    _message("FunctionCallResponse", id="call_1", content=_optional(_WRONG), error=_optional(_WRONG), result=_optional(_WRONG)),
).map(_whole)
_TEXT: Final = _message("InjectUserMessage", content=_WORDS)
_OTHER: Final = st.one_of(
    st.sampled_from(
        ({"type": "KeepAlive"}, {"type": "UpdatePrompt", "prompt": "x"}, {"type": realtime.RESPONSE_CREATE}, {"no": "type"}, {})
    ),
    _WRONG.map(lambda kind: {"type": kind}),
    # JSON other than objects, text that resembles JSON, and numbers that other languages write differently.
    st.sampled_from(("null", "7", "[1]", "true", '"text"', "NaN ", "-Infinity ", '{"type":', " {} ", '{"type":"KeepAlive"} ')),
    st.sampled_from((b"null", b"[1]", b'{"type":"KeepAlive"}', b'{"type":"InjectUserMessage","content":1.0}', b"\xff\xfe{}")),
    st.sampled_from(
        (
            '{"type":"FunctionCallResponse","id":1.0,"result":[1.0,1e3,-0,12345678901234567890,1e400,0.00001,1e-7,1E+21]}',
            '{"type":"FunctionCallResponse","id":"call_1","result":{"b":"\\u2028\\ud800","a":1,"10":null,"2":"\\u007f"}}',
            '{"type":"InjectUserMessage","content":"one","content":"two"}',
            '{"type":"Settings","agent":{"think":{"maxOutputTokens":50.0,"managedPrompt":{"id":"p","variables":{"n":1e2}}}}}',
        )
    ),
)


def _frame(size: int) -> ExchangeStep:
    samples = [number * 7 % 40 * 50 - 1_001 for number in range(size // 2 + 1)]
    return host(struct.pack(f"<{len(samples)}h", *samples)[:size])


_AUDIO: Final = st.sampled_from((640, 640, 2, 4_800, 4_798, 3_200, 48_000, 6_400)).map(_frame)
#: Audio of odd length. Such a frame ends the proxy's process if server VAD is on and the audio is resampled.
_ODD: Final = st.sampled_from((1, 641)).map(_frame)

_HOST: Final = st.one_of(
    _settings(), _RESULT.map(host), _RESULT.map(host), _TEXT.map(host), _TEXT.map(host), _AUDIO, _AUDIO, _OTHER.map(host)
)

# -- messages of the upstream ----------------------------------------------------------------------------------------

_PARTS: Final = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from(("output_text", "output_audio")), "text": _WORDS}),
    st.fixed_dictionaries({"type": st.just("output_audio"), "transcript": _WORDS}),
    st.fixed_dictionaries({"type": st.just("function_call")}, optional={"name": _WRONG, "arguments": _WRONG}),
    st.fixed_dictionaries({"output_text": st.one_of(_OBJECTS, _WORDS), "content": _WRONG}),
    st.fixed_dictionaries({"input_text": st.fixed_dictionaries({"text": _WRONG})}),
    _WRONG,
)
_CONTENT: Final = st.one_of(st.lists(_PARTS, max_size=2), _PARTS)
_ITEM: Final = st.one_of(
    _spoilt({"id": _IDS, "type": "message", "role": "assistant", "content": _CONTENT}, 1),
    _spoilt({"id": _IDS, "type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}, 1),
    _spoilt({"id": _IDS, "type": "function_call_output", "call_id": "call_1", "output": "{}"}, 1),
    _spoilt({"id": _IDS, "type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}, 1),
)
_ITEM_EVENT: Final = st.sampled_from((realtime.ITEM_ADDED, realtime.ITEM_DONE, realtime.ITEM_CREATED)).flatmap(
    lambda kind: _message(kind, event_id="event_x", item=_ITEM)
)
_ERROR_EVENT: Final = _message(
    realtime.ERROR,
    error={
        "code": st.sampled_from(
            (realtime.ACTIVE_RESPONSE, realtime.ACTIVE_RESPONSE, "idle_timeout", "session_expired", "c", "", None)
        ),
        "message": st.sampled_from(
            (
                "Something.",
                "The server had an error while processing your request. Sorry",
                "Your session hit the maximum duration of 60 minutes.",
            )
        ),
    },
)  # fmt: skip
_RESPONSE: Final = st.sampled_from((realtime.RESPONSE_CREATED, realtime.RESPONSE_DONE, realtime.RESPONSE_DONE)).flatmap(
    lambda kind: _message(kind, response={"id": "resp_1", "status": "completed", "output": st.lists(_ITEM, max_size=2)})
)
_REPLY: Final = st.one_of(
    _message(realtime.TEXT_DELTA, delta=_WORDS),
    _message(realtime.TEXT_DONE, text=_WORDS),
    _message(realtime.TEXT_DONE, text=_optional(_WRONG), part=_optional(_PARTS)).map(_whole),
    _message(
        realtime.AUDIO_DELTA, delta=st.sampled_from(("AAAA", "AA", "A", "", "AA==AA", "A*A-_", "AAAAA", "====", "Zm9vYmFy"))
    ),
    _message(realtime.AUDIO_DONE, item_id="item_1"),
    _message(realtime.TRANSCRIPT_DONE, transcript=_WORDS),
    _message(realtime.ARGUMENTS_DELTA, delta="{"),
)
_CALL: Final = _message(
    realtime.ARGUMENTS_DONE,
    call_id=st.sampled_from(("call_1", "call_2", 7)),
    name="f",
    arguments=st.one_of(st.just(' {"a":1} '), _WORDS),
)
_SPEECH: Final = st.one_of(
    _message(input_audio.SPEECH_STARTED, item_id=_IDS),
    _message(
        input_audio.SPEECH_STOPPED, channel=st.lists(_NUMBERS, max_size=2), last_word_end=_NUMBERS
    ),
    _message(speech.PIECE, item_id=_IDS, delta=_WORDS, channel=_NUMBERS, channel_index=_LISTS),
    _message(
        speech.TRANSCRIBED, item_id=_IDS, transcript=_WORDS, start=_NUMBERS, duration=_NUMBERS, channel_index=_LISTS,
        alternatives=st.lists(_spoilt({"transcript": _WORDS, "confidence": _NUMBERS, "words": _LISTS}, 1), max_size=2),
    ),
)  # fmt: skip
_UNKNOWN: Final = st.one_of(
    st.sampled_from(sorted(KNOWN_EVENTS)).flatmap(lambda kind: _message(kind, event_id="event_x")),
    st.sampled_from(
        (
            "conversation.created",
            speech.FAILED,
            speech.SEGMENT,
            "conversation.item.deleted",
            "mcp_list_tools.failed",
            "new.event",
        )
    ).flatmap(lambda kind: _message(kind, event_id="event_x")),
    _WRONG.map(lambda kind: {"type": kind}),
    st.sampled_from(
        ("no JSON", "null", "7", "[1]", '{"type":"new","n":1.0}', '{"type":', "NaN", b"\x01\x02", b"\xff", b'{"type":"new"}')
    ),
)
_SESSION: Final = st.sampled_from((realtime.SESSION_CREATED, realtime.SESSION_UPDATED, realtime.SESSION_UPDATED)).flatmap(
    lambda kind: _message(kind, session={"type": "realtime"})
)
_UPSTREAM: Final = st.one_of(
    _RESPONSE, _RESPONSE, _REPLY, _REPLY, _CALL, _ITEM_EVENT, _ITEM_EVENT, _ERROR_EVENT, _SPEECH, _UNKNOWN, _SESSION
).map(up)

# -- exchanges ----------------------------------------------------------------------------------------------------

_WAIT_MS: Final = 800
_UPSTREAM_CLOSES: Final = st.sampled_from((1000, 1001, 1011, 3000, 4001)).map(closes)
_HOST_CLOSES: Final = st.sampled_from((None, 1000, 1001, 4001)).map(
    lambda code: ExchangeStep("component", closes=True, code=code)
)


@st.composite
def drawn_scripts(draw: st.DrawFn) -> Script:
    """Draw an exchange: usually a regular start, then any messages, sometimes waits after audio, and one or two closes."""
    steps: list[ExchangeStep] = []
    if draw(st.integers(0, 3)):
        steps += [draw(_settings()), UPDATED]
    steps += draw(st.lists(st.one_of(_HOST, _UPSTREAM), min_size=2, max_size=20))
    heard = any(step.sender == "component" and isinstance(step.payload, bytes) for step in steps)
    if heard and draw(st.integers(0, 3)) == 0:
        place = draw(st.integers(0, len(steps)))
        steps[place:place] = [wait(_WAIT_MS)]
        steps += [wait(_WAIT_MS), *draw(st.lists(_UPSTREAM, max_size=3))]
    if draw(st.integers(0, 39)) == 0:
        steps.append(draw(_ODD))
    leaving = draw(st.one_of(st.just(LEAVE), _UPSTREAM_CLOSES, _HOST_CLOSES))
    steps.append(leaving)
    if draw(st.integers(0, 5)) == 0:
        # The other side still sends a message before it closes, as it can do until the first close arrives.
        steps += (
            [draw(_HOST), draw(_HOST_CLOSES)] if leaving.sender == "upstream" else [draw(_UPSTREAM), draw(_UPSTREAM_CLOSES)]
        )
    return Script("drawn", tuple(steps))
