"""What each release of the component, voice-agent-react, does as far as it decides a race: one knob per rule.

Read at every tag of Signal-Meaning/dg_react_agent from 0.9.0 to 0.11.1 (`src/`: ten programs under eighteen tags) and
seen on the running component (data/README.md, "component"). What the app is told of a message is the table beside
this one, `model.catalog.callbacks`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from voicerace.errors import one_of

__all__ = ["COMPONENTS", "TAGS", "Component", "component"]

#: How the component's idle timeout, ten seconds unless the app says otherwise, sees a session. Its rules changed more
#: often than anything else in it.
#: ``forgets``: the agent's state counts only at the moment it changes, so the ten seconds also run from a result and
#: from AgentThinking, AgentStartedSpeaking and AgentAudioDone, while the agent thinks or speaks.
#: ``message``: as before, but behind a result they wait for the next message, and any message starts them.
#: ``runs_on``: the state counts, but thinking, speaking and playing do not stop ten seconds that run already.
#: ``rests``: they run while nobody does anything.
Idle = Literal["forgets", "message", "runs_on", "rests"]


@dataclass(frozen=True)
class Component:
    """One release of voice-agent-react.

    Attributes:
        tag: the repository's tag.
        source: hash of the program (`tests/component/runner.py`).
        default_error: a handler that answered nothing is answered for by the component (its #355); also where the
            handler used the ref's `sendFunctionCallResponse`.
        microphone_opens: when user audio may follow Settings: 500 ms after they were ``sent``, or as soon as they
            are ``applied`` too; frames before that are dropped.
        history_as_context: on a new connection Settings carry the conversation that the component itself has kept,
            which it does where it was given a `conversationStorage`; before, only `agentOptions.context`.
        warns_of_context: onContextWarning when a new connection's Settings carry no conversation.
        tool_choice: agentOptions has tool choice, output modalities and voice of the session. There is no release
            whose options can ask for `useOpenAIManualAudioCommit`.
        idle: the rules of the idle timeout.
        chained: a call that follows a result ends the wait for the agent's next message.
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
        """The tag as numbers, in the order of the releases."""
        return tuple(int(part) for part in self.tag.split("."))


def _rows() -> tuple[Component, ...]:
    """The table, each row as what changed against the row it came from."""
    first = Component("0.9.0", "4a82381fc36a")
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
        *(replace(first, tag=f"0.9.{n}") for n in range(7)),
        warns,
        message,
        context,
        chained,
        replace(chained, tag="0.10.2"),
        pcm,
        rests,
        options,
        started,
        voice,
        replace(voice, tag="0.11.1"),
    )


COMPONENTS: Final[dict[str, Component]] = {row.tag: row for row in _rows()}
TAGS: Final = tuple(COMPONENTS)


def component(name: str, where: str = "component") -> Component:
    """The component's row called `name`.

    Raises:
        InputError: the name is unknown.
    """
    return COMPONENTS[one_of(where, name.strip().removeprefix("v") if isinstance(name, str) else name, COMPONENTS)]
