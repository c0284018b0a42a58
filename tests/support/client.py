"""Play a user's end-to-end run as a program: a host that answers a function call, several times on request.

The program reads the proxy's address from VOICERACE_HOST_URL. It passes the address of the upstream to the proxy.
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

#: Settings that voice-agent-react sends. The program stands for a user's own program, so it imports nothing of the project.
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
    """Ask one question and answer its function calls; return "answered", an error code, or how the session ended."""

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
                print("said", flush=True)  # the proxy's echo shows that the text has passed every relay
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
            case "response.done" if heard:  # old proxies forward response.done
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
    parser.add_argument("--kill", type=int, help="end with this signal")
    parser.add_argument("--silent", action="store_true", help="send a message and wait for the end")
    parser.add_argument("--vanish", action="store_true", help="end without answering a call")
    parser.add_argument("--leave-open", action="store_true", help="end without closing the connection")
    parser.add_argument("--name", help="name of the city [its number]")
    parser.add_argument("--subprotocol", action="append")
    options = parser.parse_args()
    asyncio.run(run(options))
    if options.kill is not None:
        signal.raise_signal(options.kill)
    return int(options.status)


if __name__ == "__main__":
    sys.exit(main())
