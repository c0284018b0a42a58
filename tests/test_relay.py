"""Test the relay, which forwards frames unchanged and records them. The tests use real sockets and no sleeps."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import trustme
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request, Response

from tests.support.relayed import DOWN, UP, Between, codes, dial, echo, events, reasons, relayed, run, target, url_of
from voicerace.engine.live.connection import MAX_FRAME
from voicerace.engine.live.relay import added_ns
from voicerace.scrubber import Scrubber

# -- forwarding ------------------------------------------------------------------------------------------------------


def test_frames_of_both_kinds_keep_their_order_in_both_directions() -> None:
    sent: list[str | bytes] = ['{"type":"a", "n": 1}', b"\x00\xff" * 900, "no JSON", "", b"", "\u2028 \U0001f600", "[1,2]"]

    async def main() -> None:
        async with relayed(echo) as between:
            async with dial(between) as client:
                for frame in sent:
                    await client.send(frame)
                assert [await client.recv() for _ in sent] == sent
            recording = await between.recording()
        for link in (UP, DOWN):
            payloads = [event.payload for event in events(recording, link)]
            assert payloads == [{"type": "a", "n": 1}, *sent[1:]]
        assert recording.complete

    run(main())


def test_path_query_headers_and_subprotocol_are_forwarded_and_not_recorded() -> None:
    asked: list[Request] = []

    def note(connection: ServerConnection, request: Request) -> None:
        asked.append(request)

    async def main() -> None:
        async with target(echo, process_request=note, subprotocols=["realtime"]) as server:
            address = url_of(server)
            between = Between(address)
            async with between.server:
                async with dial(
                    between,
                    "/v1//realtime;a=b?model=x%2Fy&token=secret-of-mine&empty=",
                    subprotocols=["openai-insecure-api-key.secret-of-mine", "realtime"],
                    additional_headers=[("Authorization", "Bearer secret-of-mine"), ("X-Two", "1"), ("X-Two", "2")],
                    user_agent_header="example client",
                    origin="http://localhost:3000",
                ) as client:
                    assert client.subprotocol == "realtime"
                recording = await between.recording()
        (request,) = asked
        assert request.path == "/v1//realtime;a=b?model=x%2Fy&token=secret-of-mine&empty="
        assert request.headers["Authorization"] == "Bearer secret-of-mine"
        assert request.headers.get_all("X-Two") == ["1", "2"]
        assert request.headers["User-Agent"] == "example client"
        assert request.headers["Origin"] == "http://localhost:3000"
        assert request.headers["Host"] == address.removeprefix("ws://")
        assert request.headers["Sec-WebSocket-Protocol"] == "openai-insecure-api-key.secret-of-mine, realtime"
        assert "secret" not in "".join(recording.lines())

    run(main())


def test_a_first_message_of_the_far_side_is_buffered_for_the_near_side() -> None:
    async def greet(connection: ServerConnection) -> None:
        await connection.send("first")
        await connection.wait_closed()

    async def main() -> None:
        async with relayed(greet) as between, dial(between) as client:
            assert await client.recv() == "first"

    run(main())


def test_tls_works_and_an_untrusted_certificate_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = trustme.CA()
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(served)

    async def main(trusted: bool) -> None:
        async with target(echo, ssl=served) as server:
            between = Between(url_of(server, "wss"))
            async with between.server:
                if trusted:
                    async with dial(between) as client:
                        await client.send("x")
                        assert await client.recv() == "x"
                else:
                    with pytest.raises(InvalidStatus, match="502"):
                        await dial(between)
                    assert "TLS failed" in reasons(await between.recording())[0]

    run(main(trusted=False))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    run(main(trusted=True))


# -- closes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3999, 4001, None])
@pytest.mark.parametrize("who", ["near", "far"])
def test_a_close_code_reaches_the_other_side(who: str, code: int | None) -> None:
    seen: list[tuple[int | None, str]] = []
    why = "because" if code else ""

    async def close(connection: Any) -> None:
        await connection.close(code, why)

    async def note(connection: Any) -> None:
        await connection.wait_closed()
        seen.append((connection.close_code, connection.close_reason))

    async def main() -> None:
        async with relayed(note if who == "near" else close) as between:
            async with dial(between) as client:
                await (close if who == "near" else note)(client)
            recording = await between.recording()
        assert seen == [(code or 1005, why)]
        mine, other = (UP, DOWN) if who == "near" else (DOWN, UP)
        assert codes(recording, mine) == [code]
        assert codes(recording, other) == []
        assert recording.complete
        assert reasons(recording) == []

    run(main())


@pytest.mark.parametrize("who", ["near", "far"])
def test_a_dropped_side_drops_the_other_side(who: str) -> None:
    seen: list[int | None] = []

    async def drop(connection: Any) -> None:
        await connection.send("last words")
        connection.transport.close()
        await connection.wait_closed()

    async def note(connection: Any) -> None:
        assert await connection.recv() == "last words"
        await connection.wait_closed()
        seen.append(connection.close_code)

    async def main() -> None:
        async with relayed(note if who == "near" else drop) as between:
            client = await dial(between)
            await (drop if who == "near" else note)(client)
            recording = await between.recording()
        assert seen == [1006]
        name = "component" if who == "near" else "proxy"
        assert reasons(recording) == [f"{name} dropped the connection without closing it (1006)"]
        assert not recording.complete
        assert codes(recording, UP) == codes(recording, DOWN) == []

    run(main())


def test_simultaneous_closes_are_both_recorded() -> None:
    async def main() -> None:
        at_once = asyncio.Event()

        async def close(connection: ServerConnection) -> None:
            await at_once.wait()
            await connection.close(4002)

        async with relayed(close) as between:
            client = await dial(between)
            at_once.set()
            await client.close(4001)
            recording = await between.recording()
        # Depending on the timing, the second close crosses the first or answers it.
        assert [*codes(recording, UP), *codes(recording, DOWN)] in ([4001], [4002], [4001, 4002])
        assert reasons(recording) == []

    run(main())


@pytest.mark.parametrize("who", ["near", "far"])
def test_a_frame_over_the_limit_is_a_fault_and_one_at_the_limit_is_not(who: str) -> None:
    async def send(connection: Any) -> None:
        with contextlib.suppress(ConnectionClosed):
            await connection.send("x" * MAX_FRAME)
            await connection.send("x" * (MAX_FRAME + 1))
        await connection.wait_closed()

    async def take(connection: Any) -> None:
        assert len(await connection.recv()) == MAX_FRAME
        with pytest.raises(ConnectionClosed):
            await connection.recv()

    async def main() -> None:
        async with relayed(take if who == "near" else send) as between:
            client = await dial(between)
            await (send if who == "near" else take)(client)
            await client.wait_closed()
            recording = await between.recording()
        name = "component" if who == "near" else "proxy"
        assert reasons(recording) == [f"{name} sent a frame of more than 16 MiB"]
        assert [len(str(each.payload)) for each in recording.events if each.kind == "message"] == [MAX_FRAME]

    run(main())


# -- handshakes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403, 429, 500, 302])
def test_a_refused_handshake_is_refused_with_the_same_status_and_body(status: int) -> None:
    def refuse(connection: ServerConnection, request: Request) -> Response:
        headers = Headers({"Content-Type": "application/json", "Retry-After": "7", "Location": "ws://127.0.0.1:1/"})
        body = b'{"error":{"message":"Incorrect API key provided: my-key"}}'
        headers["Content-Length"] = str(len(body))
        return Response(status, "No", headers, body)

    async def main() -> None:
        async with relayed(echo, refuse) as between:
            client = RawConnect(between.server.address)
            with pytest.raises(InvalidStatus) as refused:
                await client
            recording = await between.recording()
        response = refused.value.response
        assert (response.status_code, response.headers["Retry-After"]) == (status, "7")
        assert json.loads(response.body or b"")["error"]["message"].startswith("Incorrect")
        assert reasons(recording) == [f"proxy: the handshake was refused with HTTP {status}"]
        assert "my-key" not in "".join(recording.lines())

    run(main())


class RawConnect(connect):
    """A client that does not follow redirects."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


def test_a_shielded_client_sees_only_the_status_of_a_refusal() -> None:
    def refuse(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(401, f"wrong key: {request.headers['Authorization']}")

    async def main() -> None:
        shield = Scrubber(["sk-long-and-secret"])
        async with relayed(echo, refuse, headers={"Authorization": "Bearer sk-long-and-secret"}, shield=shield) as between:
            with pytest.raises(InvalidStatus) as refused:
                await dial(between, additional_headers={"Authorization": "Bearer placeholder"})
            assert refused.value.response.status_code == 401
            assert b"sk-long" not in (refused.value.response.body or b"")

    run(main())


def test_an_unreachable_target_is_a_bad_gateway() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening, so that connections are refused and the port stays reserved
        address = f"ws://127.0.0.1:{unused.getsockname()[1]}"

        async def main() -> None:
            between = Between(address)
            async with between.server:
                with pytest.raises(InvalidStatus, match="502"):
                    await dial(between, "/?key=secret-of-mine")
                recording = await between.recording()
            assert reasons(recording) == ["proxy: not reachable: Connection refused"]
            assert "secret" not in "".join(recording.lines())

        run(main())


@pytest.mark.parametrize("when", ["while the far side is opened", "when it is open"])
def test_a_client_that_vanishes_in_the_handshake_leaves_no_far_connection(when: str) -> None:
    async def main() -> None:
        asked, go_on, gone = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def hold(connection: ServerConnection, request: Request) -> None:
            asked.set()
            await go_on.wait()

        async def stay(connection: ServerConnection) -> None:
            await connection.wait_closed()
            gone.set()

        async with relayed(stay, hold) as between:
            reader, writer = await asyncio.open_connection("127.0.0.1", between.server.port)
            # Without Sec-WebSocket-Key the handshake with the client fails after the connection to the target was opened.
            key = b"" if when == "when it is open" else b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            writer.write(
                b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\n" + key + b"\r\n"
            )
            await asked.wait()
            if key:
                writer.transport.abort()
            go_on.set()
            if not key:
                assert b"400" in await reader.readline()
                writer.close()
            await gone.wait()
            recording = await between.recording()
        assert reasons(recording) == ["component left before the handshake was answered"]

    run(main())


# -- clock -----------------------------------------------------------------------------------------------------------


def test_both_sides_use_one_clock_and_the_relay_delay_is_measured() -> None:
    async def main() -> None:
        async with relayed(echo) as between:
            async with dial(between) as client:
                for number in range(200):
                    await client.send(str(number))
                    await client.recv()
            recording = await between.recording()
        added = added_ns(recording)
        assert len(added) == 400
        assert all(each > 0 for each in added)
        assert median(added) < 50_000_000  # the limit is far above the real value; it only checks the unit
        times = [time for event in recording.events for time in (event.sent_ns, event.received_ns) if time is not None]
        assert times == sorted(times)

    run(main())


def test_a_peer_that_does_not_read_delays_only_its_own_direction() -> None:
    async def main() -> None:
        reading = asyncio.Event()

        async def flood(connection: ServerConnection) -> None:
            flooding = asyncio.ensure_future(connection.send("x" * 2**23))
            assert await connection.recv() == "still here"
            reading.set()
            await flooding
            await connection.close()

        async with relayed(flood) as between:
            client = await dial(between, max_queue=1, write_limit=1)
            client.transport.pause_reading()
            await client.send("still here")
            await reading.wait()
            client.transport.resume_reading()
            assert len(await client.recv()) == 2**23
            await client.wait_closed()
            recording = await between.recording()
        assert [event.type for event in events(recording, UP)] == ["(text)"]
        assert recording.complete

    run(main())


def test_fifty_concurrent_sessions_are_kept_apart() -> None:
    async def one(between: Between, number: int) -> None:
        async with dial(between, f"/?session={number}") as client:
            for step in range(20):
                await client.send(json.dumps({"type": "x", "session": number, "step": step}))
                assert json.loads(await client.recv()) == {"type": "x", "session": number, "step": step}

    async def main() -> None:
        async with relayed(echo) as between:
            await asyncio.gather(*(one(between, number) for number in range(50)))
            recordings = await between.recordings()
        assert len(recordings) == 50
        for recording in recordings:
            for link in (UP, DOWN):
                payloads = [event.payload for event in events(recording, link)]
                assert [each["step"] for each in payloads if isinstance(each, dict)] == list(range(20))
                assert len({each["session"] for each in payloads if isinstance(each, dict)}) == 1

    run(main())
