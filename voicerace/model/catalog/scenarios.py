"""Scenarios as data: the inputs of the user, and the responses of the model.

Each scenario ends with one more user turn, which distinguishes a stuck session from a single lost reply.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, get_args

from voicerace.errors import one_of

#: Response of the model: function calls, a reply, or a reply that the API ends as ``failed`` or ``incomplete``. ``error``: the
#: API answers the request with an error.
Step: TypeAlias = Literal["calls", "reply", "failed", "incomplete", "error"]
#: When the user gives an input. ``settled``: when the previous turn has an informed reply, no pending result and no active
#: response, or at `deadline_ms`. ``connected``: when the connection is open, before Settings. ``call``: `inject_ms` after the
#: function call. ``reply``: `inject_ms` after a reply's first output. ``soon``: `inject_ms` after the previous input.
#: ``offline``: `offline_ms` after the connection was lost.
When: TypeAlias = Literal["settled", "connected", "call", "reply", "soon", "offline"]


@dataclass(frozen=True)
class ScriptedInput:
    """An input of the user, and the model's responses to it. The last of `steps` repeats for all later responses.

    `by` ``loss`` is not an input: the host loses its network connection. ``stray`` neither: the component was mounted anew while
    a tool ran, and `tool_ms` later its result reaches the new connection, which does not know the call (docs/repro-app.md).
    """

    text: str
    steps: tuple[Step, ...]
    when: When = "settled"
    by: Literal["text", "voice", "loss", "stray"] = "text"


@dataclass(frozen=True)
class Scenario:
    """A scenario, for any release and any times.

    Attributes:
        name: name on the command line.
        sentence: description for tables and help texts.
        time_axis: name of the time that a sweep varies.
        origin: source of the scenario, or the reason for it.
        inputs: the user's inputs, in order.
        calls: number of function calls in a response with calls, or None if `--calls` sets it.
        repeats: number of repetitions of each result through the ref, one every `repeat_ms`.
        tool_end: how the tool ends by default.
        late_settings: whether Settings is sent `settings_ms` after the connection is open, and again `settings_ms` later.
        times: default times of the scenario, by name.
    """

    name: str
    sentence: str
    time_axis: str
    origin: str
    inputs: tuple[ScriptedInput, ...]
    calls: int | None = 1
    repeats: int = 0
    tool_end: str = "result"
    late_settings: bool = False
    times: Mapping[str, str] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.name, self.inputs))


def is_written(scenario: Scenario) -> bool:
    """Return whether the user only writes, the tool ends once, and the connection is not lost."""
    plain = scenario.repeats == 0 and scenario.tool_end == "result" and not scenario.late_settings
    return plain and all(each.by == "text" for each in scenario.inputs)


_QUESTION = ScriptedInput("What is the weather in Lisbon?", ("calls", "reply"))
_LAST = ScriptedInput("Thank you. Anything else I should know?", ("reply",))

SCENARIOS: Final[dict[str, Scenario]] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "single", "one user message, one function call, one result", "tool_ms",
            "minimal reproduction (docs/background.md#request-3-a-minimal-reproduction): connect, one user message, one function call, one result",
            (_QUESTION, _LAST),
        ),
        Scenario(
            "parallel", "one user message, several function calls in one response, one result each", "tool_ms",
            "parallel calls make the gap the time the remaining calls take",
            (_QUESTION, _LAST),
            calls=None,
        ),
        Scenario(
            "double", "as single, and the app sends its result a second time through the ref", "tool_ms",
            "docs/background.md#request-2-double-submission: could sendFunctionCallResponse be called twice?",
            (_QUESTION, _LAST),
            repeats=1,
        ),
        Scenario(
            "chained", "the result makes the model call again; then it replies", "tool_ms",
            "an agent's usual turn: look up, then act; every step is a race of its own",
            (ScriptedInput(_QUESTION.text, ("calls", "calls", "reply")), _LAST),
        ),
        Scenario(
            "late-settings", "the user writes before Settings; Settings comes late, and a second time", "settings_ms",
            "docs/background.md#suspicion-second-update; docs/release-facts.md#settings: a text before Settings can prevent its session.update",
            (ScriptedInput(_QUESTION.text, ("calls", "reply"), when="connected"), _QUESTION, _LAST),
            late_settings=True,
        ),
        Scenario(
            "inject", "the user writes again while the tool runs, and again while the reply is spoken", "inject_ms",
            "docs/release-facts.md#user-text: no release checks its flag before a text's response.create",
            (_QUESTION, ScriptedInput("And in Porto?", ("reply",), when="call"), ScriptedInput("And in Faro?", ("reply",), when="reply"), _LAST),
        ),
        Scenario(
            "barge-in", "the user writes the question, then speaks into the reply", "inject_ms",
            "docs/protocol-facts.md#server-voice-detection: speech cancels the reply and begins a response of the server",
            (_QUESTION, ScriptedInput("No, in Porto.", ("reply",), when="reply", by="voice"), _LAST),
        ),
        Scenario(
            "voice", "the user asks by voice, and speaks on while the tool runs", "tool_ms",
            "two writers, the client and the server (docs/protocol-facts.md#who-can-take-the-slot), cause most public reports",
            (
                ScriptedInput(_QUESTION.text, ("calls", "reply"), by="voice"),
                ScriptedInput("Hurry up, please.", ("reply",), when="call", by="voice"),
                _LAST,
            ),
        ),
        Scenario(
            "reconnect", "the host's connection is lost while the tool runs; the user's next words open another", "tool_ms",
            "the component opens a lost connection at the next text, never for a result (`injectUserMessage`, `sendJSON`)",
            (
                _QUESTION,
                ScriptedInput("", (), when="call", by="loss"),
                ScriptedInput("Are you still there?", ("reply",), when="offline"),
                _LAST,
            ),
            times={"tool_ms": "400"},
        ),
        Scenario(
            "slow-tool", "the tool takes 25 s, longer than the proxy's 20 s timer", "tool_ms",
            "docs/release-facts.md#release-events: from 0.10.3 a waiting create is sent after 20 s",
            (_QUESTION, _LAST),
            times={"tool_ms": "25000"},
        ),
        Scenario(
            "failing-tool", "the tool fails, and the app says so", "tool_ms",
            "an error is a result too; it is told apart from the component's default error",
            (_QUESTION, _LAST),
            tool_end="error",
        ),
    )
}  # fmt: skip

#: The scenario of `voicerace repro`. It has no further turn, so it cannot distinguish a lost reply from a stuck session.
REPRO: Final = Scenario(
    "repro",
    "connect, Settings, one user message, one function call, one result, and no word more",
    "tool_ms",
    "docs/background.md#request-3-a-minimal-reproduction, and nothing more",
    (_QUESTION,),
)

#: Plan of a served mock: each user turn has calls, then replies.
DEFAULT_PLAN: Final = "calls,reply"


def inputs_of(plan: str) -> tuple[ScriptedInput, ...]:
    """Return the inputs of a plan such as ``calls,reply;reply``.

    Args:
        plan: user turns separated by semicolons; in each turn its steps, separated by commas. The last step of a turn and the last
            turn repeat.

    Raises:
        InputError: a response has another name, or is empty.
    """
    turns = [[one_of("plan", step.strip(), get_args(Step)) for step in turn.split(",")] for turn in plan.split(";")]
    return tuple(ScriptedInput(_QUESTION.text, tuple(steps)) for steps in turns)  # type: ignore[arg-type]  # checked by one_of


def plan_of(inputs: tuple[ScriptedInput, ...]) -> str:
    """Return the plan of inputs, see `inputs_of`."""
    return ";".join(",".join(each.steps) for each in inputs)
