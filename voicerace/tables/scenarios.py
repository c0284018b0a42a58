"""Scenarios: who does what, triggered by what. Each is data; the parties carry it out.

A scenario says what the user says and what the model makes of it. Every session ends with one more user turn, so that
a session which is stuck for good is told apart from one lost reply.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

#: What the model does with one user input, response by response; the last entry serves every response after it.
Step: TypeAlias = Literal["calls", "reply"]


@dataclass(frozen=True)
class UserInput:
    """One thing the user says, and the responses the model gives to it.

    The next input follows when the turn is settled (an informed reply is done, no result is pending, no response is
    active), or at `deadline_ms`.
    """

    text: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Scenario:
    """One story, whatever the release and the times.

    Attributes:
        name: what the command line calls it.
        sentence: what happens, in one line.
        time_axis: the time that a sweep of this scenario is about.
        origin: why it is here.
        inputs: what the user says, in order.
        calls: function calls in the model's first response; None when `--calls` sets it.
        repeats: how often the app sends each result again through the ref, `repeat_ms` apart.
    """

    name: str
    sentence: str
    time_axis: str
    origin: str
    inputs: tuple[UserInput, ...]
    calls: int | None = 1
    repeats: int = 0


_QUESTION = UserInput("What is the weather in Lisbon?", ("calls", "reply"))
_LAST = UserInput("Thank you. Anything else I should know?", ("reply",))

SCENARIOS: Final[dict[str, Scenario]] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "single",
            "one user message, one function call, one result",
            "tool_ms",
            "the brief's minimal repro: connect, one user message, one function call, one result",
            (_QUESTION, _LAST),
        ),
        Scenario(
            "parallel",
            "one user message, several function calls in one response, one result each",
            "tool_ms",
            "parallel calls make the gap the time the remaining calls take",
            (_QUESTION, _LAST),
            calls=None,
        ),
        Scenario(
            "double",
            "as single, and the app sends its result a second time through the ref",
            "tool_ms",
            "the brief's second request: could sendFunctionCallResponse be called twice?",
            (_QUESTION, _LAST),
            repeats=1,
        ),
    )
}

#: What `voicerace repro` plays. It ends with the turn, so it cannot tell a lost reply from a session that is stuck.
REPRO: Final = Scenario(
    "repro",
    "connect, Settings, one user message, one function call, one result, and no word more",
    "tool_ms",
    "the brief's third request, to the letter",
    (_QUESTION,),
)
