"""openai-agents (Python): a realtime agent with one function tool.

Environment: python -m venv env && env/bin/pip install "openai-agents==0.24.0"
Command: env/bin/python clients/openai_agents.py
"""

import asyncio
import os
import sys

from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeRunner

TOOL_MS = [float(each) for each in os.environ["VOICERACE_TOOL_MS"].split(",")]
calls = 0


@function_tool
async def get_weather(city: str) -> dict:
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
    agent = RealtimeAgent(name="assistant", instructions="You are a helpful assistant.", tools=[get_weather])
    runner = RealtimeRunner(agent)
    session = await runner.run(model_config={"url": os.environ["VOICERACE_URL"], "api_key": os.environ["OPENAI_API_KEY"]})

    async def read() -> None:
        async for event in session:
            if event.type == "error":
                print("error", event.error, flush=True)

    async with session:
        reading = asyncio.ensure_future(read())
        async for text in texts():
            await session.send_message(text)
        reading.cancel()


asyncio.run(main())
