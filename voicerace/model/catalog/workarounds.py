"""Workarounds: changes to an app that avoid the race and use only the component's public API.

The TypeScript uses the app's `tool(call)` and `sleep(ms)`, and the component's `ref`. The functions `on...` are the component's
props. Source of `PUBLIC_API`: `src/types/index.ts` and `src/index.ts` at every tag from 0.9.0 to 0.11.1. `why_not` decides
from the callbacks that a workaround needs whether a tag allows it.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from voicerace.errors import one_of
from voicerace.model.catalog.callbacks import Agent, rows_of
from voicerace.model.catalog.releases import ProxyRelease

__all__ = ["PUBLIC_API", "WORKAROUNDS", "Workaround", "why_not", "workaround"]

#: Declaration of each name, by default in `src/types/index.ts`. It is the same at every tag from 0.9.0 to 0.11.1.
PUBLIC_API: Final = {
    "onFunctionCallRequest": "DeepgramVoiceInteractionProps",
    "onAgentStateChange": "DeepgramVoiceInteractionProps",
    "onAgentUtterance": "DeepgramVoiceInteractionProps",
    "onError": "DeepgramVoiceInteractionProps",
    "injectUserMessage": "DeepgramVoiceInteractionHandle",
    "sendFunctionCallResponse": "DeepgramVoiceInteractionHandle",
    "FunctionCallRequest": "type",
    "FunctionCallResponse": "type",
    "AgentState": "type of src/types/agent.ts",
    "DeepgramError": "type of src/types/connection.ts",
}


class Workaround(NamedTuple):
    """A change to an app that avoids the race.

    Attributes:
        sentence: what the app does, for tables and help texts.
        typescript: code for the app.
        handlers: handler styles that allow the workaround. The component does not send their results twice.
        holds: how long the app holds a result: not at all (``no``), until `hold_ms` after the function call (``time``), or
            until the component reports that the agent is idle (``idle``), but at most `fallback_ms`.
        placeholder: whether the app answers the call at once and sends the tool's result as a user message.
        asks_again: whether the app sends another user message if the agent says nothing within `hold_ms` after a reported
            refusal or within `fallback_ms` after a result.
        since: first tag with the API that the workaround needs.
        costs: disadvantages other than the response latency.
    """

    sentence: str
    typescript: str
    handlers: tuple[str, ...] = ("return", "async_send")
    holds: Literal["no", "time", "idle"] = "no"
    placeholder: bool = False
    asks_again: bool = False
    since: str = "0.9.0"
    costs: str = "nothing"

    @property
    def listens(self) -> bool:
        """Whether the workaround depends on callbacks of the component."""
        return self.holds == "idle" or self.asks_again


WORKAROUNDS: Final[dict[str, Workaround]] = {
    "await-and-return": Workaround(
        "await the tool and return {id, result}: the component has no reason to send an error of its own",
        """\
const onFunctionCallRequest = async (call: FunctionCallRequest): Promise<FunctionCallResponse> =>
  ({ id: call.id, result: await tool(call) });""",
    ),
    "wait-fixed": Workaround(
        "give no result before hold_ms have passed since the function call",
        """\
const onFunctionCallRequest = async (call: FunctionCallRequest): Promise<FunctionCallResponse> => {
  const held = sleep(HOLD_MS);
  // A tool that throws waits, too: its error is a result like any other.
  try { return { id: call.id, result: await tool(call) }; } finally { await held; }
};""",
        holds="time",
        costs="every tool that is faster than hold_ms takes hold_ms; a gap longer than that is a race again",
    ),
    "wait-for-done": Workaround(
        "give no result before the component has said that the agent is idle, or fallback_ms have passed",
        """\
let waiting: (() => void)[] = [];
const idle = (ms: number) => new Promise<void>((go) => { waiting.push(go); setTimeout(go, ms); });
const onAgentStateChange = (state: AgentState) => {
  if (state === 'idle') { waiting.forEach((go) => go()); waiting = []; }
};
const onFunctionCallRequest = async (call: FunctionCallRequest): Promise<FunctionCallResponse> => {
  const held = idle(FALLBACK_MS);
  try { return { id: call.id, result: await tool(call) }; } finally { await held; }
};""",
        holds="idle",
        costs="behind a spoken or written preamble idle comes too early, or not before fallback_ms",
    ),
    "answer-at-once": Workaround(
        "answer the call at once with a placeholder, and say what the tool gives in the user's name",
        """\
const onFunctionCallRequest = async (call: FunctionCallRequest): Promise<FunctionCallResponse> => {
  void tool(call).then((result) =>
    ref.current?.injectUserMessage(`Result of ${call.name}, tell me: ${JSON.stringify(result)}`));
  return { id: call.id, result: { status: 'still running; say that you are looking it up' } };
};""",
        placeholder=True,
        costs="the reply to the call does not know the result (stale, but for the formal result); a second reply, to words "
        "that the user never said, does; they stand in the transcript; and they are a create that nothing holds back",
    ),
    "ask-again": Workaround(
        "say 'please go on' in the user's name, hold_ms behind a refusal or fallback_ms behind a result without a word",
        """\
let silence: ReturnType<typeof setTimeout> | undefined;
const askIn = (ms: number) => { clearTimeout(silence);
  silence = setTimeout(() => void ref.current?.injectUserMessage('Please go on.'), ms); };
const onAgentUtterance = () => clearTimeout(silence);
const onError = (e: DeepgramError) => { if (e.code === 'conversation_already_has_active_response') askIn(HOLD_MS); };
const onFunctionCallRequest = async (call: FunctionCallRequest): Promise<FunctionCallResponse> => {
  const result = await tool(call); askIn(FALLBACK_MS);
  return { id: call.id, result };
};""",
        asks_again=True,
        costs="it heals and does not prevent; words that the user never said; one reply too many where the first was only slow",
    ),
}  # fmt: skip


def workaround(name: str) -> Workaround:
    """Return the workaround with a name.

    Raises:
        InputError: the name is unknown.
    """
    return WORKAROUNDS[one_of("workaround", name, WORKAROUNDS)]


def why_not(name: str, release: ProxyRelease, component: str, handler: str) -> str | None:
    """Return why a proxy release, a component tag or a handler style rules out a workaround, or None if none does."""
    row = workaround(name)
    if handler not in row.handlers:
        return f"handler {handler}: the component itself sends a second result; take {' or '.join(row.handlers)}"
    if row.holds != "idle":
        return None
    shown = rows_of(component)
    idle_messages = [
        message for message in ("AgentDone", "AgentAudioDone")
        if any(isinstance(step, Agent) and step.state == "idle" for step in shown[message].steps)
    ]  # fmt: skip
    if idle_messages and release.agent != "none":
        return None
    if idle_messages:
        return f"the proxy {release.tag} sends no {' or '.join(idle_messages)} at a response's end"
    sent = "response.done" if release.done_raw else "nothing"
    return (
        f"no callback of the component {component} shows a response's end: the proxy {release.tag} sends {sent}"
        + (", of which the app is told nothing" if release.done_raw else "")
    )  # fmt: skip
