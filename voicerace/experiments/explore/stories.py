"""Scenarios of an exploration, each with every handler style. Data only.

The intervals of times are in `experiments.explore.bounds`. A scenario narrows intervals whose full width needs more states than
an exploration can have; the reason is stated at each set of bounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from voicerace.engine.session import SessionConfig
from voicerace.errors import one_of
from voicerace.model.catalog.forwarders import FORWARDERS
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.scenarios import SCENARIOS, Scenario, ScriptedInput, Step, is_written

__all__ = ["ALL_STORIES", "STORIES", "Story", "bounds_of", "client_stories", "session_of", "stories"]

_QUESTION: Final = ScriptedInput("What is the weather in Lisbon?", ("calls", "reply"))
_LAST: Final = ScriptedInput("Thank you. Anything else I should know?", ("reply",))
#: Handlers that cause the same messages at the same times as another handler (tests/test_explore_stories.py compares them).
#: They are explored with `single` only.
SAME_AS: Final = {"async_send": "return", "void_send": "void_ref"}
_SAME: Final = {name: f"the same messages at the same times as {other}" for name, other in SAME_AS.items()}
#: With two results per call, most messages of two requests overlap. In the full intervals of the network, the tool and the
#: reply, a scenario of several turns has millions of states. One way of up to 40 ms is still longer than the shortest time of
#: the API (10 ms) and shorter than the longest, so requests, refusals and replies meet in every order.
_NEAR: Final = {"host_ms": "0:40", "upstream_ms": "0:40", "tool_ms": "0:2000", "reply_ms": "200:1500"}
#: Two results per call and a second source of requests: the messages of three or more requests overlap, and even `_NEAR` has
#: more than 300,000 states. The API is steady here: each of its times has one value within those of `BOUNDS_MS`, except the gap
#: and the confirmation. The network, the tool, the gap, the confirmation and the user decide the order.
_STEADY: Final = {
    "host_ms": "0:20", "upstream_ms": "0:20", "tool_ms": "0:1000", "gap_ms": "0:300", "ack_ms": "20:60", "inject_ms": "0:500",
    "create_ms": "40", "first_item_ms": "200", "arguments_ms": "20", "call_gap_ms": "50", "reply_ms": "300",
    "reply_gap_ms": "10", "repeat_ms": "0:500",
}  # fmt: skip
#: Four requests: two calls with two results each, in one response or in two, or two results and an input during the call. With
#: `_STEADY` such a pair has up to 400,000 states on one release, and more on others. The intervals of the tool, the gap and the
#: user are of the size of the network and the confirmation here, so that the messages still meet in every order.
_FOUR_REQUESTS: Final = {
    **_STEADY, "host_ms": "5", "upstream_ms": "5:10", "ack_ms": "30", "tool_ms": "0:200", "gap_ms": "0:100",
    "inject_ms": "0:100",
}  # fmt: skip


@dataclass(frozen=True)
class Story:
    """Scenario of an exploration.

    Attributes:
        sentence: description of what happens.
        scenario: inputs of the user and behaviour of the app.
        modality: modality of the replies.
        preamble: whether the response speaks before the calls.
        calls: number of calls in one response.
        idle_close: whether the component closes an idle connection.
        forwarder: generation of the forwarder, or None for none.
        knobs: undocumented behaviour of the API, by knob.
        bounds: intervals that differ from the default, by name.
        twice: further intervals with a handler for which the component sends two results.
        without: reason why a handler style is not explored, by handler.
    """

    sentence: str
    scenario: Scenario
    modality: str = "session"
    preamble: bool = False
    calls: int = 1
    idle_close: bool = False
    forwarder: str | None = None
    knobs: Mapping[str, str] = field(default_factory=dict)
    bounds: Mapping[str, str] = field(default_factory=dict)
    twice: Mapping[str, str] = field(default_factory=lambda: _NEAR)
    without: Mapping[str, str] = field(default_factory=lambda: _SAME)

    @property
    def handlers(self) -> tuple[str, ...]:
        """The handler styles to explore."""
        return tuple(each for each in HANDLERS if each not in self.without)


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
_PORTO: Final = ScriptedInput("And in Porto?", ("calls", "reply"))
_TWO_TEXTS: Final = _like("inject", inputs=(_QUESTION, replace(_PORTO, steps=("reply",), when="soon"), _LAST))
_THREE_TURNS: Final = _like("single", inputs=(_QUESTION, _PORTO, ScriptedInput("And in Faro?", ("calls", "reply")), _LAST))
_SPOKEN_CALLS: Final = _like("voice", inputs=(_QUESTION, replace(_PORTO, by="voice"), _LAST))
_SPOKEN_UNCONFIGURED: Final = _like(
    "late-settings", inputs=(replace(_QUESTION, when="connected"), replace(_PORTO, by="voice"), _LAST)
)
_STRAY: Final = _like(
    "single", inputs=(ScriptedInput("", (), when="connected", by="stray"), replace(_QUESTION, when="soon"), _LAST)
)


#: The forwarder's connection opens before and after Settings, which the component sends after 50 ms.
_OPENING: Final = {**_QUICK, "forwarder_open_ms": "0:200", "host_ms": "0:40", "upstream_ms": "0:40"}


def _answered_with(step: Step, by: Literal["text", "voice"] = "text") -> Scenario:
    """Return the scenario in which the response after the first result is `step`, and the last input is given `by` this way."""
    return _like("single", inputs=(replace(_QUESTION, steps=("calls", step, "reply")), replace(_LAST, by=by)))


STORIES: Final[dict[str, Story]] = {
    "single": Story("one call, one result", SCENARIOS["single"], twice={}, without={}),
    "two-turns": Story("two turns with one call each", _TWO_TOOL_TURNS),
    "preamble": Story("the model speaks before it calls", SCENARIOS["single"], preamble=True, twice={}),
    "audio": Story("one call, spoken replies", SCENARIOS["single"], modality="audio", twice={}),
    "no-result": Story("the tool never ends", _like("single", tool_end="none"), twice={}),
    "double": Story("the result is sent a second time", SCENARIOS["double"], twice=_STEADY),
    "parallel": Story("two calls in one response", _like("parallel", calls=2), calls=2, twice=_FOUR_REQUESTS),
    "chained": Story("the result makes the model call again", SCENARIOS["chained"], twice=_FOUR_REQUESTS),
    "text-at-call": Story("the user writes while the tool runs", _TEXT_AT_CALL, bounds=_QUICK, twice=_FOUR_REQUESTS),
    "text-at-reply": Story("the user writes into the reply", _TEXT_AT_REPLY, bounds=_QUICK, twice=_STEADY),
    "late-settings": Story("a text before Settings, and Settings twice", SCENARIOS["late-settings"], twice=_STEADY),
    "reconnect": Story(
        "the connection is lost while the tool runs; the user's words open another",
        SCENARIOS["reconnect"],
        bounds=_RECONNECT,
        twice=_STEADY,
    ),
    "slow-confirmation": Story(
        "one call, and an API that takes its time to confirm what it got", SCENARIOS["single"], bounds={"ack_ms": "10:25000"}
    ),
    "voice": Story("the user asks by voice", _SPOKEN_FIRST, bounds=_SPEECH),
    "voice-at-call": Story(
        "the user speaks while the tool runs",
        _VOICE_AT_CALL,
        bounds={**_SPEECH, **_QUICK},
        twice=_FOUR_REQUESTS,
    ),
    "barge-in": Story("the user speaks into the reply", SCENARIOS["barge-in"], bounds={**_SPEECH, **_QUICK}),
    "spoken-last": Story(
        "a written turn with a spoken reply, then a spoken one", _SPOKEN_LAST, modality="audio", bounds=_SPEECH
    ),
    "two-texts": Story(
        "the user sends two texts within 300 ms", _TWO_TEXTS, bounds={**_STEADY, "inject_ms": "0:300"}, twice=_FOUR_REQUESTS
    ),
    "three-turns": Story("three turns with one call each", _THREE_TURNS, bounds=_QUICK),
    "spoken-calls": Story(
        "a written question, then a spoken one, with one call each", _SPOKEN_CALLS, bounds={**_SPEECH, **_QUICK}, twice=_STEADY
    ),
    "spoken-unconfigured": Story(
        "a text before Settings, then a spoken question; without session.update, the API has its recorded defaults",
        _SPOKEN_UNCONFIGURED,
        bounds={**_SPEECH, **_QUICK},
        twice=_STEADY,
    ),
    "idle-close": Story(
        "the component closes a connection that is idle for 10 s",
        SCENARIOS["single"],
        idle_close=True,
        bounds={"tool_ms": "0:12000"},
        twice={**_STEADY, "tool_ms": "8000:12000"},
    ),
    "reply-failed": Story("the API ends the first reply as failed", _answered_with("failed"), bounds=_QUICK),
    "reply-incomplete": Story("the API ends the first reply as incomplete", _answered_with("incomplete"), bounds=_QUICK),
    "create-error": Story("the API answers the request after the result with an error", _answered_with("error"), bounds=_QUICK),
    "create-error-spoken": Story(
        "the API answers the request after the result with an error; then the user speaks",
        _answered_with("error", "voice"),
        bounds={**_SPEECH, **_QUICK},
    ),
    "late-output": Story(
        "an API that accepts a result only after response.done",
        SCENARIOS["single"],
        knobs={"function_output": "response_done"},
        bounds=_QUICK,
    ),
    "session-end": Story(
        "the API ends the session, as after its 60 minutes", SCENARIOS["single"], bounds={**_QUICK, "session_end_ms": "0:3000"}
    ),
    "remount": Story(
        "the component was mounted anew while a tool ran: its result reaches the new connection",
        _STRAY,
        bounds={**_STEADY, "tool_ms": "0:2000", "inject_ms": "1000:1500"},
        twice={},
        without=dict.fromkeys(
            ("return", "async_send", "void_send", "ref_now"),
            "the result goes to the old connection, and the new one is as in single",
        ),
    ),
}


#: `STORIES`, and those with a forwarder, which are explored only if they are named.
ALL_STORIES: Final[dict[str, Story]] = {
    **STORIES,
    **{
        f"forwarder-{name}": Story(
            f"a text and one during its reply, through the forwarder {name}", _TEXT_AT_REPLY, forwarder=name, bounds=_OPENING
        )
        for name in FORWARDERS
    },
}


def session_of(
    name: str, handler: str, release: str, component: str | None = None, workaround: str | None = None
) -> SessionConfig:
    """Return the session that plays a scenario."""
    story = ALL_STORIES[name]
    session = SessionConfig.of(
        release=release,
        component_tag=component,
        handler=handler,
        modality=story.modality,
        preamble=story.preamble,
        tool_end=story.scenario.tool_end,
        workaround=workaround,
        idle_close=story.idle_close,
        knobs_given=story.knobs,
        forwarder=story.forwarder,
    )
    return replace(session, scenario=story.scenario, calls=story.calls)


def client_stories(names: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Return (scenario, handler style) pairs for a client without a proxy, which has no handler. Empty `names` selects every
    scenario that such a session can play to its end.

    Raises:
        InputError: an unknown name.
    """

    def possible(story: Story) -> bool:
        return is_written(story.scenario) and not story.idle_close and "session_end_ms" not in story.bounds

    return [(name, "return") for name, _ in stories(names, ["return"]) if names or possible(STORIES[name])]


def bounds_of(name: str, handler: str) -> dict[str, str]:
    """Return the intervals of a scenario with a handler style that differ from the default."""
    story = ALL_STORIES[name]
    return {**story.bounds, **(story.twice if HANDLERS[handler].submissions > 1 else {})}


def stories(names: Sequence[str] = (), handlers: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Return (scenario, handler style) pairs. Empty `names` selects every scenario without a forwarder; empty `handlers`, the
    styles of each scenario.

    Raises:
        InputError: an unknown name.
    """
    for where, given, known in (("scenario", names, ALL_STORIES), ("handler", handlers, HANDLERS)):
        for each in given:
            one_of(where, each, known)
    return [(name, each) for name in names or STORIES for each in handlers or ALL_STORIES[name].handlers]
