"""Run faulty proxies: the reference gate with one kind of fault, on sockets."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, WebSocketException

from voicerace.model.actors.actor import Effects, Send
from voicerace.model.actors.proxy import Proxy
from voicerace.model.catalog.releases import proxy_release
from voicerace.model.protocol import agent
from voicerace.model.protocol.frames import frame_of, payload_of
from voicerace.trace.recording import Payload

__all__ = ["SPOILT", "odd_proxy"]


class DroppedError(Exception):
    """Drop the connection to the host with close code `code`, or without a close frame if `code` is None."""

    def __init__(self, code: int | None = None) -> None:
        self.code = code


#: Function that replaces the effects of the reference gate: (sender, payload, effects) -> effects.
Spoil: TypeAlias = Callable[[str, Payload, Effects], Effects]


def _type(payload: Payload) -> Any:
    return payload.get("type") if isinstance(payload, dict) else None


def _is_result(payload: Payload) -> bool:
    return _type(payload) == "FunctionCallResponse"


def _silent(sender: str, payload: Payload, effects: Effects) -> Effects:
    return ()


def _settled(sender: str, payload: Payload, effects: Effects) -> Effects:
    return [each for each in effects if isinstance(each, Send) and _type(each.payload) == "SettingsApplied"]


def _mute(sender: str, payload: Payload, effects: Effects) -> Effects:
    """Return the effects without replies to the host."""
    return [e for e in effects if not (isinstance(e, Send) and e.to == "component" and agent.is_reply_output(e.payload))]


def _inventive() -> Spoil:
    """Return a function that adds an invented reply to a result, and then removes all requests."""
    answered = False

    def spoil(sender: str, payload: Payload, effects: Effects) -> Effects:
        nonlocal answered
        answered |= _is_result(payload)
        if _is_result(payload):
            effects = [*effects, Send("component", agent.conversation_text("assistant", "It is sunny."))]
        return [e for e in effects if not (answered and isinstance(e, Send) and _type(e.payload) == "response.create")]

    return spoil


def _forgetful(sender: str, payload: Payload, effects: Effects) -> Effects:
    return () if _is_result(payload) else effects


def _crashing(sender: str, payload: Payload, effects: Effects) -> Effects:
    if _is_result(payload):
        raise DroppedError
    return effects


def _leaving(sender: str, payload: Payload, effects: Effects) -> Effects:
    if _is_result(payload):
        raise DroppedError(1000)
    return effects


def _none(sender: str, payload: Payload, effects: Effects) -> Effects:
    return effects


#: Name of the fault -> factory of the function for one session.
SPOILT: dict[str, Callable[[], Spoil]] = {
    "none": lambda: _none,
    "silent": lambda: _silent,
    "settled": lambda: _settled,
    "mute": lambda: _mute,
    "inventive": _inventive,
    "forgetful": lambda: _forgetful,
    "crashing": lambda: _crashing,
    "leaving": lambda: _leaving,
}


@contextmanager
def odd_proxy(upstream_port: int, spoil: str) -> Iterator[str]:
    """Run a proxy with the fault `spoil`; yield its address."""
    found: list[int] = []
    there, ended = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def session(host: ServerConnection) -> None:
        try:
            async with connect(f"ws://127.0.0.1:{upstream_port}/v1/realtime", proxy=None, compression=None) as upstream:
                await _relay(host, upstream, SPOILT[spoil]())
        except DroppedError as dropped:
            if dropped.code is None:
                host.transport.abort()
            else:
                await host.close(dropped.code)
        except (OSError, WebSocketException):
            host.transport.abort()

    async def run() -> None:
        async with serve(session, "127.0.0.1", 0, compression=None) as server:
            found.append(next(iter(server.sockets)).getsockname()[1])
            there.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    there.wait()
    try:
        yield f"ws://127.0.0.1:{found[0]}"
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


async def _relay(host: Any, upstream: Any, spoil: Spoil) -> None:
    gate = Proxy(proxy_release("reference"))
    sockets = {"component": host, "upstream": upstream}
    came: asyncio.Queue[tuple[str, Payload] | None] = asyncio.Queue()

    async def listen(actor: str) -> None:
        with suppress(ConnectionClosed):
            async for raw in sockets[actor]:
                came.put_nowait((actor, payload_of(raw)))
        came.put_nowait(None)

    listening = [asyncio.ensure_future(listen(actor)) for actor in sockets]
    try:
        gate.start()
        while (each := await came.get()) is not None:
            for effect in spoil(*each, gate.message(*each)):
                if isinstance(effect, Send):
                    await sockets[effect.to].send(frame_of(effect.payload))
    finally:
        for task in listening:
            task.cancel()
