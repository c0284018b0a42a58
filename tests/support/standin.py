"""A stand-in for the real API: the mock with TLS, a key, and a check of events against the reference.

Like OpenAI's API, and unlike the mock, it requires ``wss://``, ``Authorization: Bearer``, a model in the query,
`session.type` "realtime" in a first `session.update`, and events without fields that the official models lack.
Limitation: the responses, including the texts of refusals, are those of the mock.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import trustme
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from support.strictly import CLIENT_EVENTS, SERVER_EVENTS, faults
from voicerace.conformance.contract.apis import AskedEndpoint
from voicerace.conformance.contract.asked_upstream import AskedUpstream
from voicerace.engine.live.actor_host import ActorHost
from voicerace.engine.live.recorder import Recorder
from voicerace.engine.live.server import SessionServer
from voicerace.engine.session import SessionConfig
from voicerace.model.actors.actor import Actor, Effects, Send
from voicerace.model.protocol.frames import payload_of
from voicerace.trace.recording import Payload

__all__ = ["Gate", "StandIn"]

_PATH = "/v1/realtime"


class Gate(AskedUpstream):
    """The mock with a strict check of every field of its input.

    Attributes:
        refused: (type, fault) of events that were refused before the mock received them.
        unofficial: (type, fault) of events from the mock that the official models do not accept.
    """

    def __init__(self, **words: Any) -> None:
        super().__init__(**words)
        self.configured = False
        self.refused: list[tuple[str, str]] = []
        self.unofficial: list[tuple[str, str]] = []

    def start(self) -> Effects:
        return self._checked(super().start())

    def timer(self, name: str) -> Effects:
        return self._checked(super().timer(name))

    def message(self, sender: str, payload: Payload) -> Effects:
        event = payload_of(payload.decode("utf-8", "replace")) if isinstance(payload, bytes) else payload
        if isinstance(event, Mapping) and (wrong := self._wrong(event)):
            self.refused.append((str(event.get("type")), wrong))
            field, _, fault = wrong.partition(": ")
            code = {"undeclared": "unknown_parameter", "missing": "missing_required_parameter"}.get(fault, "invalid_value")
            self._error(code, f"{fault}: '{field}'.", event)
            return self._checked(self._effects())
        return self._checked(super().message(sender, payload))

    def _wrong(self, event: Mapping[str, Any]) -> str:
        """Return the first fault of an event according to the reference, or an empty string."""
        if found := faults(CLIENT_EVENTS, event):
            return found[0]
        if event["type"] == "session.update":
            if event["session"]["type"] != "realtime":
                return "session.type: invalid for this endpoint"
            self.configured = True
        return "" if self.configured else "type: the first event must be session.update"

    def _checked(self, effects: Effects) -> Effects:
        for effect in effects:
            if isinstance(effect, Send) and isinstance(effect.payload, Mapping):
                kind = str(effect.payload.get("type"))
                self.unofficial += [(kind, fault) for fault in faults(SERVER_EVENTS, effect.payload)]
        return effects


class _Endpoint(AskedEndpoint):
    def __init__(self, session: SessionConfig, key: str) -> None:
        super().__init__(session, Recorder({}))
        self.key = key
        self.gate: Gate | None = None

    async def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        parts = urlsplit(request.path)
        if parts.path != _PATH or not parse_qs(parts.query).get("model"):
            return connection.respond(HTTPStatus.NOT_FOUND, "no such thing here\n")
        if "OpenAI-Beta" in request.headers:
            return connection.respond(HTTPStatus.BAD_REQUEST, "the beta has ended\n")
        if request.headers.get_all("Authorization") != [f"Bearer {self.key}"]:
            return connection.respond(HTTPStatus.UNAUTHORIZED, "who are you?\n")
        return None

    def _host(self, name: str, party: Actor) -> ActorHost:
        self.gate = Gate(knobs=self.session.knobs, item_done_early=self.session.times.has("item_done_ms"))
        self.actor_host = ActorHost({name: self.gate}, self.session.times, self.session.seed, self.recorder, self.watch)
        return self.actor_host


class StandIn:
    """A context manager that serves the stand-in from a separate thread.

    Args:
        key: the key that clients must send.
        folder: folder for the certificate of the stand-in's authority, which SSL_CERT_FILE must name.
        session: settings and times of the mock.
    """

    def __init__(self, key: str, folder: Path, session: SessionConfig) -> None:
        authority = trustme.CA()
        self.certificate = folder / "authority.pem"
        authority.cert_pem.write_to_path(str(self.certificate))
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(self._tls)
        self._key, self._session = key, session
        self._loop = asyncio.new_event_loop()
        # A client that aborts TLS is not a fault, so the error must not appear in a test's output.
        self._loop.set_exception_handler(lambda loop, context: None)
        self._thread = threading.Thread(target=self._loop.run_forever, name="stand-in")
        self._endpoints: list[_Endpoint] = []
        self._door = SessionServer(otherwise=self._visitor, tls=self._tls)

    def _visitor(self, request: Request) -> _Endpoint:
        self._endpoints.append(_Endpoint(self._session, self._key))
        return self._endpoints[-1]

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._door.__aenter__(), self._loop).result(5)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._door.__aexit__(kind, error, trace), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"wss://localhost:{self._door.port}{_PATH}?model=gpt-realtime"

    @property
    def gates(self) -> Sequence[Gate]:
        """Return one gate for each accepted connection."""
        return [endpoint.gate for endpoint in self._endpoints if endpoint.gate is not None]
