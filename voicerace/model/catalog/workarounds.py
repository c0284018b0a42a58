"""Workarounds: changes of an app that avoid the race, with the component's public API only.

The TypeScript uses `tool(call)`, `ref` (the component's) and `sleep(ms)` of the app; the functions `on...` are the component's
props. `PUBLIC_API` was read in `src/types/index.ts` and `src/index.ts` of every tag from 0.9.0 to 0.11.1. Whether a tag allows
a workaround follows from the callbacks that it needs (`why_not`).
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from voicerace.errors import one_of
from voicerace.model.catalog.callbacks import Agent, rows_of
from voicerace.model.catalog.releases import ProxyRelease

__all__ = ["PUBLIC_API", "WORKAROUNDS", "Workaround", "why_not", "workaround"]

#: Name -> its declaration, by default in `src/types/index.ts`; the same in every tag from 0.9.0 to 0.11.1.
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
    """A workaround.

    Attributes:
        sentence: what it does.
        typescript: the code for the app.
        handlers: the handler styles that allow it: those whose result the component does not send twice.
        holds: how long the app holds a result: not at all (``no``), for `hold_ms` after the request (``time``), or until
            the component reports that the agent is idle (``idle``), at most `fallback_ms`.
        placeholder: the app answers the call at once, and sends the tool's result as a user message.
        asks_again: the app sends a further user message `hold_ms` after a reported refusal, or `fallback_ms` after a result
            without text of the agent.
        since: the first tag with the API that it needs.
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
        """Whether it depends on callbacks of the component."""
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
    """Find a workaround.

    Raises:
        InputError: the name is unknown.
    """
    return WORKAROUNDS[one_of("workaround", name, WORKAROUNDS)]


def why_not(name: str, release: ProxyRelease, component: str, handler: str) -> str | None:
    """The reason why this proxy, component and handler do not allow a workaround; None if they do."""
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
