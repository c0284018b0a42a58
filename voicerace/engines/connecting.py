"""Opening a connection to a running program, and saying in one line why it did not open."""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import Sequence
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from voicerace.engines.line import CLOSE_TIMEOUT_S, MAX_FRAME

__all__ = ["NotConnectedError", "open_connection"]

_OPEN_TIMEOUT_S: Final = 10.0


class NotConnectedError(Exception):
    """A connection that did not open.

    Attributes:
        reason: why, in one line, without the address.
        status: the HTTP status of a refused handshake, or None.
    """

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


async def open_connection(
    url: str,
    headers: Sequence[tuple[str, str]] = (),
    subprotocols: Sequence[Subprotocol] | None = None,
    *,
    open_timeout_s: float = _OPEN_TIMEOUT_S,
) -> ClientConnection:
    """Connect, without a proxy and without compression, which would both change the times.

    Raises:
        NotConnectedError: refused, not reachable, no TLS, no WebSocket there, or no answer in time.
    """
    try:
        return await connect(
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
            user_agent_header="voicerace",
        )
    except InvalidStatus as refused:
        raise NotConnectedError(
            f"the handshake was refused with HTTP {refused.response.status_code}", refused.response.status_code
        ) from None
    except (InvalidURI, InvalidHandshake) as error:
        raise NotConnectedError(f"no WebSocket handshake: {error}") from None
    except ssl.SSLError as error:
        # `verify_message` says what is wrong with a certificate; `reason` is OpenSSL's word for the rest.
        why = getattr(error, "verify_message", None) or error.reason or "no TLS there"
        raise NotConnectedError(f"TLS failed: {why}") from None
    except TimeoutError:
        raise NotConnectedError(f"no answer within {open_timeout_s:g} s") from None
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno in errno.errorcode else str(error)
        raise NotConnectedError(f"not reachable: {why}") from None
    except EOFError:
        raise NotConnectedError("the connection was dropped in the handshake") from None
