"""Scripts in which an app's own code could answer a call twice: retries, subscribers, StrictMode, remounts, hot reloads.

The app starts the agent in an effect, as React apps do. Times are in ms since then. In each script the proxy requests one call
at `CALLED`, the tool takes `TOOL_MS`, and what the app does besides happens `ACT_MS` after the request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.component.cases import APPLIED, Case, ScriptStep, asks, does, says
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.protocol import agent

__all__ = ["ACT_MS", "CALLED", "CAUSES", "RETRY_MS", "TOOL_MS", "Cause", "TwiceCase", "twice_cases"]

CALLED: Final = 1000
TOOL_MS: Final = 300
ACT_MS: Final = 100
RETRY_MS: Final = 200
#: End of a script. The idle timeout (10 s) of a connection without use ends before.
UNTIL: Final = 20_000


@dataclass(frozen=True)
class Cause:
    """What an app does besides.

    Attributes:
        sentence: description.
        strict: whether it is rendered under StrictMode.
        steps: further steps.
        script: further fields of the script.
        repeats: how often the app sends each result again.
        handlers: the handler styles to play.
    """

    sentence: str
    strict: bool = False
    steps: Sequence[ScriptStep] = ()
    script: Mapping[str, Any] = field(default_factory=dict)
    repeats: int = 0
    handlers: Sequence[str] = tuple(HANDLERS)


def _act(verb: str) -> tuple[ScriptStep, ...]:
    """Return a step while the tool runs, and the user's next text."""
    return does(CALLED + ACT_MS, verb), does(CALLED + ACT_MS + 2000, "inject", text="And in Porto?")


_LEAKY: Final = {"leaky": True}
_TWO: Final = {"components": 2}
CAUSES: Final[dict[str, Cause]] = {
    "nothing else": Cause("it answers the call"),
    "StrictMode": Cause("React mounts, unmounts and mounts the app", strict=True),
    "retry": Cause("the app sends the result again through the ref 200 ms later", repeats=1),
    "retry by sendResponse": Cause(
        "the app calls `sendResponse` again 200 ms later", script={"repeat_by": "send"}, repeats=1,
        handlers=("return", "async_send", "void_send"),
    ),
    "leaky effect": Cause("an effect subscribes to calls and never unsubscribes", script=_LEAKY),
    "leaky effect, StrictMode": Cause(
        "the same effect, which StrictMode runs twice: two registrations", strict=True, script=_LEAKY,
        repeats=1,
    ),
    "remount": Cause("the component gets another key while the tool runs", steps=_act("remount")),
    "remount, StrictMode": Cause("the same under StrictMode", strict=True, steps=_act("remount")),
    "hot reload, new handler": Cause("the app is rendered with a new handler while the tool runs", steps=_act("rerender")),
    "hot reload, remount": Cause("the app's component is replaced while the tool runs", steps=_act("retype")),
    "two components, one asks": Cause("two components are started; the user writes to the first", script=_TWO),
    "two components, both ask": Cause(
        "two components are started; the user writes to both", script=_TWO,
        steps=(does(500, "inject", text="Hello?", component=1), asks(CALLED, "call_2") | {"socket": 1}),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class TwiceCase:
    """A cause with a handler style.

    Attributes:
        cause: a name of `CAUSES`.
        handler: name of the handler style.
    """

    cause: str
    handler: str

    @property
    def name(self) -> str:
        return f"{self.cause}, {self.handler}"

    def script(self) -> dict[str, Any]:
        """Return the script for `harness.test.tsx`."""
        cause = CAUSES[self.cause]
        steps = [
            says(APPLIED + 10, agent.settings_applied()) | {"socket": 0},
            does(500, "inject", text="What is the weather?"),
            asks(CALLED, "call_1") | {"socket": 0},
            *cause.steps,
        ]
        ordered = sorted(steps, key=lambda step: step["at"])
        repeat_ms = RETRY_MS if cause.repeats else 0
        case = Case(
            self.name,
            ordered,
            UNTIL,
            self.handler,
            "result",
            (TOOL_MS,),
            0 if "leaky" in cause.script else cause.repeats,
            repeat_ms,
        )
        return {**case.script(), "marks": True, "starts": "effect", "strict": cause.strict, **cause.script}


def twice_cases() -> Iterator[TwiceCase]:
    """Yield every cause with its handler styles."""
    for name, cause in CAUSES.items():
        for handler in cause.handlers:
            yield TwiceCase(name, handler)
