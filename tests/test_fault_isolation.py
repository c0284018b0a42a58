"""Test the isolation of faults: a failure ends one session, and other sessions, the proxy and the sweep continue."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.rogue import CLEAN, abort, api, free_port, judged, own_tasks, proxy, proxy_fails, rogue, say, session
from voicerace.cli import main
from voicerace.engine.live import play as live_module
from voicerace.engine.live.actor_host import ActorHost
from voicerace.engine.live.backend import Backend
from voicerace.engine.live.background import play_all
from voicerace.engine.live.play import Live
from voicerace.engine.live.recorder import Recorder
from voicerace.engine.live.targets import ProxyTarget, UpstreamTarget
from voicerace.errors import InputError
from voicerace.model.actors.actor import Effects, SetTimer
from voicerace.model.actors.component import Component
from voicerace.model.actors.proxy import Proxy
from voicerace.model.actors.upstream import Upstream
from voicerace.trace.recording import Link, Payload, Recording

# -- concurrent sessions ---------------------------------------------------------------------------------------------


def test_dropped_sessions_do_not_affect_concurrent_ones() -> None:
    async def crowd() -> list[Recording]:
        played = session(tool_ms=140, deadline_ms=3000)
        async with (
            api(played) as good,
            rogue(good, "response.function_call_arguments.done", abort, every=3) as url,
            Live(ProxyTarget.of("model:0.9.1"), UpstreamTarget.of(url), silence_s=3.0) as live,
        ):
            return [*await asyncio.gather(*(live.play(played) for _ in range(50)))]

    found = [judged(recording) for recording in CLEAN(crowd())]
    dropped = [each for each in found if each.fault is not None]
    assert len(dropped) == 16
    assert {(each.outcome, each.fault) for each in dropped} == {
        ("unknown", "upstream dropped the connection without closing it (1006)")
    }
    assert {each.outcome for each in found if each.fault is None} == {"answered"}


class Dying:
    """A stand-in for `Backend` that runs the model in a thread. A test can end it like a process."""

    started = 0
    running = 0

    def __init__(self, directory: Path, upstream_url: str, log: Path | None = None) -> None:
        self.upstream_url = upstream_url
        self.alive = False
        self.url = ""
        self._stop: Any = None

    def __enter__(self) -> Dying:
        type(self).started += 1
        ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True).start()
        ready.wait(5)
        return self

    async def _serve(self, ready: threading.Event) -> None:
        type(self).running += 1
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._stop = lambda: loop.call_soon_threadsafe(stop.set)
        async with proxy(session(), self.upstream_url) as url:
            self.url, self.alive = url, True
            ready.set()
            await stop.wait()
        await asyncio.sleep(0.05)  # meanwhile, connections in their handshake are refused and closed
        if left := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(left, timeout=2)
            await asyncio.sleep(0.05)
        type(self).running -= 1

    begin = Backend.begin

    def give_up(self) -> None:
        return

    def die(self) -> None:
        self.alive = False
        self._stop()

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(RuntimeError):
            if self._stop is not None:
                self._stop()

    async def end(self) -> None:
        self.__exit__()


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ProxyTarget]:
    monkeypatch.setattr(live_module, "Backend", Dying)
    Dying.started = Dying.running = 0
    yield ProxyTarget("backend", directory=tmp_path, source="0" * 12)
    deadline = time.monotonic() + 3
    while Dying.running and time.monotonic() < deadline:
        time.sleep(0.01)
    assert Dying.running == 0, "every started proxy has ended"


def test_a_proxy_whose_process_ends_is_restarted_once(dying: Any) -> None:
    async def sweep() -> list[Recording]:
        played = session()
        async with Live(dying, silence_s=1.0) as live:
            found = [await live.play(played)]
            live.backend.die()  # type: ignore[union-attr]
            # Several sessions detect the end at the same time.
            found += await asyncio.gather(*(live.play(played) for _ in range(4)))
        return found

    assert [judged(each).outcome for each in CLEAN(sweep())] == ["rejected"] * 5
    assert Dying.started == 2


def test_a_proxy_that_ends_during_a_session_is_a_fault_of_that_session(dying: Any) -> None:
    async def sweep() -> list[Recording]:
        played = session(tool_ms=200)
        async with Live(dying, silence_s=1.0) as live:
            first = asyncio.ensure_future(live.play(played))
            await asyncio.sleep(0.15)
            live.backend.die()  # type: ignore[union-attr]
            return [await first, await live.play(session())]

    first, second = (judged(each) for each in CLEAN(sweep()))
    assert first.outcome in ("unknown", "abandoned")
    assert second.outcome == "rejected"


def test_a_proxy_that_cannot_be_restarted_ends_the_sweep_in_one_line(dying: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Dying) -> Dying:
        raise InputError("proxy", "it did not listen", "nothing")

    def first_only(self: Dying) -> Dying:
        monkeypatch.setattr(Dying, "__enter__", refuse)
        return enter(self)

    enter = Dying.__enter__
    monkeypatch.setattr(Dying, "__enter__", first_only)
    engines: list[Live] = []

    def live() -> Live:
        engines.append(Live(dying, silence_s=1.0))
        return engines[0]

    played = play_all(live, [(number, session()) for number in range(4)])
    next(played)
    time.sleep(0.1)  # let the second session connect, since a connection in its handshake would not be closed
    engines[0].backend.die()  # type: ignore[union-attr]
    with pytest.raises(InputError, match="it did not listen"):
        list(played)


# -- failing actors --------------------------------------------------------------------------------------------------


class UnexpectedError(Exception):
    """An error that the engine does not handle."""


def breaks(monkeypatch: pytest.MonkeyPatch, actor: type, error: Exception, after: int = 2) -> None:
    """Patch an actor class so that its message number `after` raises `error`."""
    message = actor.message  # type: ignore[attr-defined]
    seen = 0

    def broken(self: Any, sender: str, payload: Payload) -> Effects:
        nonlocal seen
        seen += 1
        if seen == after:
            raise error
        return message(self, sender, payload)  # type: ignore[no-any-return]

    monkeypatch.setattr(actor, "message", broken)


@pytest.mark.parametrize("actor", [Component, Proxy, Upstream])
def test_an_unexpected_exception_surfaces_and_leaves_no_task(actor: type, monkeypatch: pytest.MonkeyPatch) -> None:
    breaks(monkeypatch, actor, UnexpectedError("of ours"))

    async def failing() -> None:
        async with Live(ProxyTarget.of("model:0.9.1"), silence_s=1.0) as live:
            async with asyncio.timeout(2):
                with pytest.raises(UnexpectedError, match="of ours"):
                    await live.play(session())
            assert not own_tasks()

    CLEAN(failing())


def test_an_actor_host_calls_no_actor_after_its_end() -> None:
    """A message can still be in flight in the emulated network after the end."""

    async def late() -> tuple[Upstream, Recorder]:
        actor = session().actors()["upstream"]
        recorder = Recorder({})
        host = ActorHost({"upstream": actor}, session().times, 0, recorder)
        host.end()
        host.message(Link("proxy", "upstream"), {"type": "response.create"}, 0)
        host.act("upstream", [SetTimer("ack:1", "ack_ms")])
        await asyncio.sleep(0.02)
        assert isinstance(actor, Upstream)
        return actor, recorder

    actor, recorder = CLEAN(late())
    assert actor.state.slot == "free"
    assert recorder.close().events == ()


@pytest.mark.parametrize("arguments", [["run"], ["sweep", "--at-once", "3", "--trials", "5"]])
def test_an_unexpected_exception_surfaces_from_a_verb(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    breaks(monkeypatch, Upstream, UnexpectedError("of ours"), after=5)
    with pytest.raises(UnexpectedError, match="of ours"):
        main([*arguments, "--live", "--deadline-ms", "300", "--out", str(tmp_path / "out")])


def test_an_unsupported_message_is_a_fault_of_that_session_only(monkeypatch: pytest.MonkeyPatch) -> None:
    breaks(monkeypatch, Proxy, InputError("user audio", "a binary frame", "none so far"), after=3)
    played = play_all(lambda: Live(ProxyTarget.of("model:0.9.1"), silence_s=1.0), [(n, session()) for n in range(2)])
    first, second = (judged(recording) for _, recording in played)
    assert (first.outcome, first.fault) == ("unknown", "proxy: user audio: a binary frame; none so far")
    assert second.outcome == "rejected"


def test_an_unreadable_message_is_a_fault_of_that_session_only() -> None:
    """A message of an unknown form must not end a sweep."""
    found = proxy_fails(say({"type": "FunctionCallRequest", "functions": [{"client_side": True}]}), "FunctionCallRequest")
    assert found.outcome == "unknown"
    assert str(found.fault).startswith("component: what proxy said cannot be read (KeyError")


# -- command line ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--upstream", "--proxy"])
def test_a_fault_is_not_bad_input(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"ws://127.0.0.1:{free_port()}/v1"
    assert main(["run", "--live", option, url]) == 0
    printed = capsys.readouterr()
    assert "outcome        unknown" in printed.out
    assert "not reachable: Connection refused" in printed.out
    assert printed.err == ""
    assert main(["run", "--live", option, url, "--fail-on", "unknown"]) == 1


@pytest.mark.parametrize("url", ["ws://a..b/", f"ws://{'a' * 64}.example/", "ws://127.0.0.1:99999", "ws://"])
def test_an_invalid_address_is_bad_input(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--live", "--upstream", url]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_sweep_continues_after_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"ws://127.0.0.1:{free_port()}/v1"
    out = tmp_path / "run"
    assert main(["sweep", "--live", "--upstream", url, "--tool-ms", "0:40:20", "--trials", "2", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "fault, 6 times: upstream: not reachable: Connection refused" in printed
    assert "6 trials in" in printed
    assert all(Recording.read(file).events for file in out.glob("recordings/[0-9]*"))
