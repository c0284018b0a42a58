"""Opens a connection to a running program. A failed attempt raises an error with a one-line reason."""

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

#: Disabled logger for the WebSocket library. An enabled logger would log the headers of every handshake if an application
#: sets level DEBUG globally. Errors of a peer are recorded as faults instead.
QUIET: Final = logging.getLogger("voicerace.websockets")
QUIET.addHandler(logging.NullHandler())
QUIET.setLevel(logging.CRITICAL + 1)
QUIET.propagate = False
# asyncio logs a warning for every write to a lost connection, possibly thousands of warnings. The recording contains the loss.
logging.getLogger("asyncio").addFilter(lambda record: record.msg != "socket.send() raised exception.")

OPEN_TIMEOUT_S: Final = 10.0
_NO_HANDSHAKE: Final[dict[type[Exception], str]] = {
    InvalidURI: "the address cannot be asked for",
    InvalidMessage: "the answer was no HTTP",
    InvalidUpgrade: "the answer was no upgrade to WebSocket",
    NegotiationError: "the answer chose what was not offered",
}


class NotConnectedError(Exception):
    """Raised when a connection cannot be opened.

    Attributes:
        reason: reason in one line, without the address or a header.
        response: HTTP response to a refused handshake, or None. Its headers and body must not be recorded.
    """

    def __init__(self, reason: str, response: Response | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.response = response

    @property
    def status(self) -> int | None:
        """HTTP status of a refused handshake, or None."""
        return self.response.status_code if self.response is not None else None


class _Client(ClosesInTime, ClientConnection):
    """A connection to another program."""


class _Connect(connect):
    """Connects without following redirects, because a redirect would send the headers to another server."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def open_connection(
    url: str,
    headers: Sequence[tuple[str, str]] = (),
    subprotocols: Sequence[Subprotocol] | None = None,
    *,
    open_timeout_s: float = OPEN_TIMEOUT_S,
) -> ClientConnection:
    """Connect and return the connection. Do not follow redirects.

    HTTP proxies and compression are disabled, because they would change the measured times.

    Raises:
        NotConnectedError: the peer refused, was not reachable, did not answer in time, or does not use TLS or WebSocket.
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
        # The library's error messages quote addresses and headers, which can contain secrets.
        why = next((text for kind, text in _NO_HANDSHAKE.items() if isinstance(error, kind)), "a rule was broken")
        raise NotConnectedError(f"no WebSocket handshake: {why}") from None
    except ssl.SSLError as error:
        # `verify_message` describes an invalid certificate. `reason` is OpenSSL's name of another error.
        why = getattr(error, "verify_message", None) or error.reason or "no TLS there"
        raise NotConnectedError(f"TLS failed: {why}") from None
    except TimeoutError:
        raise NotConnectedError(f"no answer within {open_timeout_s:g} s") from None
    except OSError as error:
        if not error.errno and not str(error):  # The peer closed the connection during the TLS handshake.
            raise NotConnectedError("TLS failed: the connection was dropped in the handshake") from None
        why = os.strerror(error.errno) if error.errno and error.errno in errno.errorcode else error.strerror or str(error)
        raise NotConnectedError(f"not reachable: {why}") from None
    except EOFError:
        raise NotConnectedError("the connection was dropped in the handshake") from None
