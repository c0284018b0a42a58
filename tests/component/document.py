"""docs/component.md, generated from the tables: what the component does with a call, and the callbacks per message."""

from __future__ import annotations

from itertools import groupby
from typing import Final

from voicerace.model.catalog.callbacks import ROWS, Agent, CallbackRow, CallbackStep, Sound, Tell, TextEnd, User, rows_of
from voicerace.model.catalog.components import TAGS
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.releases import PROXIES

__all__ = ["page"]

_HEAD: Final = """\
# What the app sees of a session, and what it sends

The component, voice-agent-react, connects a customer's app with the proxy. This page describes what it does with a
function call and which callbacks follow a message of the proxy, for every release from 0.9.0 to 0.11.1. It is
generated from the model's tables (`voicerace/model/catalog/callbacks.py`, `components.py`, `handlers.py`). The
tables were read from the component's source and are compared with the running component, case by case
(`data/README.md`).

## Could a result ever be sent twice?

Yes: by the component itself. A call must be answered, and the ref's `sendFunctionCallResponse` does not count. If
the handler returns nothing, or its promise resolves to nothing, and the passed `sendResponse` was not called, the
component sends `{"error":"Handler completed without sending a response"}` for the same call. An app that keeps a set of
call ids cannot detect this. The rule is the same in every release.

| the handler | its name here | results for one call |
|---|---|---|
"""

_CURE: Final = """
The fix needs no new release: return `{id, result}`, or await the tool and call the passed `sendResponse`.

## Message and callback

A callback that reports a state (`onAgentStateChange`, `onPlaybackStateChange`, `onUserStoppedSpeaking`) is called only
if the state changes, and after the message's other callbacks.

| message of the proxy | releases | callbacks to the app |
|---|---|---|
"""

_END: Final = """
An Error only leads to `onError` with its code and description: the component neither closes the
connection, nor reconnects, nor repeats anything; no code is "recoverable". The proxy decides whether the app is notified of
the refusal: up to 0.10.2 it is, later it is not.

## Can an app wait for the end of a response?

A workaround that holds a result back until the response with the call is over needs a callback for that moment.

| releases | messages of the proxy when a response is done | callbacks to the app |
|---|---|---|
"""

_REST: Final = """
So with callbacks alone no such workaround is possible for 0.9.0 to 0.9.8. From 0.10.0 an app can wait for
`onAgentStateChange("idle")` after `onFunctionCallRequest`, but only if the model says nothing before the call: text
of a preamble causes "idle" 200 ms later, before the response has ended, or replaces the one at its end. Waiting does not
help with every proxy: 0.9.4 to 0.9.8 never answer a result that comes after the end.

Every release has one alternative to the callbacks, outside the published types: the object returned by the ref's
`getAgentManager()` has an `addEventListener`, whose listener receives every JSON message unchanged; on 0.9.0 to 0.9.3
also `response.done`.

## Settings, connections, silence

- Settings are sent once per connection, 50 ms after it opens. Changed `agentOptions`, another `start()` or another
  SettingsApplied cause no second Settings. A second component on the same page sends none while the first is
  connected, because they share a mark on the window, but it still sends its user's text.
- The component does not reconnect by itself, only for the next text of the user. Then it sends Settings again: up to 0.9.8 with
  the greeting and without the conversation, unless the app put it into `agentOptions.context` (from 0.9.7
  `onContextWarning` reports this); from 0.10.0 with the conversation, if the component has a `conversationStorage`.
- A result for a closed connection is dropped silently, by the ref and by the component; after `stop()`
  the ref throws. A result that is too late for one connection is sent on the next.
- The user's text is sent at once, also while a tool runs or a response is active.
- User audio is dropped for 500 ms after Settings; from 0.11.0 only until SettingsApplied.
- No option sets `useOpenAIManualAudioCommit`.
- After ten seconds without activity (`agentOptions.idleTimeoutMs`) the component closes the connection with code
  1000. An unanswered call keeps it open, even for 25 s. But a call that the component answered with its own
  error does not: for a handler that returns nothing and a tool of 25 s **the result is never sent**, in any release,
  once the reply about that error has ended. Up to 0.9.7 the ten seconds run from the result regardless of the agent, on
  0.9.8 from the first message after it, so a longer text reply is cut off; from 0.9.8 to 0.10.3 they
  also cut off an agent that says nothing for ten seconds.
"""


def page() -> str:
    handlers = "".join(f"| {each.sentence} | `{name}` | {each.submissions} |\n" for name, each in HANDLERS.items())
    callbacks = "".join(f"| {_code(row.message)} | {_span(row.since, row.until)} | {_told(row)} |\n" for row in ROWS)
    return f"{_HEAD}{handlers}{_CURE}{callbacks}{_END}{_ends()}{_REST}"


def _ends() -> str:
    """Return the rows for the end of a response: what the proxy of the same tag sends, and the resulting callback."""
    lines = ""
    for (sent, told), tags in groupby(TAGS, lambda tag: (_sent_at_end(tag), _told_at_end(tag))):
        span = list(tags)
        lines += f"| {_span(span[0], span[-1])} | {sent} | {told} |\n"
    return lines


def _sent_at_end(tag: str) -> str:
    proxy = PROXIES[tag]
    if proxy.done_raw:
        return "`response.done`, raw"
    if proxy.agent in ("none", "some"):
        return "nothing"
    return "`AgentDone`, `AgentAudioDone`, unless its text or audio brought them before"


def _told_at_end(tag: str) -> str:
    proxy, rows = PROXIES[tag], rows_of(tag)
    sent = ("response.done",) if proxy.done_raw else () if proxy.agent in ("none", "some") else ("AgentDone", "AgentAudioDone")
    steps = [step for message in sent for step in rows[message].steps if isinstance(step, (Tell, Agent))]
    if not steps:
        return "nothing"
    waits = any(isinstance(step, Agent) and step.unless_playing for step in steps)
    return '`onAgentStateChange("idle")`' + (", or when its audio has been played" if waits else "")


def _span(since: str, until: str) -> str:
    if (since, until) == (TAGS[0], TAGS[-1]):
        return "all"
    return since if since == until else f"{since} to {until}"


def _code(message: str) -> str:
    if message.startswith("("):
        return message[1:-1]
    head, _, rest = message.partition(" ")
    return f"`{head}` {rest}".rstrip()


def _told(row: CallbackRow) -> str:
    told = "; ".join(filter(None, map(_step, row.steps))) or "nothing"
    return f"{told} ({row.note})" if row.note else told


def _step(step: CallbackStep) -> str:
    match step:
        case Tell(callback, values):
            return f"`{callback}({', '.join(values)})`"
        case Agent():
            when = f" from {' or '.join(step.only_from)}" if step.only_from else ""
            when += ", not while its audio plays" if step.unless_playing else ""
            ends = ", `onPlaybackStateChange(false)`" if step.playback_ends else ""
            return f'`onAgentStateChange("{step.state}")`{when}{ends}'
        case User(True):
            return '`onAgentStateChange("listening")`, until the agent has once been thinking'
        case User(False, by_voice):
            return "`onUserStoppedSpeaking()`" + (", then thinking if it was listening" if by_voice else "")
        case Sound(True):
            return '`onAgentStateChange("speaking")`, `onPlaybackStateChange(true)` as its playback begins'
        case Sound():
            return '`onPlaybackStateChange(false)`, `onAgentStateChange("idle")` from speaking'
        case TextEnd(True):
            return "200 ms later: see text done"
    return ""
