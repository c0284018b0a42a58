"""A client's own test, for `voicerace capture --upstream mock`: one question, one tool, then exit status 0 if it got a reply.

The argument is when it sends the result: `early`, at the call, or `late`, after the call's response.
"""

import asyncio
import json
import os
import sys
from typing import Any

from websockets.asyncio.client import connect

TOOL = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}
QUESTION = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "What is the weather?"}]}
RESULT_AT = {"early": "response.function_call_arguments.done", "late": "response.done"}[sys.argv[1]]


async def main() -> int:
    headers = {"Authorization": f"Bearer {os.environ.get('OPENAI_API_KEY')}"}
    url = os.environ.get("VOICERACE_URL") or f"{os.environ['VOICERACE_UPSTREAM_URL']}/v1/realtime"
    async with connect(url, additional_headers=headers) as connection:

        async def send(kind: str, **fields: Any) -> None:
            await connection.send(json.dumps({"type": kind, **fields}))

        await send("session.update", session={"type": "realtime", "tools": [TOOL]})
        await send("conversation.item.create", item=QUESTION)
        await send("response.create")
        call = ""
        async for message in connection:
            event = json.loads(message)
            if event["type"] == "response.function_call_arguments.done":
                call = event["call_id"]
            if event["type"] == RESULT_AT and call:
                item = {"type": "function_call_output", "call_id": call, "output": "clear"}
                await send("conversation.item.create", item=item)
                await send("response.create")
                call = ""
            elif event["type"] == "response.done" and event["response"]["output"][0]["type"] == "message":
                print(event["response"]["output"][0]["content"][0]["transcript"])
                return 0
            if event["type"] == "error":
                print(event["error"]["code"])
                return 1
    return 2


sys.exit(asyncio.run(main()))
