"""Scenarios of an exploration, with the handler styles that matter for each. Data only.

The intervals of times are in `experiments.explore.bounds`. A scenario narrows intervals whose full width adds no findings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from voicerace.engine.session import SessionConfig
from voicerace.errors import one_of
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.scenarios import SCENARIOS, Scenario, ScriptedInput, is_written

__all__ = ["STORIES", "Story", "session_of", "stories"]

_ALL: Final = tuple(HANDLERS)
_QUESTION: Final = ScriptedInput("What is the weather in Lisbon?", ("calls", "reply"))
_LAST: Final = ScriptedInput("Thank you. Anything else I should know?", ("reply",))


@dataclass(frozen=True)
class Story:
    """Scenario of an exploration.

    Attributes:
        sentence: description of what happens.
        scenario: inputs of the user and behaviour of the app.
        handlers: handler styles to explore.
        modality: modality of the replies.
        preamble: whether the response speaks before the calls.
        calls: number of calls in one response.
        bounds: intervals that differ from the default, by name.
    """

    sentence: str
    scenario: Scenario
    handlers: Sequence[str] = ("return",)
    modality: str = "session"
    preamble: bool = False
    calls: int = 1
    bounds: Mapping[str, str] = field(default_factory=dict)


def _like(name: str, **changed: object) -> Scenario:
    return replace(SCENARIOS[name], **changed)  # type: ignore[arg-type]


#: Speech in few frames, long enough for a commit after the component's 500 ms without audio. Two silent frames follow, because
#: the resampler mixes the last loud sample into the first silent frame.
_SPEECH: Final = {"speech_ms": "950", "frame_ms": "300", "mic_tail_ms": "650", "host_ms": "0:40", "upstream_ms": "0:40"}
#: One text during the call or the reply, instead of one during each.
_TEXT_AT_CALL: Final = _like("inject", inputs=(_QUESTION, ScriptedInput("And in Porto?", ("reply",), when="call"), _LAST))
_TEXT_AT_REPLY: Final = _like("inject", inputs=(_QUESTION, ScriptedInput("And in Faro?", ("reply",), when="reply"), _LAST))
_TWO_TOOL_TURNS: Final = _like("single", inputs=(_QUESTION, ScriptedInput("And in Porto?", ("calls", "reply")), _LAST))
_SPOKEN_FIRST: Final = _like("voice", inputs=(replace(_QUESTION, by="voice"), _LAST))
_VOICE_AT_CALL: Final = _like(
    "voice", inputs=(_QUESTION, ScriptedInput("Hurry up, please.", ("reply",), when="call", by="voice"), _LAST)
)
_SPOKEN_LAST: Final = _like("single", inputs=(_QUESTION, replace(_LAST, by="voice")))
#: The user reconnects early, so that work for the old connection overlaps the new connection.
_RECONNECT: Final = {
    "host_ms": "0:60", "upstream_ms": "0:60", "tool_ms": "0:2000", "inject_ms": "0:500", "offline_ms": "100:600",
}  # fmt: skip
_QUICK: Final = {"tool_ms": "0:2000", "reply_ms": "200:1500"}

STORIES: Final[dict[str, Story]] = {
    "single": Story("one call, one result, whatever the handler", SCENARIOS["single"], _ALL),
    "two-turns": Story("two turns with one call each", _TWO_TOOL_TURNS),
    "preamble": Story("the model speaks before it calls", SCENARIOS["single"], preamble=True),
    "audio": Story("one call, spoken replies", SCENARIOS["single"], modality="audio"),
    "no-result": Story("the tool never ends", _like("single", tool_end="none"), ("return", "void_ref")),
    "double": Story("the result is sent a second time", SCENARIOS["double"]),
    "parallel": Story("two calls in one response", _like("parallel", calls=2), calls=2),
    "chained": Story("the result makes the model call again", SCENARIOS["chained"]),
    "text-at-call": Story("the user writes while the tool runs", _TEXT_AT_CALL, bounds=_QUICK),
    "text-at-reply": Story("the user writes into the reply", _TEXT_AT_REPLY, bounds=_QUICK),
    "late-settings": Story("a text before Settings, and Settings twice", SCENARIOS["late-settings"]),
    "reconnect": Story(
        "the connection is lost while the tool runs; the user's words open another", SCENARIOS["reconnect"], bounds=_RECONNECT
    ),
    "slow-confirmation": Story(
        "one call, and an API that takes its time to confirm what it got", SCENARIOS["single"], bounds={"ack_ms": "10:25000"}
    ),
    "voice": Story("the user asks by voice", _SPOKEN_FIRST, bounds=_SPEECH),
    "voice-at-call": Story("the user speaks while the tool runs", _VOICE_AT_CALL, bounds={**_SPEECH, **_QUICK}),
    "barge-in": Story("the user speaks into the reply", SCENARIOS["barge-in"], bounds={**_SPEECH, **_QUICK}),
    "spoken-last": Story(
        "a written turn with a spoken reply, then a spoken one", _SPOKEN_LAST, modality="audio", bounds=_SPEECH
    ),
}


def session_of(
    name: str, handler: str, release: str, component: str | None = None, workaround: str | None = None
) -> SessionConfig:
    """Return the session that plays a scenario."""
    story = STORIES[name]
    session = SessionConfig.of(
        release=release,
        component_tag=component,
        handler=handler,
        modality=story.modality,
        preamble=story.preamble,
        tool_end=story.scenario.tool_end,
        workaround=workaround,
    )
    return replace(session, scenario=story.scenario, calls=story.calls)


def client_stories(names: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Return (scenario, handler style) pairs for a client without a proxy, which has no handler. Empty `names` selects every
    scenario that such a session can play.

    Raises:
        InputError: an unknown name.
    """
    return [
        (name, "return") for name, _ in dict.fromkeys(stories(names, ["return"])) if names or is_written(STORIES[name].scenario)
    ]


def stories(names: Sequence[str] = (), handlers: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Return (scenario, handler style) pairs. Empty `names` selects every scenario; empty `handlers`, the styles of each
    scenario.

    Raises:
        InputError: an unknown name.
    """
    for where, given, known in (("story", names, STORIES), ("handler", handlers, HANDLERS)):
        for each in given:
            one_of(where, each, known)
    return [(name, each) for name in names or STORIES for each in handlers or STORIES[name].handlers]
