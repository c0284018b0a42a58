"""The official `openai` package, used well: one request at a time, after all results of a response, and again after a refusal.

Environment: python -m venv env && env/bin/pip install "openai[realtime]==3.57.0"
Command: env/bin/python clients/openai_well.py
"""

import asyncio
import json
import os
import sys

from openai import AsyncOpenAI

TOOL_MS = [float(each) for each in os.environ["VOICERACE_TOOL_MS"].split(",")]
TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
#: Delay in s before a refused request is repeated if no response is active.
RETRY_S = 0.1


async def texts():
    """Yield the lines of the standard input."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield line.decode().strip()


class Session:
    def __init__(self, connection) -> None:
        self.connection = connection
        self.active = ""  # id of the active response
        self.asked = False  # a request is unanswered
        self.wanted = False  # a result or a text needs a response
        self.open: set[str] = set()  # calls without a result
        self.calls = 0
        self.tasks: set[asyncio.Future] = set()

    async def want(self) -> None:
        self.wanted = True
        await self.request()

    async def request(self) -> None:
        if self.wanted and not self.active and not self.asked and not self.open:
            self.wanted, self.asked = False, True
            await self.connection.response.create()

    async def answer(self, call_id: str, number: int) -> None:
        await asyncio.sleep(TOOL_MS[min(number, len(TOOL_MS) - 1)] / 1000)
        output = json.dumps({"sky": "clear"})
        await self.connection.conversation.item.create(
            item={"type": "function_call_output", "call_id": call_id, "output": output}
        )
        self.open.discard(call_id)
        await self.want()

    async def again(self) -> None:
        await asyncio.sleep(RETRY_S)
        await self.want()

    def start(self, work) -> None:
        self.tasks.add(asyncio.ensure_future(work))

    async def read(self) -> None:
        async for event in self.connection:
            if event.type == "response.created":
                self.active, self.asked = event.response.id, False
            elif event.type == "response.done" and event.response.id == self.active:
                self.active = ""
                await self.request()
            elif event.type == "response.function_call_arguments.done":
                self.open.add(event.call_id)
                self.start(self.answer(event.call_id, self.calls))
                self.calls += 1
            elif event.type == "error" and event.error.code == "conversation_already_has_active_response":
                self.asked = False
                self.start(self.again())


async def main() -> None:
    base, _, _ = os.environ["VOICERACE_URL"].partition("/realtime")
    client = AsyncOpenAI(websocket_base_url=base)
    async with client.realtime.connect(model="gpt-realtime") as connection:
        await connection.session.update(session={"type": "realtime", "tools": [TOOL]})
        session = Session(connection)
        session.start(session.read())
        async for text in texts():
            content = [{"type": "input_text", "text": text}]
            await connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})
            await session.want()


asyncio.run(main())
