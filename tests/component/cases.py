"""Scripts for the real component and its model, with the steps of the proxy, the user and the app.

Times are in ms since the connection opened. Earlier steps have negative times. The component sends Settings at 50, and the
proxy confirms them at `APPLIED`. Each script runs on a new component. All releases run the same scripts, which include
messages that some releases do not know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from voicerace.model.actors.component import WEATHER
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.protocol import agent

__all__ = ["APPLIED", "CONTEXTS", "MESSAGES", "Case", "cases"]

ScriptStep = dict[str, Any]

APPLIED: Final = 60
REFUSED: Final = "conversation_already_has_active_response"


@dataclass(frozen=True)
class Case:
    """One script.

    Attributes:
        name: unique name.
        steps: steps ``{"at": ms, "do": …}``; the harness implements each value of ``do``.
        until: end of the script in ms.
        handler: name of the app's handler style.
        tool_ms: duration of the tool in ms, per call.
        options: the app's `agentOptions` in addition to the defaults.
        modelled: whether the model covers the case. The model has one connection and no second component.
    """

    name: str
    steps: Sequence[ScriptStep]
    until: int
    handler: str = "return"
    tool_end: str = "result"
    tool_ms: Sequence[int] = (50,)
    repeats: int = 0
    repeat_ms: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    storage: bool = False
    modelled: bool = True

    def script(self) -> dict[str, Any]:
        style = HANDLERS[self.handler]
        return {
            "name": self.name,
            "handler": {"returns": style.returns, "answers_by": style.answers_by, "at_once": style.at_once},
            "tool_end": self.tool_end,
            "tool_ms": list(self.tool_ms),
            "repeats": self.repeats,
            "repeat_ms": self.repeat_ms,
            "options": {"functions": [WEATHER], **self.options},
            "storage": self.storage,
            "steps": list(self.steps),
            "until": self.until,
        }


def says(at: int, message: Mapping[str, Any]) -> ScriptStep:
    return {"at": at, "do": "proxy", "message": dict(message)}


def asks(at: int, *calls: str) -> ScriptStep:
    """Return a step in which the proxy requests these calls with one message."""
    functions = [{"id": call, "name": "get_weather", "arguments": "{}", "client_side": True} for call in calls]
    return says(at, {"type": "FunctionCallRequest", "functions": functions})


def text(at: int, role: str, content: str) -> ScriptStep:
    return says(at, agent.conversation_text(role, content))


def sound(at: int, size: int = 480) -> ScriptStep:
    return {"at": at, "do": "proxy_binary", "bytes": size}


def does(at: int, verb: str, **more: Any) -> ScriptStep:
    return {"at": at, "do": verb, **more}


_READY = says(APPLIED, agent.settings_applied())
_ASKED = (_READY, does(1000, "inject", text="What is the weather?"), text(1010, "user", "What is the weather?"))
_TRANSCRIPT = {"type": "Transcript", "transcript": "Hello.", "is_final": True, "speech_final": True, "channel": 0,
               "channel_index": [0], "start": 0, "duration": 0,
               "alternatives": [{"transcript": "Hello.", "confidence": 1, "words": []}]}  # fmt: skip

#: Name of a message -> (row of the callback table, step that sends the message).
MESSAGES: Final[dict[str, tuple[str, ScriptStep]]] = {
    "another SettingsApplied": ("SettingsApplied", says(1000, agent.settings_applied())),
    "session.created": ("session.created", says(1000, {"type": "session.created", "session": {}})),
    "text of the assistant": ("ConversationText assistant", text(1000, "assistant", "It is sunny.")),
    "text of the user": ("ConversationText user", text(1000, "user", "Hello.")),
    "a call": ("FunctionCallRequest", asks(1000, "call_1")),
    "a call of the server's": (
        "FunctionCallRequest",
        says(1000, {"type": "FunctionCallRequest", "functions": [{"id": "call_1", "name": "search", "arguments": "{}", "client_side": False}]}),
    ),
    "AgentThinking": ("AgentThinking", says(1000, agent.agent_thinking())),
    "AgentStartedSpeaking": ("AgentStartedSpeaking", says(1000, {"type": "AgentStartedSpeaking"})),
    "AgentDone": ("AgentDone", says(1000, {"type": "AgentDone"})),
    "AgentAudioDone": ("AgentAudioDone", says(1000, {"type": "AgentAudioDone"})),
    "audio": ("(binary)", sound(1000)),
    "the audio's end": ("(played)", does(1000, "played")),
    "UserStartedSpeaking": ("UserStartedSpeaking", says(1000, {"type": "UserStartedSpeaking"})),
    "UtteranceEnd": ("UtteranceEnd", says(1000, {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": 1.5})),
    "Transcript": ("Transcript", says(1000, _TRANSCRIPT)),
    "the refusal": ("Error", says(1000, agent.error("Conversation already has an active response", REFUSED))),
    "an error without a code": ("Error", says(1000, {"type": "Error", "description": "No."})),
    "the error idle_timeout": ("Error of an expected end", says(1000, agent.error("Idle.", "idle_timeout"))),
    "the error session_max_duration": ("Error of an expected end", says(1000, agent.error("Over.", "session_max_duration"))),
    "the error SETTINGS_ALREADY_APPLIED": ("Error of an expected end", says(1000, agent.error("Twice.", "SETTINGS_ALREADY_APPLIED"))),
    "the server's own error": (
        "Error of an expected end",
        says(1000, agent.error("The server had an error while processing your request. Sorry!", "server_error")),
    ),
    "Warning": ("Warning", says(1000, {"type": "Warning", "description": "Careful.", "code": "careful"})),
    "raw response.created": ("response.created", says(1000, {"type": "response.created", "response": {"id": "resp_1"}})),
    "raw response.done": ("response.done", says(1000, {"type": "response.done", "response": {"id": "resp_1"}})),
    "raw conversation.item.added": ("conversation.item.added", says(1000, {"type": "conversation.item.added", "item": {}})),
    "raw conversation.item.done": ("conversation.item.done", says(1000, {"type": "conversation.item.done", "item": {}})),
    "raw error": ("error", says(1000, {"type": "error", "error": {"code": REFUSED}})),
    "an unknown type": ("(unknown type)", says(1000, {"type": "Unheard"})),
    "no JSON": ("(no JSON)", does(1000, "proxy_text", text="not JSON")),
    "JSON null": ("(no JSON)", does(1000, "proxy_text", text="null")),
    "a JSON list": ("(unknown type)", does(1000, "proxy_text", text="[]")),
    "the connection's end": ("(close)", does(1000, "proxy_close", code=1011)),
}  # fmt: skip

#: Name of a state of the session -> steps that lead to the state.
CONTEXTS: Final[dict[str, tuple[ScriptStep, ...]]] = {
    "nothing goes on": (),
    "the agent thinks": (does(500, "inject", text="Hello?"),),
    "the agent speaks": (says(500, {"type": "AgentStartedSpeaking"}),),
    "its audio plays": (sound(500),),
    "the user speaks": (says(500, {"type": "UserStartedSpeaking"}),),
    "the user speaks into the audio": (
        says(400, agent.agent_thinking()),
        sound(500),
        says(700, {"type": "UserStartedSpeaking"}),
    ),
}


def cases() -> Iterator[Case]:
    for what, (_, step) in MESSAGES.items():
        for when, before in CONTEXTS.items():
            yield Case(f"{what}, while {when}", (_READY, *before, step), 1500)
    yield from _answers()
    yield from _turns()
    yield from _connection()


def _answers() -> Iterator[Case]:
    """Yield cases of every handler style with every end of the tool, for one call and for two calls."""
    shapes = {
        "one call": (asks(1000, "call_1"),),
        "two calls in one request": (asks(1000, "call_1", "call_2"),),
        "two requests": (asks(1000, "call_1"), asks(1020, "call_2")),
    }
    for handler in HANDLERS:
        for end in ("result", "error", "reject", "none"):
            for shape, steps in shapes.items():
                yield Case(f"{handler}, {end}, {shape}", (_READY, *steps), 2000, handler, end, (50, 80))
        yield Case(f"{handler}, the result twice", (_READY, asks(1000, "call_1")), 2000, handler, repeats=1, repeat_ms=30)


def _turns() -> Iterator[Case]:
    """Yield tool turns with the messages of older and of newer proxies, some until the component closes when idle."""
    spoken, done, audio_done = ({"type": each} for each in ("AgentStartedSpeaking", "AgentDone", "AgentAudioDone"))
    old_call = (asks(2000, "call_1"), text(2000, "assistant", agent.call_text("get_weather", "{}")),
                says(2150, {"type": "response.done"}))  # fmt: skip
    new_call = (says(1990, spoken), asks(2000, "call_1"), says(2150, done), says(2150, audio_done))
    replies = {
        "old text": (text(3000, "assistant", "Sunny."), says(3010, {"type": "response.done"})),
        "old audio": (sound(2600), text(3000, "assistant", "Sunny."), does(3600, "played")),
        "new text": (says(2200, agent.agent_thinking()), says(2600, spoken), text(2990, "assistant", "Sunny."),
                     says(3000, done), says(3000, audio_done)),
        "new audio": (says(2200, agent.agent_thinking()), says(2600, spoken), sound(2610), text(2990, "assistant", "Sunny."),
                      says(3000, done), says(3000, audio_done), does(3600, "played")),
    }  # fmt: skip
    for handler in HANDLERS:
        for era, reply in replies.items():
            call = old_call if era.startswith("old") else new_call
            yield Case(f"{handler}, 25 s, {era}", (*_ASKED, *call, *reply), 60_000, handler, tool_ms=(25_000,))
    for era, call in (("old", old_call), ("new", new_call)):
        yield Case(f"no reply comes, {era}", (*_ASKED, *call), 40_000, tool_ms=(300,))
        yield Case(f"no reply comes to an early result, {era}", (*_ASKED, *call), 40_000)
        yield Case(f"a reply's text goes on, {era}", (*_ASKED, *call, *(text(n, "assistant", "So.") for n in range(3000, 30_000, 3000))), 50_000)  # fmt: skip
    yield Case("no word comes from the agent", _ASKED, 40_000)
    yield Case("nobody ever says anything", (_READY,), 40_000)
    yield Case(
        "the user writes while the tool runs", (*_ASKED, asks(2000, "call_1"), does(2020, "inject", text="Hurry!")), 3000
    )
    yield Case("a preamble, then the call", (*_ASKED, text(1800, "assistant", "Let me look."), asks(2100, "call_1")), 3000)


def _connection() -> Iterator[Case]:
    """Yield cases of Settings, results and audio near the start and the end of the connection."""
    history = {"messages": [{"type": "History", "role": "user", "content": "Hello."}]}
    says_hello = {"greeting": "Hello!"}
    yield Case("Settings, plain", (_READY,), 500)
    yield Case("Settings with a greeting", (_READY,), 500, options=says_hello)
    yield Case("Settings with a conversation", (_READY,), 500, options={**says_hello, "context": history})
    yield Case(
        "Settings, asked for again and again",
        (_READY, does(500, "start"), does(1000, "options", options={"instructions": "Other."}), _READY | {"at": 1500},
         does(2000, "options", options={"greeting": "Hi!"}), does(2500, "start")),
        4000,
    )  # fmt: skip
    yield Case(
        "Settings with another component connected",
        (does(-1, "another"), does(1000, "inject", text="Hello?")),
        9000,
        modelled=False,
    )
    for storage in (False, True):
        kept = "its conversation kept" if storage else "nothing kept"
        yield Case(
            f"a second connection, {kept}",
            (_READY, does(1000, "inject", text="Hello?"), text(1010, "user", "Hello?"), text(1500, "assistant", "Hello."),
             does(2000, "proxy_close", code=1006), does(3000, "inject", text="Still there?"), _READY | {"at": 3100}),
            6000, options=says_hello, storage=storage, modelled=False,
        )  # fmt: skip
    yield Case(
        "a result for a connection that is gone",
        (_READY, asks(1000, "call_1"), does(1020, "proxy_close", code=1006), does(2000, "ref", id="call_1", name="get_weather", content="{}")),
        3000,
    )  # fmt: skip
    yield Case(
        "a result of one connection on the next",
        (_READY, asks(1000, "call_1"), does(1020, "proxy_close", code=1006), does(1030, "start"), _READY | {"at": 1200}),
        3000, tool_ms=(500,), modelled=False,
    )  # fmt: skip
    yield Case("a result after stop", (_READY, asks(1000, "call_1"), does(1020, "stop"),
               does(2500, "ref", id="call_1", name="get_weather", content="{}")), 4000, modelled=False)  # fmt: skip
    yield Case("stop", (_READY, does(1000, "stop")), 3000)
    yield Case("user audio", (does(55, "microphone", bytes=320), _READY, *(does(n, "microphone", bytes=320) for n in (100, 300, 540, 560, 1000))), 2000)  # fmt: skip
    yield Case(
        "what the manager's listener hears",
        (_READY, does(100, "listen"), says(1000, {"type": "response.done"}), says(1100, {"type": "AgentDone"})),
        1500, modelled=False,
    )  # fmt: skip
