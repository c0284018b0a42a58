"""Test that any app, SDK or proxy can use the servers, that every session is recorded and judged, and injected faults."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI
from websockets.asyncio.client import connect
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request

from tests.support.rogue import CLEAN, api, mute, play_live, proxy, session
from voicerace.analysis.verdict import judge
from voicerace.engine.live.client import client_of
from voicerace.engine.live.connecting import QUIET
from voicerace.engine.live.faults import Fault, Tampering
from voicerace.engine.live.server import SessionServer
from voicerace.engine.live.serving import Make, Server, mock_session, proxy_handlers, upstream_handlers
from voicerace.engine.live.targets import UpstreamTarget
from voicerace.engine.sim.virtual import simulate
from voicerace.errors import InputError
from voicerace.model.actors.actor import Effects
from voicerace.model.actors.proxy import Proxy
from voicerace.model.catalog.scenarios import DEFAULT_PLAN
from voicerace.model.protocol import agent, realtime
from voicerace.model.protocol.ledger import Ledger
from voicerace.scrubber import Scrubber
from voicerace.trace.recording import Payload, Recording

TOOL = {"type": "function", "name": "get_weather", "description": "The weather.", "parameters": {"type": "object"}}
SESSION = {"type": "realtime", "output_modalities": ["text"], "tools": [TOOL]}
USER = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "What is the weather?"}]}


class Ended(list[Recording]):
    """A list of the recordings of ended sessions. Each recording is read from its file."""

    def __call__(self, file: Path, recording: Recording) -> None:
        self.append(Recording.read(file))

    async def first(self, count: int) -> Ended:
        async with asyncio.timeout(3):
            while len(self) < count:
                await asyncio.sleep(0.01)
        return self


@contextlib.asynccontextmanager
async def serving(make: Make, folder: Path, most: int | None = None) -> AsyncIterator[tuple[str, Ended, asyncio.Task[None]]]:
    """Run a server; yield its address, its ended sessions and its task."""
    ended = Ended()
    async with SessionServer() as listener:
        server = Server(listener, make, folder, ended, most)
        running = asyncio.ensure_future(server.run())
        yield listener.address, ended, running
        server.stop.set()
        await running


def upstream(*faults: str, **given: Any) -> Make:
    return upstream_handlers(session(**given), tuple(Fault.of(word) for word in faults))


# -- official client -------------------------------------------------------------------------------------------------


def test_the_official_client_completes_a_turn_and_gets_the_refusal_with_its_own_event_id(tmp_path: Path) -> None:
    async def turn(url: str) -> tuple[list[Any], str]:
        client = AsyncOpenAI(api_key="sk-not-a-key-0123456789", websocket_base_url=f"{url}/v1")
        errors, text = [], ""
        async with client, client.realtime.connect(model="gpt-realtime") as connection:
            await connection.session.update(session=SESSION)  # type: ignore[arg-type]
            await connection.conversation.item.create(item=USER)  # type: ignore[arg-type]
            await connection.response.create()
            async for event in connection:
                if event.type == "response.function_call_arguments.done":
                    output = {"type": "function_call_output", "call_id": event.call_id, "output": '{"temperature_c":21}'}
                    await connection.conversation.item.create(item=output)  # type: ignore[arg-type]
                    # The response that contains the call is still active.
                    await connection.response.create(event_id="asked-too-early")
                elif event.type == "error":
                    errors.append(event.error)
                elif event.type == "response.done" and event.response.output[0].type == "function_call":
                    await connection.response.create(event_id="asked-in-time")
                elif event.type == "response.output_text.done":
                    text = event.text
                elif event.type == "response.done":
                    break
        return errors, text

    async def served() -> tuple[list[Any], str, Recording]:
        async with serving(upstream(gap_ms=100), tmp_path) as (url, ended, _):
            errors, text = await turn(url)
            [recording] = await ended.first(1)
        return errors, text, recording

    errors, text, recording = CLEAN(served())
    assert [(each.code, each.event_id) for each in errors] == [(realtime.ACTIVE_RESPONSE, "asked-too-early")]
    assert "21" in text
    verdict = judge(recording)
    assert (verdict.outcome, verdict.fault) == ("noisy", None)
    assert recording.complete
    assert (recording.provenance["engine"], recording.provenance["upstream"]) == ("serve", "mock")
    assert "sk-not" not in json.dumps([event.to_json() for event in recording.events])


async def kinds_of_responses(url: str, texts: int) -> list[str]:
    """Return the type of the last item of each response. After each call, send its result and a request."""
    async with connect(f"{url}/v1/realtime", logger=QUIET) as client:
        kinds: list[str] = []
        await client.send(json.dumps(realtime.update_session(SESSION)))
        for _ in range(texts):
            await client.send(json.dumps(realtime.create_item(USER)))
            await client.send(json.dumps(realtime.create_response()))
            item = {"type": ""}
            while item["type"] != "message":
                event = json.loads(await asyncio.wait_for(client.recv(), 3))
                if event["type"] != "response.done":
                    continue
                item = event["response"]["output"][-1]
                kinds.append(item["type"])
                if item["type"] == "function_call":
                    result = {"type": "function_call_output", "call_id": item["call_id"], "output": "clear"}
                    await client.send(json.dumps(realtime.create_item(result)))
                    await client.send(json.dumps(realtime.create_response()))
    return kinds


@pytest.mark.parametrize(
    ("plan", "kinds"),
    [
        ("calls,reply", "call message call message call message"),
        ("calls,reply;reply", "call message message message"),
        (" reply ; calls, calls ,reply", "message call call message call call message"),
    ],
)
def test_a_served_mock_follows_the_plan_and_records_it(plan: str, kinds: str, tmp_path: Path) -> None:
    async def served() -> tuple[list[str], Recording]:
        make = upstream_handlers(mock_session(plan, times={"gap_ms": 20, "reply_ms": 10}), direct=True)
        async with serving(make, tmp_path) as (url, ended, _):
            found = await kinds_of_responses(url, 3)
            [recording] = await ended.first(1)
        return found, recording

    found, recording = CLEAN(served())
    assert found == kinds.replace("call", "function_call").split()
    assert recording.provenance.get("plan", DEFAULT_PLAN) == plan.replace(" ", "")
    assert recording.provenance["topology"] == "direct"


@pytest.mark.parametrize(
    ("given", "item_done"),
    [({}, "0"), ({"times": {"item_done_ms": 7}}, "7"), ({"profile": "recorded-2026"}, "1"), ({"times": {"gap_ms": 0}}, "0")],
)
def test_a_served_mock_does_not_hide_the_race_of_clients_that_wait_for_the_item(given: dict[str, Any], item_done: str) -> None:
    assert str(mock_session(**given).times.values["item_done_ms"]) == item_done


@pytest.mark.parametrize("plan", ["", "calls;;reply", "calls,", "speak", "calls reply"])
def test_a_plan_with_another_word_is_refused(plan: str) -> None:
    with pytest.raises(InputError, match=r"plan: .*allowed are calls, reply"):
        mock_session(plan)


# -- model of a proxy as a server ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("release", "outcome"), [("0.9.1", "rejected"), ("0.11.1", "lost")])
def test_an_external_host_gets_the_behaviour_of_a_release(release: str, outcome: str, tmp_path: Path) -> None:
    async def served() -> tuple[Recording, Recording, Recording]:
        (tmp_path / "upstream").mkdir()
        (tmp_path / "proxy").mkdir()
        played = session(release=release)
        async with serving(upstream(), tmp_path / "upstream") as (api_url, api_ended, _):
            make = proxy_handlers(played, UpstreamTarget.of(api_url))
            async with serving(make, tmp_path / "proxy") as (url, ended, _):
                host = await play_live(url, None, played)
                return host, (await ended.first(1))[0], (await api_ended.first(1))[0]

    host, at_proxy, at_upstream = CLEAN(served())
    assert judge(at_proxy).outcome == outcome
    assert (at_proxy.provenance["release"], at_proxy.provenance["proxy"]) == (release, f"model:{release}")
    # Each end observes only its own links, so neither recording has a verdict.
    assert judge(host).outcome == judge(at_upstream).outcome == "unknown"


def test_a_message_that_cannot_be_handled_ends_only_its_own_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The models accept any message, as the proxies do. If a message raises an error nevertheless, only its session ends."""
    usual = Proxy.message

    def fragile(self: Proxy, sender: str, payload: Payload) -> Effects:
        if isinstance(payload, dict) and payload.get("agent") == "no object":
            raise TypeError("agent")
        return usual(self, sender, payload)

    monkeypatch.setattr(Proxy, "message", fragile)

    async def served() -> list[Recording]:
        async with api(session()) as api_url:
            make = proxy_handlers(session(), UpstreamTarget.of(api_url))
            async with serving(make, tmp_path) as (url, ended, _):
                async with connect(url, logger=QUIET) as client:
                    await client.send(json.dumps({"type": "Settings", "agent": "no object"}))
                    with contextlib.suppress(ConnectionClosed):
                        await client.recv()
                    assert client.close_code == 1011
                await play_live(url)
                return await ended.first(2)

    first, second = (judge(each) for each in CLEAN(served()))
    assert first.outcome == "unknown"
    assert "proxy: what component said cannot be read" in first.why
    assert second.outcome == "rejected"


# -- injected faults -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "release", "tool_ms", "outcome", "facts"),
    [
        ("drop", "0.9.1", 10, "unknown", {}),
        ("drop@response.output_item.added#2", "0.9.1", 140, "unknown", {"replies": 0}),
        ("drop@response.done#1", "0.9.1", 10, "rejected", {"refusals": 1}),
        # The mock frees the slot when it sends response.done, even if the message is delayed.
        ("delay=150", "0.9.1", 140, "answered", {}),
        ("delay=150", "0.9.4", 140, "answered", {}),
        ("withhold", "0.9.4", 10, "stalled", {"response_creates": 0}),
        ("withhold@response.done#2", "0.9.1", 140, "interrupted", {"refusals": 0}),
        ("duplicate", "0.9.1", 140, "answered", {"replies": 1, "response_creates": 1}),
        ("duplicate@response.done#all", "0.9.4", 10, "answered", {"replies": 1, "response_creates": 1}),
        ("duplicate@response.created#all", "0.9.1", 10, "rejected", {"response_creates": 1, "refusals": 1}),
        ("duplicate@error", "0.9.1", 10, "rejected", {"refusals": 1, "host_errors": 2}),
        ("duplicate@response.output_item.added#all", "0.9.1", 140, "answered", {"calls": ("call_0001",)}),
        ("duplicate@response.function_call_arguments.done", "0.9.1", 140, "answered", {"calls": ("call_0001",)}),
        ("garble@response.done", "0.9.4", 10, "stalled", {"response_creates": 0}),
        ("garble@error", "0.9.1", 10, "unknown", {}),
        ("garble@response.function_call_arguments.done", "0.9.1", 10, "unknown", {}),
    ],
)  # fmt: skip
def test_an_injected_fault_has_its_outcome(fault: str, release: str, tool_ms: int, outcome: str, facts: dict[str, Any]) -> None:
    async def spoilt() -> Recording:
        played = session(release=release, tool_ms=tool_ms)
        async with api(played, [fault]) as url:
            return await play_live(f"model:{release}", url, played)

    verdict = judge(CLEAN(spoilt()))
    assert verdict.outcome == outcome
    found = {name: getattr(verdict.turn, name, None) for name in facts}
    assert found == facts
    dropped = "upstream dropped the connection without closing it (1006)"
    assert verdict.fault == (dropped if fault.startswith("drop") else None)


def test_a_repeated_event_changes_the_ledger_once() -> None:
    """A repetition of an event does not change the ledger."""
    recording = simulate(session(tool_ms=10))
    once, twice = Ledger(), Ledger()
    for event in recording.events:
        if event.kind == "message" and "upstream" in event.link:
            once.feed(event.link.sender, event.payload, event.seq)
            twice.feed(event.link.sender, event.payload, event.seq)
            if event.link.sender == "upstream":
                twice.feed("upstream", event.payload, event.seq + 1000)
    for response in twice.responses.values():  # `calls_done` lists all events; remove the repetitions
        response.calls_done = [key for key in response.calls_done if key < 1000]
    assert once.refusals
    assert twice == once


def test_an_injected_fault_is_in_the_servers_recording(tmp_path: Path) -> None:
    async def served(fault: str, number: int) -> Recording:
        folder = tmp_path / str(number)
        folder.mkdir()
        async with serving(upstream(fault, tool_ms=140), folder) as (url, ended, _):
            await play_live(upstream=url, played=session(tool_ms=140))
            return (await ended.first(1))[0]

    dropped = CLEAN(served("drop", 1))
    assert judge(dropped).fault == "upstream dropped the connection on purpose (--fault)"
    assert [event.kind for event in dropped.events][-1] == "fault", "and nothing was sent after it"
    twice = CLEAN(served("duplicate", 2))
    done = [event.payload for event in twice.events if event.type == "response.done"]
    assert len(done) == 4  # three responses, one of them with a repeated event
    assert done[0] == done[1]
    delayed = CLEAN(served("delay=90", 3))
    at = {event.type: event.sent_ns for event in reversed(delayed.events) if event.sent_ns is not None}
    assert at["response.done"] - at["response.function_call_arguments.done"] >= 170_000_000, "recorded when it was sent"
    garbled = CLEAN(served("garble@response.created", 4))
    [text] = [event.payload for event in garbled.events if event.type == "(text)"]
    assert isinstance(text, str)
    assert text.startswith('{"type":"response.created"')
    assert not text.endswith("}")


@pytest.mark.parametrize("status", [401, 403, 429, 500, 499, 599])
def test_an_injected_handshake_refusal_has_its_status(status: int, tmp_path: Path) -> None:
    async def served() -> tuple[int, Recording]:
        async with serving(upstream(f"refuse={status}"), tmp_path) as (url, ended, _):
            with pytest.raises(InvalidStatus) as refused:
                await connect(url, logger=QUIET)
            return refused.value.response.status_code, (await ended.first(1))[0]

    found, recording = CLEAN(served())
    assert found == status
    assert judge(recording).why == f"no function call: the handshake was refused with HTTP {status} (--fault)"


@pytest.mark.parametrize(
    "word",
    ["", "explode", "drop=1", "delay", "delay=", "delay=nan", "delay=-1", "delay=inf", "refuse", "refuse=200", "refuse=429.5",
     "refuse=401@error", "withhold#0", "withhold#-1", "drop@", "garble@response.done#", "drop drop"],
)  # fmt: skip
def test_a_malformed_fault_is_an_input_error(word: str) -> None:
    with pytest.raises(InputError, match=r"^fault: "):
        Fault.of(word)


def test_each_connection_has_its_own_faults_and_counts_its_own_messages() -> None:
    faults = [Fault.of("withhold@a#2"), Fault.of("duplicate@a#all"), Fault.of("delay=250@b")]
    one, other = Tampering(faults), Tampering(faults)
    a, b = {"type": "a"}, {"type": "b"}
    assert [one(each) for each in (a, a, a, b, b)] == [
        ((0.0, a), (0.0, a)), (), ((0.0, a), (0.0, a)), ((0.25, b),), ((0.0, b),),
    ]  # fmt: skip
    assert other(a) == ((0.0, a), (0.0, a))
    assert one(b"audio") == ((0.0, b"audio"),)


# -- connections -----------------------------------------------------------------------------------------------------


async def answer(url: str, request: str) -> str:
    """Return the status line of the response to a plain HTTP request."""
    host, _, port = url.removeprefix("ws://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request.encode())
    line = await reader.readline()
    writer.close()
    return line.decode()


def test_a_probe_makes_no_session_and_a_connection_over_the_limit_is_refused(tmp_path: Path) -> None:
    async def served() -> None:
        async with serving(upstream(), tmp_path, most=1) as (url, ended, running):
            assert " 426 " in await answer(url, "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert not list(tmp_path.iterdir())
            async with connect(url, logger=QUIET) as client:
                await client.recv()
                with pytest.raises(InvalidStatus) as refused:
                    await connect(url, logger=QUIET)
                assert refused.value.response.status_code == 503
            async with asyncio.timeout(2):
                await running
        assert len(ended) == 1

    CLEAN(served())


@pytest.mark.parametrize(
    ("request_", "status", "allow"),
    [
        ("GET /health HTTP/1.1\r\nHost: x\r\n\r\n", 426, False),
        ("GET / HTTP/1.1\r\nHost: x\r\ncontent-length: 2\r\n\r\n{}", 426, False),
        ("POST /v1/realtime/calls HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nv=0\r\n", 405, True),
        ("POST /v1/realtime/calls HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nv=0\r\n\r\n0\r\n\r\n", 405, True),
        ("OPTIONS / HTTP/1.1\r\nOrigin: http://evil.com\r\n\r\n", 405, True),
        ("DELETE / HTTP/1.0\r\n\r\n", 405, True),
        ("HEAD / HTTP/1.1\r\n\r\n", 405, True),
    ],
)
@pytest.mark.parametrize("pieces", [1, 1000], ids=["at once", "byte by byte"])
def test_plain_http_is_answered_with_how_to_connect(
    request_: str, status: int, allow: bool, pieces: int, tmp_path: Path
) -> None:
    async def asked() -> tuple[str, str]:
        async with SessionServer(about="a mock", path="/v1/realtime?model=m") as listener:
            server = Server(listener, upstream(), tmp_path, lambda *_: None)
            running = asyncio.ensure_future(server.run())
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            head, body = request_.encode().split(b"\r\n\r\n", 1)
            step = len(head) + 4 if pieces == 1 else 1
            for at in range(0, len(head) + 4, step):
                writer.write((head + b"\r\n\r\n")[at : at + step])
                await asyncio.sleep(0)
            writer.write(body)
            async with asyncio.timeout(5):
                answered = (await reader.read()).decode()
            writer.close()
            server.stop.set()
            await running
            return answered, listener.address

    answered, url = CLEAN(asked())
    head, _, body = answered.partition("\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ")
    assert ("\r\nAllow: GET" in head) is allow
    assert "\r\nUpgrade: websocket" in head
    if not request_.startswith("HEAD"):
        assert body.splitlines() == [
            "This is a mock: a WebSocket server. It answers no other request, so no WebRTC or REST call.",
            f"Connect a WebSocket client to {url}/v1/realtime?model=m",
        ]
    assert list(tmp_path.iterdir()) == []


def test_a_recording_describes_the_client_without_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "plainwords-of-a-key")

    async def served() -> list[Recording]:
        (tmp_path / "upstream").mkdir()
        (tmp_path / "proxy").mkdir()
        async with serving(upstream(), tmp_path / "upstream") as (api_url, api_ended, _):
            target = UpstreamTarget.of(f"{api_url}/v1/realtime?model=gpt-realtime")
            async with serving(proxy_handlers(session(), target), tmp_path / "proxy") as (url, ended, _):
                asked = "/openai?model=m&token=short&q=plainwords-of-a-key&id=0123456789abcdef0"
                async with connect(
                    url + asked, logger=QUIET, user_agent_header="my-app/1.2 sk-abcdef0123", additional_headers={"X-A": "no"}
                ) as client:
                    await client.send(json.dumps({"type": "KeepAlive"}))
                    await asyncio.sleep(0.1)
                return [*await ended.first(1), *await api_ended.first(1)]

    at_proxy, at_upstream = CLEAN(served())
    assert at_proxy.provenance["client"] == {
        "path": "/openai",
        "query": "model=m&token=[key]&q=[key]&id=[key]",
        "user_agent": "my-app/1.2 [key]",
    }
    assert at_upstream.provenance["client"] == {
        "path": "/v1/realtime", "query": "model=gpt-realtime", "user_agent": "voicerace"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", ("/", None)),
        ("/v1/realtime?model=gpt-4o-realtime-preview-2024-12-17", ("/v1/realtime", "model=gpt-4o-realtime-preview-2024-12-17")),
        ("/session/0123456789abcdef?a", ("/session/[key]", "a")),
        ("/a?api-key=x&API_KEY=x&apiKey=x", ("/a", "api-key=[key]&API_KEY=[key]&apiKey=[key]")),
        ("/a?Authorization=x&sig=x&code=", ("/a", "Authorization=[key]&sig=[key]&code=")),
        ("/a?x=550e8400-e29b-41d4-a716-446655440000&y=%73k-abcdefghi", ("/a", "x=[key]&y=[key]")),
        ("/a?sk-abcdefghi", ("/a", "[key]")),
        ("//[bad?x=1", (None, None)),
        ("/?" + "ab=cd&" * 1000, ("/", ("ab=cd&" * 100)[:500])),
        ("http://user:pass@host/b?c=d", ("/b", "c=d")),
    ],
)  # fmt: skip
def test_path_and_query_are_recorded_without_values_that_look_like_keys(
    path: str, expected: tuple[str | None, str | None]
) -> None:
    found = client_of(Request(path, Headers()), Scrubber(()))
    assert (found["path"], found["query"]) == expected
    assert found["user_agent"] is None


def test_a_client_that_leaves_during_the_handshake_is_an_ended_session(tmp_path: Path) -> None:
    """The WebSocket request is invalid, so no handler serves it."""

    async def served() -> Recording:
        async with serving(upstream(), tmp_path) as (url, ended, _):
            words = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
            assert " 400 " in await answer(url, words)
            return (await ended.first(1))[0]

    assert judge(CLEAN(served())).fault == "proxy left before the handshake was answered"


@pytest.mark.parametrize("hangs", ["open", "dialling"])
def test_stopping_ends_open_sessions_in_time_and_keeps_their_recordings(hangs: str, tmp_path: Path) -> None:
    async def served() -> Recording:
        async with contextlib.AsyncExitStack() as stack:
            if hangs == "open":
                make = upstream()
            else:
                make = proxy_handlers(session(), UpstreamTarget.of(await stack.enter_async_context(mute())))
            url, ended, _ = await stack.enter_async_context(serving(make, tmp_path))
            client = await stack.enter_async_context(connect(url, logger=QUIET))
            await client.send(json.dumps({"type": "Settings"}))
            await asyncio.sleep(0.1)
            began = time.monotonic()
            await stack.aclose()
            assert time.monotonic() - began < 1.0
        return ended[0]

    recording = CLEAN(served())
    assert not recording.complete
    assert judge(recording).outcome == "unknown"
    assert bool(recording.events) == (hangs == "open")


def test_an_output_error_ends_the_server(tmp_path: Path) -> None:
    """This happens, for example, if standard output is closed."""

    async def served() -> None:
        async with SessionServer() as listener:

            def gone(file: Path, recording: Recording) -> None:
                raise BrokenPipeError

            server = Server(listener, upstream(), tmp_path, gone)
            running = asyncio.ensure_future(server.run())
            async with connect(listener.address, logger=QUIET):
                pass
            with pytest.raises(BrokenPipeError):
                async with asyncio.timeout(2):
                    await running

    CLEAN(served())


def test_settings_reach_the_upstream_of_a_served_proxy() -> None:
    """The client is a plain Voice Agent client, without the component model."""

    async def served() -> list[str]:
        async with api(session()) as api_url, proxy(session(), api_url) as url, connect(url, logger=QUIET) as client:
            settings = agent.settings(prompt="Be brief.", model="gpt-realtime", functions=())
            await client.send(json.dumps(settings))
            return [json.loads(await client.recv())["type"]]

    assert CLEAN(served()) == ["SettingsApplied"]
