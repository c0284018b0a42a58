"""Generates docs/component.md from the model's tables: results per call, and callbacks per message."""

from __future__ import annotations

from itertools import groupby
from typing import Final

from tests.component.twice import section
from voicerace.model.catalog.callbacks import (
    ROWS,
    Agent,
    CallbackRow,
    CallbackStep,
    Sound,
    Tell,
    TextEnd,
    UserCallbacks,
    rows_of,
)
from voicerace.model.catalog.components import TAGS
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.releases import PROXIES

__all__ = ["page"]

_HEAD: Final = """\
# What the app sees of a session, and what it sends

The component, voice-agent-react, is between a customer's app and the proxy. This page describes how it handles a function
call, and which of its callbacks it calls for a message of the proxy, for every release from 0.9.0 to 0.11.1. The page is
generated from the tables of the model (`voicerace/model/catalog/callbacks.py`, `components.py`, `handlers.py`). The tables
follow the component's source, and each case was compared with the running component (`data/README.md`).

## Could a result ever be sent twice?

Yes: the component itself sends a second one. It requires an answer to each call and ignores the ref's
`sendFunctionCallResponse`. If the handler returns nothing, or its promise resolves to nothing, and the passed
`sendResponse` was not called, the component sends `{"error":"Handler completed without sending a response"}` for the
same call. The app cannot detect this, even if it keeps a set of answered ids. The rule is the same in every release.

| handler | handler style | results for one call |
|---|---|---|
"""

_FIX: Final = """
The fix needs no new release: return `{id, result}`, or await the tool and call the passed `sendResponse`.

## Message and callback

The component calls a callback that reports a state (`onAgentStateChange`, `onPlaybackStateChange`,
`onUserStoppedSpeaking`) only when the state changes, and after the message's other callbacks.

| message of the proxy | releases | callbacks |
|---|---|---|
"""

_END: Final = """
For an Error the component only calls `onError` with its code and description. It does not close the connection, does
not reconnect and repeats nothing; no code is "recoverable". The proxies up to 0.10.2 send the refusal to the host as an
Error; later ones hide it.

## Can an app wait for the end of a response?

A workaround that delays a result until the response with the call is done needs a callback at that time.

| releases | messages of the proxy when a response is done | callbacks |
|---|---|---|
"""

_REST: Final = """
So the callbacks of 0.9.0 to 0.9.8 do not allow such a workaround. From 0.10.0 an app can wait for
`onAgentStateChange("idle")` after `onFunctionCallRequest`, but only if the response has no preamble. The text of a
preamble causes "idle" 200 ms later, which is before the end of the response or replaces the "idle" at the end. The proxy
decides whether waiting helps: 0.9.4 to 0.9.8 never answer a result that comes after the end.

Every release also has an interface outside the published types. The object returned by the ref's `getAgentManager()` has
an `addEventListener`. Its listener gets every JSON message unchanged, on 0.9.0 to 0.9.3 also `response.done`.

## Settings, connections, silence

- The component sends Settings once per connection, 50 ms after it opens. Changed `agentOptions`, another `start()` or
  another SettingsApplied cause no second Settings. A second component that starts on the same page while the first is
  connected sends no Settings, because they share a flag on the window. It still sends its user's text.
- The component does not reconnect by itself. The next user text opens a connection, and Settings are sent again. Up to
  0.9.8 they have the greeting but not the conversation, unless the app sets `agentOptions.context` (from 0.9.7
  `onContextWarning` reports this). From 0.10.0 they have the conversation if the component has a `conversationStorage`.
- The ref and the component drop a result without a connection and report no error; after `stop()` the ref throws. If
  there is a new connection, a late result is sent on it.
- User text is sent at once, even while a tool runs or a response is active.
- User audio is dropped for 500 ms after Settings; from 0.11.0 only until SettingsApplied.
- No option sets `useOpenAIManualAudioCommit`.
- After 10 s without activity (`agentOptions.idleTimeoutMs`) the component closes the connection with code 1000. An
  unanswered call keeps it open, also for 25 s. A call that the component answered with its own error does not. So with
  a handler that returns nothing and a tool of 25 s **the result is never sent** in any release, once the reply about
  that error is over. Up to 0.9.7 the 10 s start at the result, regardless of the agent; on 0.9.8 they start at the
  first message after it. So a longer text reply is cut off. From 0.9.8 to 0.10.3 they also cut off an agent that sends
  nothing for 10 s.
"""


def page() -> str:
    """Return the text of the page."""
    handlers = "".join(f"| {each.sentence} | `{name}` | {each.submissions} |\n" for name, each in HANDLERS.items())
    callbacks = "".join(f"| {_code(row.message)} | {_span(row.since, row.until)} | {_callbacks(row)} |\n" for row in ROWS)
    return f"{_HEAD}{handlers}{_FIX}{callbacks}{_END}{_ends()}{_REST}\n{section()}"


def _ends() -> str:
    """Return the table rows about the end of a response: releases, messages of their proxy, callbacks of their component."""
    lines = ""
    for (sent, callbacks), tags in groupby(TAGS, lambda tag: (_sent_at_end(tag), _callbacks_at_end(tag))):
        span = list(tags)
        lines += f"| {_span(span[0], span[-1])} | {sent} | {callbacks} |\n"
    return lines


def _sent_at_end(tag: str) -> str:
    proxy = PROXIES[tag]
    if proxy.done_raw:
        return "`response.done`, raw"
    if proxy.agent in ("none", "some"):
        return "nothing"
    return "`AgentDone`, `AgentAudioDone`, unless its text or audio caused them before"


def _callbacks_at_end(tag: str) -> str:
    proxy, rows = PROXIES[tag], rows_of(tag)
    sent = ("response.done",) if proxy.done_raw else () if proxy.agent in ("none", "some") else ("AgentDone", "AgentAudioDone")
    steps = [step for message in sent for step in rows[message].steps if isinstance(step, (Tell, Agent))]
    if not steps:
        return "nothing"
    waits = any(isinstance(step, Agent) and step.unless_playing for step in steps)
    return '`onAgentStateChange("idle")`' + (", or after its audio has been played" if waits else "")


def _span(since: str, until: str) -> str:
    if (since, until) == (TAGS[0], TAGS[-1]):
        return "all"
    return since if since == until else f"{since} to {until}"


def _code(message: str) -> str:
    if message.startswith("("):
        return message[1:-1]
    head, _, rest = message.partition(" ")
    return f"`{head}` {rest}".rstrip()


def _callbacks(row: CallbackRow) -> str:
    steps = "; ".join(filter(None, map(_step, row.steps))) or "nothing"
    return f"{steps} ({row.note})" if row.note else steps


def _step(step: CallbackStep) -> str:
    match step:
        case Tell(callback, values):
            return f"`{callback}({', '.join(values)})`"
        case Agent():
            when = f" from {' or '.join(step.only_from)}" if step.only_from else ""
            when += ", not while its audio plays" if step.unless_playing else ""
            ends = ", `onPlaybackStateChange(false)`" if step.playback_ends else ""
            return f'`onAgentStateChange("{step.state}")`{when}{ends}'
        case UserCallbacks(True):
            return '`onAgentStateChange("listening")`, until the agent was thinking for the first time'
        case UserCallbacks(False, by_voice):
            return "`onUserStoppedSpeaking()`" + (", then thinking if it was listening" if by_voice else "")
        case Sound(True):
            return '`onAgentStateChange("speaking")`, `onPlaybackStateChange(true)` when its playback begins'
        case Sound():
            return '`onPlaybackStateChange(false)`, `onAgentStateChange("idle")` from speaking'
        case TextEnd(True):
            return "200 ms later: see text done"
    return ""
