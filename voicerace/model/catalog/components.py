"""The releases of the component, voice-agent-react. Each difference that can decide a race is a setting.

Source: `src/` at every tag of Signal-Meaning/dg_react_agent from 0.9.0 to 0.11.1 (ten programs under eighteen tags), and
observations of the running component (data/README.md, "component"). `model.catalog.callbacks` lists the app's callbacks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from voicerace.errors import one_of

__all__ = ["COMPONENTS", "TAGS", "ComponentRelease", "component"]

#: Rule for when the component's idle timeout, by default ten seconds, runs.
#: ``forgets``: the agent's state matters only when it changes. A result, AgentThinking, AgentStartedSpeaking and
#: AgentAudioDone start the timeout, even if the agent thinks or speaks.
#: ``message``: like ``forgets``, but after a result the next message of any type starts the timeout.
#: ``runs_on``: the agent's state matters, but thinking, speaking and playback do not stop a running timeout.
#: ``rests``: the timeout runs while neither the user nor the agent is active.
Idle = Literal["forgets", "message", "runs_on", "rests"]


@dataclass(frozen=True)
class ComponentRelease:
    """One release of voice-agent-react.

    Attributes:
        tag: tag in the repository.
        source: hash of the program (`tests/component/runner.py`).
        default_error: whether the component answers a call with an error if the handler returns nothing (issue #355), even
            if the handler has called the ref's `sendFunctionCallResponse`.
        microphone_opens: when the component starts to send user audio: 500 ms after Settings were ``sent``, or when they
            are ``applied``. Earlier frames are dropped.
        history_as_context: whether Settings of a new connection contain the conversation in the app's
            `conversationStorage`. Otherwise they contain only `agentOptions.context`.
        warns_of_context: whether onContextWarning is called if the Settings of a new connection contain no conversation.
        tool_choice: whether agentOptions has the session's tool choice, output modalities and voice. No release has an
            option for `useOpenAIManualAudioCommit`.
        idle: rule for the idle timeout.
        chained: whether a call after a result ends the wait for the agent's next message.
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
        """The tag as a tuple of numbers, for sorting by release."""
        return tuple(int(part) for part in self.tag.split("."))


def _rows() -> tuple[ComponentRelease, ...]:
    """Return all releases in order. Each release is defined by its differences from an earlier release."""
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
    """Return the component release with a tag (``0.9.1`` or ``v0.9.1``).

    Raises:
        InputError: the tag is unknown.
    """
    return COMPONENTS[one_of(where, name.strip().removeprefix("v") if isinstance(name, str) else name, COMPONENTS)]
