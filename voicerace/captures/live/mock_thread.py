"""Serve the mock Realtime API in a thread while a capture runs in the main thread."""

from __future__ import annotations

import asyncio
import threading
from typing import Self

from websockets.http11 import Request

from voicerace.engine.live.clock import new_loop
from voicerace.engine.live.endpoints import UpstreamEndpoint
from voicerace.engine.live.recorder import Recorder
from voicerace.engine.live.server import SessionServer
from voicerace.engine.session import SessionConfig
from voicerace.trace.recording import UPSTREAM_LINKS

__all__ = ["MockThread"]

#: Maximum time in s to start the server, and to stop it.
_PATIENCE_S = 10.0


class MockThread:
    """Serves the mock on a free port of 127.0.0.1 while the context is open. Each connection is a separate session.

    Args:
        session: the mock's plan, times and knobs.
    """

    def __init__(self, session: SessionConfig) -> None:
        self._session = session
        self._server = SessionServer(otherwise=self._endpoint)
        self._loop = new_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mock", daemon=True)

    def _endpoint(self, request: Request) -> UpstreamEndpoint:
        return UpstreamEndpoint(self._session, Recorder({}, UPSTREAM_LINKS))

    @property
    def url(self) -> str:
        """Address ``ws://127.0.0.1:PORT``."""
        return self._server.address

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._server.__aenter__(), self._loop).result(_PATIENCE_S)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *raised: object) -> None:
        try:
            asyncio.run_coroutine_threadsafe(self._server.__aexit__(None, None, None), self._loop).result(_PATIENCE_S)
        finally:
            self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE_S)
        self._loop.close()
