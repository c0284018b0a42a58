"""pydantic-ai: a realtime session of an agent with one function tool.

Environment: python -m venv env && env/bin/pip install "pydantic-ai-slim[openai]==2.68.0" websockets
Command: env/bin/python clients/pydantic_ai_realtime.py
"""

import asyncio
import os
import sys

from pydantic_ai import Agent
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.realtime.openai import OpenAIRealtimeModel

TOOL_MS = [float(each) for each in os.environ["VOICERACE_TOOL_MS"].split(",")]
calls = 0
agent = Agent(instructions="You are a helpful assistant.")


@agent.tool_plain
async def get_weather(city: str) -> dict[str, str]:
    """The weather in a city."""
    global calls
    number, calls = calls, calls + 1
    await asyncio.sleep(TOOL_MS[min(number, len(TOOL_MS) - 1)] / 1000)
    return {"sky": "clear"}


async def texts():
    """Yield the lines of the standard input."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield line.decode().strip()


async def main() -> None:
    base = os.environ["VOICERACE_URL"].partition("/realtime")[0].replace("ws://", "http://")
    provider = OpenAIProvider(base_url=base, api_key=os.environ["OPENAI_API_KEY"])
    model = OpenAIRealtimeModel("gpt-realtime", provider=provider)
    async with agent.realtime(model).session() as session:

        async def read() -> None:
            async for event in session:
                print(type(event).__name__, flush=True)

        reading = asyncio.ensure_future(read())
        async for text in texts():
            await session.send(text)
        reading.cancel()


asyncio.run(main())
