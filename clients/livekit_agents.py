"""livekit-agents: an AgentSession without a room, with one function tool.

Environment: python -m venv env && env/bin/pip install "livekit-agents==1.8.9" "livekit-plugins-openai==1.8.9"
Command: env/bin/python clients/livekit_agents.py
"""

import asyncio
import contextlib
import os
import sys

from livekit.agents import Agent, AgentSession, function_tool
from livekit.plugins import openai

TOOL_MS = [float(each) for each in os.environ["VOICERACE_TOOL_MS"].split(",")]
calls = 0


class Assistant(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You are a helpful assistant.")

    @function_tool
    async def get_weather(self, city: str) -> dict[str, str]:
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
    model = openai.realtime.RealtimeModel(base_url=base, api_key=os.environ["OPENAI_API_KEY"], model="gpt-realtime")
    session = AgentSession(llm=model)
    await session.start(Assistant())
    async for text in texts():
        session.generate_reply(user_input=text)
    # The end waits for tasks of the framework, which can wait for a reply that never comes.
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(session.aclose(), 3)
    os._exit(0)


asyncio.run(main())
