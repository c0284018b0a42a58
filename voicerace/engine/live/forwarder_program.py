"""Runs the forwarder of a checkout: its own `attachVoiceAgentUpgrade`, mounted in a plain Node.js server on a free port."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from voicerace.engine.live.backend import Backend, free_port
from voicerace.engine.live.source import package_of
from voicerace.errors import InputError
from voicerace.model.catalog.forwarders import FORWARDERS, ForwarderRelease, forwarder_of_source

__all__ = ["ForwarderProgram", "ForwarderTarget", "forwarder_hash"]

_ENTRY: Final = Path("src/attach-upgrade.js")
_HOST: Final = Path(__file__).with_name("forwarder_host.mjs")


def forwarder_hash(directory: Path | str) -> str:
    """Return the first 12 hex digits of the SHA-256 of the forwarder's source. Line ends are normalised.

    Raises:
        InputError: the directory contains no forwarder.
    """
    file = package_of(directory) / _ENTRY
    if not file.is_file():
        raise InputError("forwarder", f"no {_ENTRY} in {package_of(directory)}", "a checkout from 0.9.0 on")
    return hashlib.sha256(file.read_bytes().replace(b"\r\n", b"\n")).hexdigest()[:12]


@dataclass(frozen=True)
class ForwarderTarget:
    """Forwarder of a live session: the program of a checkout.

    Attributes:
        directory: the checkout.
        source: hash of the program.
        row: its generation; of a program without a row the newest, whose model gives the component's behaviour.
    """

    directory: Path
    source: str
    row: ForwarderRelease

    @classmethod
    def of(cls, directory: Path) -> Self:
        """Return the forwarder of a checkout.

        Raises:
            InputError: the directory contains no forwarder.
        """
        source = forwarder_hash(directory)
        return cls(directory, source, forwarder_of_source(source) or [*FORWARDERS.values()][-1])

    def to_json(self) -> dict[str, str]:
        return {"name": f"backend:{self.row.generation}", "source": self.source}


class ForwarderProgram(Backend):
    """The forwarder of one checkout, which runs while the context is open. See `Backend` for the errors.

    Args:
        directory: root of a repository or its voice-agent-backend folder, with installed dependencies.
        proxy_url: URL of the proxy. None: the forwarder starts the checkout's own proxy.
        upstream_url: with the own proxy, the URL of its Realtime API.
        log: file for the output. None uses a temporary file.
        patience_s: maximum time in seconds until the forwarder listens.
    """

    what = "forwarder"

    def __init__(
        self,
        directory: Path | str,
        proxy_url: str | None,
        upstream_url: str = "",
        log: Path | None = None,
        patience_s: float = 30.0,
    ) -> None:
        super().__init__(directory, upstream_url, log, patience_s)
        self.source = forwarder_hash(directory)
        self.proxy_url = proxy_url

    def _arguments(self) -> list[str]:
        proxy_port = 0 if self.proxy_url is not None else free_port()
        return [str(_HOST), str(self.package.resolve()), str(self.port), self.proxy_url or "spawn", str(proxy_port)]
