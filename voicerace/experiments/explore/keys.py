"""Keys of states: two states with the same key have the same future and the same verdict.

The ids in a state depend on the path to the state, so keys count ids from the start of the turn. Keys omit values that are only
displayed (the agent's text, the states of agent and playback), because no actor depends on them
(tests/test_explore_keys.py tests this).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Final, NamedTuple

from voicerace.model.actors.app import AppState
from voicerace.model.actors.client import ClientState
from voicerace.model.actors.component import ComponentState
from voicerace.model.actors.forwarder import ForwarderState
from voicerace.model.actors.proxy_state import ProxyState
from voicerace.model.actors.reference_gate import GateState
from voicerace.model.actors.upstream_state import UpstreamState
from voicerace.model.actors.user import UserState
from voicerace.model.protocol import input_audio, realtime
from voicerace.model.protocol.ledger import Ledger
from voicerace.model.protocol.results import placeholder_in
from voicerace.trace.recording import Payload

__all__ = [
    "KEYS", "SHOWN_TIMERS", "Base", "client_key", "kind_of", "ledger_key", "message_key", "open_key", "proxy_key", "shown_key",
    "timer_key",
]  # fmt: skip

#: Component timers that, without an idle timeout, change only displayed values.
SHOWN_TIMERS: Final = frozenset({"playback", "text_done", "text_counts", "awaits"})


class Base(NamedTuple):
    """Number of ids of each kind assigned before the turn."""

    responses: int = 0
    calls: int = 0


def _number(identity: str, base: Base) -> Hashable:
    """Return the number of a response or call, counted from the start of the turn. Other ids are returned unchanged."""
    kind, _, number = identity.rpartition("_")
    if kind == "resp":
        return int(number) - base.responses
    if kind == "call":
        return int(number) - base.calls
    return identity


def _user(state: UserState, base: Base) -> Hashable:
    ledger = state.ledger
    calls = [call for response in ledger.responses.values() for call in response.calls]
    since = list(ledger.responses.values())[state.responses_before :]
    return (
        state.said,
        state.left,
        state.about_to_say,
        state.offline,
        len(ledger.inputs),
        _connection(ledger),
        tuple((_number(call, base), count) for call, count in state.own_results.items() if count and _new(call, base)),
        tuple((_number(o.call_id, base), o.own, o.refused) for o in ledger.outputs if o.waits),
        tuple((c.outputs_before - len(ledger.outputs)) for c in ledger.unanswered),
        _decisions(ledger),
        tuple(_number(r.id, base) for r in ledger.active),
        tuple(_number(call, base) for call in calls if _new(call, base) or call not in state.own_results),
        tuple(
            (r.message, bool(r.calls), r.heard is not None, r.done is None, ledger.informed(r, calls), _number(r.id, base),
             r.create is None or ledger.informed(r, calls, r.decided.outputs))
            for r in since
        ),
    )  # fmt: skip


def _decisions(ledger: Ledger) -> Hashable:
    """Return the server's open decisions, each with the number of outputs accepted after the decision."""
    open_ = tuple(each and len(ledger.outputs) - each.outputs for each in (ledger.decision, ledger.held))
    return (*open_, ledger.idled)


def _new(call_id: str, base: Base) -> bool:
    return int(call_id.rpartition("_")[2]) > base.calls


def _app(state: AppState, base: Base) -> Hashable:
    held = tuple((_number(call, base), ended) for call, ended in state.held.items())
    return state.microphone, len(state.calls) - base.calls, held, state.listens_for_words


def _component(state: ComponentState, base: Base) -> Hashable:
    return (
        state.hears,
        state.closed,
        state.text is not None,
        tuple(_number(each, base) for each in sorted(state.answered) if _new(each, base)),
        _idle(state, base),
    )


def _idle(state: ComponentState, base: Base) -> Hashable:
    """Return the state of the idle timeout, with the displayed values that it depends on. Without a timeout, it is empty."""
    idle = state.idle
    running = tuple(_number(each, base) for each in sorted(idle.running))
    if not (running or idle.user_seen or idle.busy or idle.counts or idle.awaits):
        return ()
    return running, idle.user_seen, idle.busy, idle.counts, idle.awaits, _shown(state)


def _shown(state: ComponentState) -> Hashable:
    shown = state.shown
    return shown.agent, shown.playing, shown.user_speaks, state.voice, state.sounds, state.announced


def shown_key(state: ComponentState, base: Base) -> Hashable:
    """Return the component's key if the app depends on displayed values."""
    return _component(state, base), _shown(state)


def proxy_key(state: ProxyState, base: Base, *, flag: bool = True, shown: bool = False) -> Hashable:
    """Return the proxy's key.

    Args:
        state: the proxy's state.
        base: ids assigned before the turn.
        flag: whether audio, Settings or an idle timeout can depend on `responseInProgress` (docs/release-facts.md#the-flag).
        shown: whether the app depends on displayed values.
    """
    audio, gate = state.audio, state.gate
    shown_state = (state.started, state.done, state.audio_came, state.text_went) if shown else ()
    return (
        shown_state, _gate(gate, base), state.gate_waits, state.flag and (flag or not state.configured), state.mark,
        state.text_waits, state.configured, state.ready, state.host_open, state.upstream_open,
        len(state.context_items), len(state.queued_text), state.waiting_error is None,
        len(audio.kept), audio.vad, 0 if audio.vad else audio.pending, audio.committed, audio.most_set,
        # The resampler's state affects the next frame.
        audio.sample, audio.position,
    )  # fmt: skip


def client_key(state: ClientState, base: Base) -> Hashable:
    """Return the key of a client without a proxy."""
    return (
        state.texts > 0, tuple((_number(call, base), _number(of, base)) for call, of in state.tools.items()),
        tuple(_number(call, base) for call in state.ended), tuple((_number(of, base), done) for of, done in state.asks.items()),
        _number(state.active, base), state.pending, state.event_id != "", state.overtaken, state.waiting,
        tuple(each is None for each in state.queue), len(state.unconfirmed), state.asking,
        tuple(_number(call, base) for call in state.silent if call in state.tools), state.left, state.started - base.calls,
    )  # fmt: skip


def _gate(gate: GateState, base: Base) -> Hashable:
    def calls(names: Iterable[str]) -> tuple[Hashable, ...]:
        return tuple(_number(each, base) for each in names)

    def requested(wishes: tuple[str, ...], given: tuple[str, ...]) -> Hashable:
        return wishes, calls(given)

    return (
        calls((gate.active, gate.over)), gate.knows, gate.decided, gate.refused, gate.paused, gate.asked,
        requested(*gate.asked_for), requested(gate.wishes, gate.given),
        tuple((_number(call, base), _number(r, base)) for call, r in gate.open.items()),
        calls(call for call in gate.answered if _new(call, base)), tuple(sorted(map(str, calls(gate.unconfirmed)))),
    )  # fmt: skip


def _upstream(state: UpstreamState, base: Base) -> Hashable:
    return (
        state.slot,
        _number(state.holder, base) if state.holder else "",
        tuple(
            (_number(r.id, base), tuple(o.kind for o in r.plan.outputs), r.plan.status, r.in_band, r.next, r.created,
             tuple(sorted(r.finished)), tuple(sorted(r.done_items)), len(r.items))
            for r in state.responses.values()
        ),
        tuple((_number(call, base), how) for call, how in state.calls.items() if how != "response_done" or _new(call, base)),
        tuple((_number(call, base), len(given)) for call, given in state.outputs.items() if _new(call, base)),
        tuple(_item_key(item, base) for item in state.acks.values()),
        state.inputs,
        state.steps_taken,
        bool(state.session.get("tools")),
        state.spoke,
        state.audio > 0,
        bool(state.speech),
        state.pausing,
        state.server_waits,
    )  # fmt: skip


def _forwarder(state: ForwarderState, base: Base) -> Hashable:
    queued = tuple(message_key(each, base) for each in state.queue)
    return state.opened, state.proxy_gone, state.browser_gone, queued


#: Functions that return the key of an actor's state, by actor.
KEYS: Final[dict[str, Callable[[Any, Base], Hashable]]] = {
    "user": _user,
    "app": _app,
    "component": _component,
    "proxy": proxy_key,
    "upstream": _upstream,
    "forwarder": _forwarder,
}


def ledger_key(ledger: Ledger, base: Base) -> Hashable:
    """Return the part of a turn's ledger that a verdict reads."""
    return (
        tuple((_number(o.call_id, base), o.own, o.confirmed is None, o.refused) for o in ledger.outputs),
        tuple((c.outputs_before, c.answer, _number(c.names or "", base)) for c in ledger.creates),
        tuple(
            (_number(r.id, base), r.create, r.outputs_before, r.decided.outputs,
             tuple(_number(call, base) for call in r.calls), len(r.calls_done), r.message, r.heard is None, r.done is None,
             r.status, r.reason)
            for r in ledger.responses.values()
        ),
        len(ledger.session_updates) > 0,
        _decisions(ledger),
        _connection(ledger),
        tuple(_passed(ledger, each.key) for each in ledger.inputs),
    )  # fmt: skip


def open_key(ledger: Ledger, base: Base) -> Hashable:
    """Return the unfinished entries of the ledger, by which a verdict decides whether a user text at this time joins the
    turn."""
    own = [output for output in ledger.outputs if output.own and _new(output.call_id, base)]
    calls = sorted({call for response in ledger.responses.values() for call in response.calls if _new(call, base)})
    return (
        sum(output.waits for output in ledger.outputs),
        len(ledger.unanswered),
        len(ledger.active),
        ledger.decision is None,
        tuple(
            (_number(call, base), tuple(output.confirmed is not None for output in own if output.call_id == call))
            for call in calls
        ),
    )


def _connection(ledger: Ledger) -> Hashable:
    """Return the part of the ledger from earlier connections."""
    if ledger.connections < 2:
        return ()
    lost = tuple(output.lost is not None for output in ledger.outputs)
    return lost, tuple(response.known_from for response in ledger.responses.values()), len(ledger.calls)


def _passed(ledger: Ledger, key: int) -> Hashable:
    """Return counts of the ledger's entries before a user input, which decide whether the input joins the turn."""
    return (
        sum(output.key < key for output in ledger.outputs),
        sum(output.confirmed is not None and output.confirmed < key for output in ledger.outputs),
        sum(create.key < key for create in ledger.creates),
        sum(create.answered is not None and create.answered < key for create in ledger.creates),
        sum(response.created < key for response in ledger.responses.values()),
        sum(response.decided.key < key for response in ledger.responses.values()),
        sum(response.done is not None and response.done < key for response in ledger.responses.values()),
    )


# -- messages --------------------------------------------------------------------------------------------------------


def kind_of(payload: Payload) -> str:
    """Return a message's type, followed by the role or type of its item."""
    if isinstance(payload, bytes):
        return "(audio)"
    if not isinstance(payload, dict):
        return "(text)"
    kind = str(payload.get("type"))
    item = payload.get("item")
    if isinstance(item, dict):
        kind = f"{kind} {item.get('role') or item.get('type')}"
    return kind


def message_key(payload: Payload, base: Base) -> Hashable:
    """Return the part of a message that its receiver depends on, without ids of events and items."""
    if isinstance(payload, (bytes, str)) or not isinstance(payload, dict):
        return payload
    kind = kind_of(payload)
    if kind == "FunctionCallResponse":
        return kind, _number(str(payload["id"]), base), placeholder_in(payload.get("content")) is None
    if kind == "FunctionCallRequest":
        return kind, tuple(_number(call["id"], base) for call in payload["functions"])
    if "item" in payload:
        return kind, _number(str(payload.get("response_id", "")), base), _item_key(payload["item"], base)
    if "response" in payload:
        body = realtime.response_of(payload)
        return kind, _number(str(body.get("id", "")), base), body.get("status")
    if kind == realtime.ERROR:
        error = realtime.error_of(payload)
        return kind, error.get("code"), _number(realtime.response_named_by(payload) or "", base)
    if kind == "input_audio_buffer.append":
        return kind, input_audio.is_loud(base64.b64decode(payload["audio"])), len(payload["audio"])
    return kind, _number(str(payload.get("response_id", "")), base), payload.get("content_index"), payload.get("output_index")


def _item_key(item: Any, base: Base) -> Hashable:
    call = str(item.get("call_id") or "")
    placeholder = placeholder_in(item.get("output")) is not None
    return item.get("type"), item.get("role"), _number(call, base) if call else "", placeholder


def timer_key(name: str, base: Base) -> tuple[Hashable, ...]:
    """Return a timer's name with its ids counted from the start of the turn."""
    return tuple(_number(part, base) if part.startswith(("resp_", "call_")) else part for part in name.split(":"))
