"""Somebody's end-to-end run, as a program: a host that answers a function call, several times if it is told to.

It knows the proxy by VOICERACE_HOST_URL, and tells the model of a proxy where its upstream is.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

#: As voice-agent-react sends it. Nothing of the project is loaded here: this is somebody else's program.
SETTINGS = {
    "type": "Settings",
    "audio": {"input": {"encoding": "linear16", "sample_rate": 16000}},
    "agent": {
        "think": {
            "provider": {"type": "open_ai", "model": "gpt-realtime"},
            "prompt": "You are a test.",
            "functions": [{"name": "get_weather", "description": "The weather.", "parameters": {"type": "object"}}],
        }
    },
}


async def talk(connection: ClientConnection, number: int, options: argparse.Namespace) -> str:
    """One question, its function calls, and the answer or the error."""

    async def send(kind: str, **fields: object) -> None:
        await connection.send(json.dumps({"type": kind, **fields}))

    heard = False
    await connection.send(json.dumps(SETTINGS))
    async for raw in connection:
        message = json.loads(raw) if isinstance(raw, str) else {}
        match message.get("type"):
            case "SettingsApplied":
                await send("InjectUserMessage", content=f"What is the weather in city {options.name or number}?")
            case "ConversationText" if options.silent and message["role"] == "user":
                print("said", flush=True)  # the proxy's echo: everybody in between has seen the words
                await connection.wait_closed()
            case "FunctionCallRequest" if options.vanish:
                return "gone"
            case "FunctionCallRequest":
                for call in message["functions"]:
                    await asyncio.sleep(options.tool_ms / 1000)
                    result = json.dumps({"city": number})
                    await send("FunctionCallResponse", id=call["id"], name=call["name"], content=result)
            case "Error":
                return str(message["code"])
            case "ConversationText" if message["role"] == "assistant" and not message["content"].startswith("Function call:"):
                heard = True
            case "response.done" if heard:  # the old proxies pass it on
                return "answered"
    return "closed"


async def run(options: argparse.Namespace) -> None:
    url = os.environ.get("VOICERACE_HOST_URL", options.url)
    upstream = os.environ.get("VOICERACE_UPSTREAM_URL")
    url += "/openai" + (f"?upstream={quote(upstream, safe='')}" if upstream else "")

    async def one(number: int) -> str:
        try:
            connection = await connect(url, proxy=None, subprotocols=options.subprotocol)
        except (OSError, WebSocketException) as error:
            return f"not connected: {error}"
        try:
            return await talk(connection, number, options)
        except ConnectionClosed as closed:
            return f"dropped: {closed}"
        finally:
            if not options.leave_open:
                await connection.close()

    for line in await asyncio.gather(*(one(number) for number in range(options.sessions))):
        print(line, flush=True)
    if options.leave_open:
        os._exit(options.status)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", default="")
    parser.add_argument("--sessions", type=int, default=1)
    parser.add_argument("--tool-ms", type=float, default=0)
    parser.add_argument("--status", type=int, default=0)
    parser.add_argument("--kill", type=int, help="die of this signal at the end")
    parser.add_argument("--silent", action="store_true", help="say something, and wait for the end")
    parser.add_argument("--vanish", action="store_true", help="answer no call, and end")
    parser.add_argument("--leave-open", action="store_true", help="end without a word")
    parser.add_argument("--name", help="of the city; its number without one")
    parser.add_argument("--subprotocol", action="append")
    options = parser.parse_args()
    asyncio.run(run(options))
    if options.kill is not None:
        signal.raise_signal(options.kill)
    return int(options.status)


if __name__ == "__main__":
    sys.exit(main())
