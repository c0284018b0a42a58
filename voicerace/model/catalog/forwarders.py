"""The generations of the forwarder, voice-agent-backend's WebSocket relay in the customer's server.

Read at each tag of Signal-Meaning/dg_react_agent (`packages/voice-agent-backend/src/attach-upgrade.js`) and compared with the
running forwarder message by message (`voicerace conformance --forwarder`, docs/forwarder.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from voicerace.errors import unknown
from voicerace.model.catalog.releases import ProxyRelease, proxy_release

__all__ = ["FORWARDERS", "ForwarderRelease", "forwarder", "forwarder_of_source"]


@dataclass(frozen=True)
class ForwarderRelease:
    """One generation of the forwarder. All generations relay text and binary frames unchanged, and closes without code.

    Attributes:
        generation: name of the generation.
        tags: description of the tags with this generation.
        sources: `engine.live.forwarder_program.forwarder_hash` of the programs that were compared.
        queues: messages of the browser before the connection to the proxy is open are kept, else dropped.
        leaves: the connection to the proxy is closed if the browser left while it was opening. Without it, the connection
            opens and stays open.
        survives: the server survives an invalid frame of the browser before the connection is open.
    """

    generation: str
    tags: str
    sources: tuple[str, ...]
    queues: bool
    leaves: bool
    survives: bool


FORWARDERS: Final[dict[str, ForwarderRelease]] = {
    row.generation: row
    for row in (
        ForwarderRelease("F0", "0.9.0 to 0.11.0", ("adca2f3bb9ea", "8420a171330c"), queues=False, leaves=False, survives=False),
        ForwarderRelease("F1", "0.11.1", ("38a7452521e7",), queues=True, leaves=True, survives=True),
    )
}


def forwarder(name: str | None, proxy: ProxyRelease) -> ForwarderRelease | None:
    """Return the forwarder with a name; None for no forwarder.

    Args:
        name: None or ``none``; a generation; a tag; or ``release``, the forwarder that was published with the proxy.
        proxy: the proxy's release.

    Raises:
        InputError: the name is unknown.
    """
    if name is None or name == "none":
        return None
    if isinstance(name, str) and name in FORWARDERS:
        return FORWARDERS[name]
    try:
        row = proxy if name == "release" else proxy_release(name, "forwarder")
    except ValueError:
        raise unknown("forwarder", name, ("none", "release", *FORWARDERS), ", or a tag") from None
    # `voicerace fix` changes the forwarder of every release so that it keeps early messages.
    return FORWARDERS["F1" if row.tag == "0.11.1" or row.gate is not None else "F0"]


def forwarder_of_source(source: str) -> ForwarderRelease | None:
    """Return the generation of a program by its hash; None for an unknown program."""
    return next((row for row in FORWARDERS.values() if source in row.sources), None)
