"""Opening a connection to a running program, and saying in one line why it did not open."""

from __future__ import annotations

import errno
import logging
import os
import ssl
from collections.abc import Sequence
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    InvalidUpgrade,
    InvalidURI,
    NegotiationError,
)
from websockets.http11 import Response
from websockets.typing import Subprotocol

from voicerace.engine.live.connection import CLOSE_TIMEOUT_S, MAX_FRAME
from voicerace.engine.live.limits import ClosesInTime

__all__ = ["OPEN_TIMEOUT_S", "QUIET", "NotConnectedError", "open_connection"]

#: Of the WebSocket library. What goes wrong with a peer is recorded as a fault of its session, not logged; and at level
#: DEBUG, which an application may set for everything, it would log the headers of every handshake.
QUIET: Final = logging.getLogger("voicerace.websockets")
QUIET.addHandler(logging.NullHandler())
QUIET.setLevel(logging.CRITICAL + 1)
QUIET.propagate = False
# asyncio warns once for every write to a connection that was lost, thousands of times for one client that left behind a
# flood of pings. The loss itself is in the recording.
logging.getLogger("asyncio").addFilter(lambda record: record.msg != "socket.send() raised exception.")

OPEN_TIMEOUT_S: Final = 10.0
_NO_HANDSHAKE: Final[dict[type[Exception], str]] = {
    InvalidURI: "the address cannot be asked for",
    InvalidMessage: "the answer was no HTTP",
    InvalidUpgrade: "the answer was no upgrade to WebSocket",
    NegotiationError: "the answer chose what was not offered",
}


class NotConnectedError(Exception):
    """A connection that did not open.

    Attributes:
        reason: why, in one line, without the address and without anything of a header.
        response: the answer of a refused handshake, or None. Its headers and body are for who asked, never recorded.
    """

    def __init__(self, reason: str, response: Response | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.response = response

    @property
    def status(self) -> int | None:
        """The HTTP status of a refused handshake, or None."""
        return self.response.status_code if self.response is not None else None


class _Client(ClosesInTime, ClientConnection):
    """A connection to another program."""


class _Connect(connect):
    """Follows no redirect: the one who asks is told, and its headers go to nobody else."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def open_connection(
    url: str,
    headers: Sequence[tuple[str, str]] = (),
    subprotocols: Sequence[Subprotocol] | None = None,
    *,
    open_timeout_s: float = OPEN_TIMEOUT_S,
) -> ClientConnection:
    """Connect, without a proxy and without compression, which would both change the times; follows no redirect.

    Raises:
        NotConnectedError: refused, not reachable, no TLS, no WebSocket there, or no answer in time.
    """
    named = any(name.lower() == "user-agent" for name, _ in headers)
    try:
        return await _Connect(
            url,
            additional_headers=list(headers),
            subprotocols=subprotocols,
            proxy=None,
            compression=None,
            ping_interval=None,
            max_size=MAX_FRAME,
            max_queue=None,
            open_timeout=open_timeout_s,
            close_timeout=CLOSE_TIMEOUT_S,
            logger=QUIET,
            user_agent_header=None if named else "voicerace",
            create_connection=_Client,
        )
    except InvalidStatus as refused:
        raise NotConnectedError(
            f"the handshake was refused with HTTP {refused.response.status_code}", refused.response
        ) from None
    except (InvalidURI, InvalidHandshake) as error:
        # The library's own words quote addresses and headers, which may hold what is private.
        why = next((words for kind, words in _NO_HANDSHAKE.items() if isinstance(error, kind)), "a rule was broken")
        raise NotConnectedError(f"no WebSocket handshake: {why}") from None
    except ssl.SSLError as error:
        # `verify_message` says what is wrong with a certificate; `reason` is OpenSSL's word for the rest.
        why = getattr(error, "verify_message", None) or error.reason or "no TLS there"
        raise NotConnectedError(f"TLS failed: {why}") from None
    except TimeoutError:
        raise NotConnectedError(f"no answer within {open_timeout_s:g} s") from None
    except OSError as error:
        if not error.errno and not str(error):  # the other side hung up in the middle of the TLS handshake
            raise NotConnectedError("TLS failed: the connection was dropped in the handshake") from None
        why = os.strerror(error.errno) if error.errno and error.errno in errno.errorcode else error.strerror or str(error)
        raise NotConnectedError(f"not reachable: {why}") from None
    except EOFError:
        raise NotConnectedError("the connection was dropped in the handshake") from None
