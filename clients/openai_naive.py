"""The official `openai` package, used naively: each result and each user text is followed by `response.create` at once.

Environment: python -m venv env && env/bin/pip install "openai[realtime]==3.57.0"
Command: env/bin/python clients/openai_naive.py
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


async def texts():
    """Yield the lines of the standard input."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield line.decode().strip()


async def main() -> None:
    base, _, _ = os.environ["VOICERACE_URL"].partition("/realtime")
    client = AsyncOpenAI(websocket_base_url=base)
    calls = 0
    async with client.realtime.connect(model="gpt-realtime") as connection:
        await connection.session.update(session={"type": "realtime", "tools": [TOOL]})

        async def answer(call_id: str, number: int) -> None:
            await asyncio.sleep(TOOL_MS[min(number, len(TOOL_MS) - 1)] / 1000)
            output = json.dumps({"sky": "clear"})
            await connection.conversation.item.create(
                item={"type": "function_call_output", "call_id": call_id, "output": output}
            )
            await connection.response.create()

        async def read() -> None:
            nonlocal calls
            async for event in connection:
                if event.type == "response.function_call_arguments.done":
                    tasks.add(asyncio.ensure_future(answer(event.call_id, calls)))
                    calls += 1

        tasks: set[asyncio.Future] = set()
        tasks.add(asyncio.ensure_future(read()))
        async for text in texts():
            content = [{"type": "input_text", "text": text}]
            await connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})
            await connection.response.create()


asyncio.run(main())
