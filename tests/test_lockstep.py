"""Test the lockstep engine with a small proxy: delayed messages, an ended process, and late timers."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

from voicerace.conformance.compared import ComparedProxy
from voicerace.conformance.steps import SETTINGS, UPDATED
from voicerace.engine.live.lockstep import RunningProxy, UpstreamSocket
from voicerace.model.actors.actor import ABNORMAL, Close, Effects, Send, SetTimer
from voicerace.model.actors.proxy import Proxy
from voicerace.model.catalog.releases import PROXIES


@pytest.fixture
def upstream() -> Iterator[UpstreamSocket]:
    with UpstreamSocket() as socket_:
        yield socket_


@pytest.fixture
def proxy_url(upstream: UpstreamSocket) -> Iterator[str]:
    """Serve a proxy that forwards text; yield its address.

    It forwards ``later`` after 150 ms. After ``die`` it drops its connections, like an ended process.
    """

    def attend(host: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed, OSError), connect(upstream.url, proxy=None, compression=None) as far:
            for message in host:
                if message == "die":
                    for each in (host, far):
                        each.socket.shutdown(socket.SHUT_RDWR)
                    return
                if message == "later":
                    time.sleep(0.15)
                far.send(message)

    with serve(attend, "127.0.0.1", 0, compression=None) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/openai"
        server.shutdown()


@pytest.fixture
def running(upstream: UpstreamSocket, proxy_url: str) -> Iterator[RunningProxy]:
    proxy = RunningProxy(proxy_url, upstream)
    yield proxy
    proxy.end()


def until_something(proxy: RunningProxy, effects: Effects) -> Effects:
    """Return the effects, or wait for one effect if there is none.

    Unlike `ws`, this proxy uses threads, so it can send after the pong.
    """
    return effects or proxy.await_message(5)


def test_a_delayed_message_of_the_proxy_is_awaited_in_real_time(running: RunningProxy) -> None:
    begun = time.monotonic()
    assert until_something(running, running.message("component", "later")) == [Send("upstream", "later")]
    assert 0.1 < time.monotonic() - begun < 4
    assert running.await_message(0.05) == ()


def test_an_ended_process_drops_both_connections_without_a_delay(running: RunningProxy) -> None:
    begun = time.monotonic()
    found = [*running.message("component", "die")]
    while len(found) < 2 and time.monotonic() - begun < 5:
        found += running.await_message(0.1)
    assert sorted(found, key=lambda effect: effect.to) == [Close("component", ABNORMAL), Close("upstream", ABNORMAL)]  # type: ignore[union-attr]
    assert running.message("component", "hello?") == ()
    assert time.monotonic() - begun < 5


class Ahead(ComparedProxy):
    """A comparison whose real clock is `by_s` seconds ahead of the session's clock."""

    by_s = 0.0

    def _real_s(self) -> float:
        return time.monotonic() + self.by_s


@pytest.mark.parametrize(("by_s", "late"), [(0.0, False), (0.3, True)])
def test_a_machine_too_busy_for_the_proxys_timers_is_detected(running: RunningProxy, by_s: float, late: bool) -> None:
    proxy = Ahead(running, Proxy(PROXIES["0.9.1"]))
    proxy.message("component", SETTINGS)
    proxy.message("upstream", UPDATED.payload)
    assert any(isinstance(effect, SetTimer) for effect in proxy.message("component", bytes(4_800)))
    proxy.by_s = by_s
    proxy.message("component", bytes(4_800))
    assert proxy.late is late


def test_a_silent_proxy_is_a_difference_and_not_a_delay(running: RunningProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicerace.conformance.compared._PATIENCE_S", 0.05)
    proxy = ComparedProxy(running, Proxy(PROXIES["0.9.1"]))
    proxy.message("component", SETTINGS)
    proxy.message("upstream", UPDATED.payload)
    proxy.message("component", bytes(4_800))
    proxy.differences.clear()
    proxy.now_ns = lambda: 450_000_000
    proxy.silence(450)
    assert [difference.link for difference in proxy.differences] == ["proxy>upstream"]
    assert not proxy.late
