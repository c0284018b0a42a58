"""What an app can do about the race by itself, with nothing but the component's public API: one row per workaround.

The TypeScript stands in the app, beside `tool(call)`, `ref` (the component's) and `sleep(ms)`; the functions it names
`on...` are the component's props. Names were read in `src/types/index.ts` and `src/index.ts` of every tag from 0.9.0 to
0.11.1 (`PUBLIC_API`). Whether a workaround can be written for a tag is not said here: it follows from the callbacks that
it needs and what the tag's proxy and component show (`why_not`).
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from voicerace.errors import one_of
from voicerace.model.catalog.callbacks import Agent, rows_of
from voicerace.model.catalog.releases import ProxyRelease

__all__ = ["PUBLIC_API", "WORKAROUNDS", "Workaround", "why_not", "workaround"]

#: Name -> where it is declared, `src/types/index.ts` unless said otherwise; the same in every tag from 0.9.0 to 0.11.1.
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
    """One way around the race.

    Attributes:
        sentence: what it does.
        typescript: the lines an app needs.
        handlers: the handler styles it can be written in: those whose result the component cannot send a second time.
        holds: until when the app holds a result back: ``no``, for `hold_ms` after the request (``time``), or until it
            is told that the agent is idle (``idle``), at most `fallback_ms`.
        placeholder: the call is answered at once; what the tool gives is said in the user's name.
        asks_again: behind a refusal it is told of, and behind `fallback_ms` without a word of the agent, it says one
            more thing in the user's name, `hold_ms` behind a refusal.
        since: the first tag in which its API exists.
        costs: what it costs, besides dead air.
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
        """What the app is shown decides what it does."""
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
    """The row called `name`.

    Raises:
        InputError: the name is unknown.
    """
    one_of("workaround", name, WORKAROUNDS)
    return WORKAROUNDS[name]


def why_not(name: str, release: ProxyRelease, component: str, handler: str) -> str | None:
    """Why a workaround cannot be written for this proxy, component and handler; None when it can."""
    row = workaround(name)
    if handler not in row.handlers:
        return f"handler {handler}: the component itself sends a second result; take {' or '.join(row.handlers)}"
    if row.holds != "idle":
        return None
    shown = rows_of(component)
    told = [
        message for message in ("AgentDone", "AgentAudioDone")
        if any(isinstance(step, Agent) and step.state == "idle" for step in shown[message].steps)
    ]  # fmt: skip
    if told and release.agent != "none":
        return None
    if told:
        return f"the proxy {release.tag} sends no {' or '.join(told)} at a response's end"
    sent = "response.done" if release.done_raw else "nothing"
    return (
        f"no callback of the component {component} shows a response's end: the proxy {release.tag} sends {sent}"
        + (", of which the app is told nothing" if release.done_raw else "")
    )  # fmt: skip
