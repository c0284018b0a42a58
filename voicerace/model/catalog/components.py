"""The releases of the component, voice-agent-react: one setting per rule that can decide a race.

Read at every tag of Signal-Meaning/dg_react_agent from 0.9.0 to 0.11.1 (`src/`: ten programs under eighteen tags) and
observed on the running component (data/README.md, "component"). The app's callbacks are in `model.catalog.callbacks`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from voicerace.errors import one_of

__all__ = ["COMPONENTS", "TAGS", "ComponentRelease", "component"]

#: The rule of the component's idle timeout, by default ten seconds.
#: ``forgets``: the agent's state matters only when it changes, so the timeout also runs from a result and from
#: AgentThinking, AgentStartedSpeaking and AgentAudioDone, while the agent thinks or speaks.
#: ``message``: as ``forgets``, but after a result the next message starts it, of any type.
#: ``runs_on``: the state matters, but thinking, speaking and playing do not stop a timeout that is running.
#: ``rests``: it runs while neither the user nor the agent is active.
Idle = Literal["forgets", "message", "runs_on", "rests"]


@dataclass(frozen=True)
class ComponentRelease:
    """One release of voice-agent-react.

    Attributes:
        tag: the repository's tag.
        source: hash of the program (`tests/component/runner.py`).
        default_error: the component sends a result itself for a handler that returns nothing (its #355), even if the
            handler has called the ref's `sendFunctionCallResponse`.
        microphone_opens: user audio is sent from 500 ms after Settings were ``sent``, or from when they are ``applied``;
            earlier frames are dropped.
        history_as_context: Settings of a new connection contain the conversation kept in the app's `conversationStorage`;
            else only `agentOptions.context`.
        warns_of_context: onContextWarning if the Settings of a new connection contain no conversation.
        tool_choice: agentOptions has tool choice, output modalities and voice of the session. No release has an option for
            `useOpenAIManualAudioCommit`.
        idle: the rule of the idle timeout.
        chained: a call after a result ends the wait for the agent's next message.
    """

    tag: str
    source: str
    default_error: bool = True
    microphone_opens: Literal["sent", "applied"] = "sent"
    history_as_context: bool = False
    warns_of_context: bool = False
    tool_choice: bool = False
    idle: Idle = "forgets"
    chained: bool = False

    @property
    def number(self) -> tuple[int, ...]:
        """The tag as numbers, which sort by release."""
        return tuple(int(part) for part in self.tag.split("."))


def _rows() -> tuple[ComponentRelease, ...]:
    """The table, each row by its changes from an earlier one."""
    first = ComponentRelease("0.9.0", "4a82381fc36a")
    warns = replace(first, tag="0.9.7", source="9f2a49d903ea", warns_of_context=True)
    message = replace(warns, tag="0.9.8", source="43bb99cd992f", idle="message")
    context = replace(message, tag="0.10.0", source="19c930b32474", history_as_context=True, idle="runs_on")
    chained = replace(context, tag="0.10.1", source="39e995a920fb", chained=True)
    pcm = replace(chained, tag="0.10.3", source="efe493c794cd")
    rests = replace(pcm, tag="0.10.4", source="a4d9b6618241", idle="rests")
    options = replace(rests, tag="0.10.5", source="81aeb58cb805", tool_choice=True)
    started = replace(options, tag="0.10.6", source="6f799e569129")
    voice = replace(started, tag="0.11.0", source="344dce9d1849", microphone_opens="applied")
    return (
        *(replace(first, tag=f"0.9.{n}") for n in range(7)), warns, message, context, chained, replace(chained, tag="0.10.2"),
        pcm, rests, options, started, voice, replace(voice, tag="0.11.1"),
    )  # fmt: skip


COMPONENTS: Final[dict[str, ComponentRelease]] = {row.tag: row for row in _rows()}
TAGS: Final = tuple(COMPONENTS)


def component(name: str, where: str = "component") -> ComponentRelease:
    """Find the component with a tag.

    Raises:
        InputError: the name is unknown.
    """
    return COMPONENTS[one_of(where, name.strip().removeprefix("v") if isinstance(name, str) else name, COMPONENTS)]
