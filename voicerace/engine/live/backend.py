"""Runs the proxy of a checkout as a child process on a free port.

The proxy reads `.env` files. It gets a placeholder key and a short list of variables, so that no real key and no `.env` setting
has an effect. Sources: docs/release-facts.md#running-a-checkout; `run.ts` of each tag.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Self

from voicerace.engine.live.source import package_of, source_hash
from voicerace.errors import InputError

__all__ = ["Backend", "free_port"]

_ALLOWED = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")
#: Variables that are set to an empty value. `dotenv` does not replace existing variables, so `.env` files cannot set them.
_EMPTY = (
    "HTTPS", "OPENAI_PROXY_DEBUG", "OPENAI_PROXY_GREETING_TEXT_ONLY", "OPENAI_PROXY_CLIENT_JSON_PASSTHROUGH",
    "OPENAI_PROXY_TTS_BOUNDARY_DEBUG", "OPENAI_PROXY_INSECURE_DEV_TLS", "OPENAI_PROXY_TLS_KEY_PATH",
    "OPENAI_PROXY_TLS_CERT_PATH", "CAPTURE_UPSTREAM_AFTER_FCR", "E2E_FUNCTION_CALL_DEBUG_LOG",
)  # fmt: skip
PLACEHOLDER_KEY = "placeholder-not-a-key"


class Backend:
    """Proxy process of one checkout, running while the context is open.

    Args:
        directory: root of a repository or its voice-agent-backend folder, with installed dependencies.
        upstream_url: URL of the Realtime API for the proxy (``ws://…``).
        log: file for the proxy's output. None uses a temporary file.
        patience_s: maximum time in seconds until the proxy listens.

    Raises:
        InputError: the directory contains no proxy; or, when the context opens: Node.js or the dependencies are not
            installed, or the proxy did not listen. In that case, the message contains the last line of the proxy's output.
    """

    #: Name of the program in errors.
    what = "proxy"

    def __init__(self, directory: Path | str, upstream_url: str, log: Path | None = None, patience_s: float = 30.0) -> None:
        self.directory = directory
        self.package = package_of(directory)
        self.source = source_hash(directory)
        self.upstream_url = upstream_url
        self.patience_s = patience_s
        self.port = 0
        self._given_up = threading.Event()
        self._log_path = log
        self._log: IO[bytes] | None = None
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """URL at which hosts connect to the proxy."""
        return f"ws://127.0.0.1:{self.port}/openai"

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._child is not None and self._child.poll() is None

    def give_up(self) -> None:
        """Abort another thread's wait for the proxy to listen."""
        self._given_up.set()

    def __enter__(self) -> Self:
        node = shutil.which("node")
        if node is None:
            raise InputError(self.what, "no node on the PATH", "a checkout's programs need Node.js 20")
        if not (self.package / "node_modules" / "tsx").exists():
            raise InputError(self.what, "the checkout's dependencies are not installed", "npm ci in its voice-agent-backend")
        self.port = free_port()
        self._log = self._log_path.open("ab") if self._log_path else tempfile.TemporaryFile()
        environment = {name: os.environ[name] for name in _ALLOWED if name in os.environ}
        environment |= dict.fromkeys(_EMPTY, "")
        environment |= self._variables()
        self._child = subprocess.Popen(  # noqa: S603 - the program is the one the user names
            [node, *self._arguments()],
            cwd=self.package,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self._await_listening()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _arguments(self) -> list[str]:
        """Return the arguments for Node.js."""
        return ["--import", "tsx", "scripts/openai-proxy/run.ts"]

    def _variables(self) -> dict[str, str]:
        """Return the program's own environment variables."""
        return {
            "OPENAI_API_KEY": PLACEHOLDER_KEY,
            "OPENAI_PROXY_PORT": str(self.port),
            "OPENAI_REALTIME_URL": self.upstream_url,
            "LOG_LEVEL": "debug",
        }

    async def begin(self) -> None:
        """Start the process, again if it has ended, without blocking the event loop. See the class for the errors."""
        starting = asyncio.ensure_future(asyncio.to_thread(self.__enter__))
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            # The thread continues. Without this wait, a process that the thread starts later would not be ended.
            self.give_up()
            await asyncio.wait({starting})
            raise

    async def end(self) -> None:
        """End the process without blocking the event loop, even if the caller is cancelled.

        Cancelling a plain `await` would drop the work if no thread has started it. The process would then continue to run.
        """
        ending = asyncio.get_running_loop().run_in_executor(None, self._end)
        cancelled: asyncio.CancelledError | None = None
        while not ending.done():
            try:
                await asyncio.wait({ending})
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled
        ending.result()

    def _await_listening(self) -> None:
        child = self._child
        deadline = time.monotonic() + self.patience_s
        while child is not None and child.poll() is None and time.monotonic() < deadline and not self._given_up.is_set():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.05)
        raise InputError(self.what, f"it did not listen within {self.patience_s:g} s", f"its last output: {self._last_line()}")

    def _last_line(self) -> str:
        if self._log is None or self._log_path is not None:
            text = self._log_path.read_text("utf-8", "replace") if self._log_path else ""
        else:
            self._log.seek(0)
            text = self._log.read().decode("utf-8", "replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return lines[-1][:200] if lines else "nothing"

    def _end(self) -> None:
        """End the process group, because Node.js starts further processes."""
        if self._child is not None:
            for sign in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._child.pid, sign)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._child.wait(timeout=5)
                    break
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)
            self._child = None
        if self._log is not None:
            self._log.close()
            self._log = None


def free_port() -> int:
    """Return a TCP port of this machine that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
