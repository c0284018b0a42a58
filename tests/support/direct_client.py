"""A client without a proxy that fulfils docs/clients.md: `python -m tests.support.direct_client [KIND]`.

`naive` requests a response after each result at once, `waits` only when no response is active. `leaves` ends after the first
text, `silent` never connects, `stays` does not end with its input.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

TOOL: dict[str, Any] = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}
TOOL_MS = [float(each) for each in os.environ.get("VOICERACE_TOOL_MS", "0").split(",")]


class Client:
    def __init__(self, socket: ClientConnection, kind: str) -> None:
        self.socket = socket
        self.waits = kind == "waits"
        self.active = self.wanted = False
        self.calls = 0
        self.tasks: set[asyncio.Future[None]] = set()

    async def send(self, **event: Any) -> None:
        await self.socket.send(json.dumps(event))

    async def request(self) -> None:
        if self.waits and self.active:
            self.wanted = True
            return
        self.active = True
        await self.send(type="response.create")

    async def answer(self, call_id: str, number: int) -> None:
        await asyncio.sleep(TOOL_MS[min(number, len(TOOL_MS) - 1)] / 1000)
        item = {"type": "function_call_output", "call_id": call_id, "output": json.dumps({"sky": "clear"})}
        await self.send(type="conversation.item.create", item=item)
        await self.request()

    async def read(self) -> None:
        async for text in self.socket:
            event = json.loads(text)
            if event["type"] == "response.created":
                self.active = True
            elif event["type"] == "response.done":
                self.active = False
                if self.wanted:
                    self.wanted = False
                    await self.request()
            elif event["type"] == "response.function_call_arguments.done":
                self.tasks.add(asyncio.ensure_future(self.answer(event["call_id"], self.calls)))
                self.calls += 1


async def main(kind: str) -> None:
    if kind == "silent":
        await asyncio.sleep(100)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with connect(os.environ["VOICERACE_URL"], proxy=None) as socket:
        client = Client(socket, kind)
        await client.send(type="session.update", session={"type": "realtime", "tools": [TOOL]})
        client.tasks.add(asyncio.ensure_future(client.read()))
        while line := await lines.readline():
            content = [{"type": "input_text", "text": line.decode().strip()}]
            await client.send(type="conversation.item.create", item={"type": "message", "role": "user", "content": content})
            await client.request()
            if kind == "leaves":
                return
        if kind == "stays":
            await asyncio.sleep(100)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
