"""pipecat: a pipeline with the OpenAI realtime service and one function tool.

Environment: python -m venv env && env/bin/pip install "pipecat-ai[openai,websocket]==1.14.0"
Command: env/bin/python clients/pipecat_realtime.py
"""

import asyncio
import os
import sys

from pipecat.adapters.schemas.function_schema import FunctionSchema
from pipecat.adapters.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import EndFrame, LLMMessagesAppendFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.worker import PipelineTask
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService

TOOL_MS = [float(each) for each in os.environ["VOICERACE_TOOL_MS"].split(",")]
calls = 0


async def get_weather(params) -> None:
    global calls
    number, calls = calls, calls + 1
    await asyncio.sleep(TOOL_MS[min(number, len(TOOL_MS) - 1)] / 1000)
    await params.result_callback({"sky": "clear"})


async def texts():
    """Yield the lines of the standard input."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield line.decode().strip()


async def main() -> None:
    base = os.environ["VOICERACE_URL"].partition("?")[0]
    llm = OpenAIRealtimeLLMService(api_key=os.environ["OPENAI_API_KEY"], base_url=base)
    llm.register_function("get_weather", get_weather)
    city = {"city": {"type": "string"}}
    tool = FunctionSchema(name="get_weather", description="The weather in a city.", properties=city, required=["city"])
    context = LLMContext([], ToolsSchema(standard_tools=[tool]))
    pair = LLMContextAggregatorPair(context)
    task = PipelineTask(Pipeline([pair.user(), llm, pair.assistant()]))
    running = asyncio.ensure_future(PipelineRunner(handle_sigint=False).run(task))
    async for text in texts():
        await task.queue_frame(LLMMessagesAppendFrame(messages=[{"role": "user", "content": text}], run_llm=True))
    await task.queue_frame(EndFrame())
    await asyncio.wait({running}, timeout=3)
    # The end waits for tasks of the framework, which can wait for a reply that never comes.
    os._exit(0)


asyncio.run(main())
