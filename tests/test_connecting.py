"""Test the reported reasons of a failed connection, which contain no private text."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.relayed import run
from voicerace.engine.live.connecting import NotConnectedError, open_connection


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "refused with HTTP 200"),
        (b"secret-of-mine\r\n\r\n", "no WebSocket handshake: the answer was no HTTP"),
        (
            b"HTTP/1.1 101 Switching\r\nUpgrade: secret-of-mine\r\nConnection: Upgrade\r\n\r\n",
            "no WebSocket handshake: the answer was no upgrade to WebSocket",
        ),
        (b"", "no WebSocket handshake: the answer was no HTTP"),
    ],
)
def test_a_failed_handshake_has_a_reason_without_text_of_the_answer(answer: bytes, why: str) -> None:
    async def connect() -> None:
        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(speak, "127.0.0.1", 0)
        async with server:
            with pytest.raises(NotConnectedError) as refused:
                await open_connection(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/?secret-of-mine")
        assert why in refused.value.reason
        assert "secret" not in refused.value.reason

    run(connect())
