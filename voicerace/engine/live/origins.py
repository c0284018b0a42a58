"""Checks ``Origin`` and ``Host`` of a handshake, to protect a server against web pages from other sites.

A browser lets every page open a WebSocket to any address, including this machine's, and sends the page's origin in ``Origin``
(RFC 6455, 10.2). With DNS rebinding, the page's own host name resolves to this machine's address, and ``Host`` contains that
name. Programs do not send ``Origin``. The library's option ``origins=`` is insufficient: it ignores ``Host``, and it is checked
only after a relay has connected to its target.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Self

from websockets.datastructures import Headers

from voicerace.engine.live.targets import is_loopback
from voicerace.errors import InputError

__all__ = ["Origins"]

_HOST: Final = r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>\d{1,5}))?"
_ORIGIN: Final = re.compile(rf"(?P<scheme>[a-z][a-z0-9+.-]*)://{_HOST}")
_AUTHORITY: Final = re.compile(_HOST)
#: (scheme, port) pairs whose port a browser omits in an origin.
_DEFAULT_PORTS: Final = {("http", "80"), ("https", "443")}
#: Origins without a host: ``null`` for a sandboxed page, ``file://`` for a file.
_WITHOUT_HOST: Final = ("null", "file://")
_WILDCARDS: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104  # compared with, not bound
#: Maximum number of characters of a header that a reason quotes.
_SHOWN: Final = 200


@dataclass(frozen=True)
class Origins:
    """Rules by which a server accepts web pages and host names.

    Attributes:
        allowed: origins that are always accepted, in the normalised form that `of` produces.
        holds_key: whether the server uses an API key for its clients, so that only pages in `allowed` are accepted.
        any_host: whether a client without an ``Origin`` can use any host name, for a server that only programs use.
    """

    allowed: frozenset[str] = frozenset()
    holds_key: bool = False
    any_host: bool = False

    @classmethod
    def of(cls, words: Iterable[str], *, holds_key: bool = False) -> Self:
        """Return rules that accept the values of ``--allow-origin``.

        Raises:
            InputError: a value is not an origin.
        """
        return cls(frozenset(_allowed(word) for word in words), holds_key)

    def refusal(self, headers: Headers, listen: str) -> tuple[HTTPStatus, str] | None:
        """Return (status, reason) if the server must refuse a handshake, else None.

        Args:
            headers: headers of the request.
            listen: host on which the server listens.
        """
        hosts, origins = headers.get_all("Host"), headers.get_all("Origin")
        if len(hosts) != 1 or len(origins) > 1:
            name, number = ("Host", len(hosts)) if len(hosts) != 1 else ("Origin", len(origins))
            return HTTPStatus.BAD_REQUEST, f"{number or 'no'} {name} header{'s' if number else ''} in one request"
        if origins and _written(origins[0]) in self.allowed:
            return None
        host = _host(_AUTHORITY, hosts[0])
        if (origins or not self.any_host) and not self._is_here(host, listen):
            why = f"Host {hosts[0][:_SHOWN]!r} is neither this machine nor the address where this server listens"
            return HTTPStatus.FORBIDDEN, f"{why}; --allow-origin http://HOST allows it"
        if origins and not self._is_own(origins[0], host):
            why = "this server holds an API key and accepts no web page" if self.holds_key else "is of another machine"
            return HTTPStatus.FORBIDDEN, f"Origin {origins[0][:_SHOWN]!r}: {why}; --allow-origin ORIGIN allows it"
        return None

    def _is_here(self, host: str | None, listen: str) -> bool:
        """Return whether a host name or IP address refers to this server."""
        if host is None:
            return False
        own = _plain(listen)
        if _is_loopback(host) or host == own or host in {_host(_ORIGIN, each) for each in self.allowed}:
            return True
        # An IP address is safe, because DNS rebinding requires a host name.
        return own in _WILDCARDS and (_is_ip_address(host) or host == _plain(socket.gethostname()))

    def _is_own(self, origin: str, host: str | None) -> bool:
        """Return whether a page can connect without being in `allowed`: its origin is on this machine or on `host`."""
        page = _host(_ORIGIN, origin)
        if self.holds_key or page is None or not origin.lower().startswith(("http:", "https:")):
            return False
        return _is_loopback(page) or page == host


def _allowed(word: str) -> str:
    written = _written(word.removesuffix("/") if word.lower() != "file://" else word)
    if written not in _WITHOUT_HOST and _ORIGIN.fullmatch(written) is None:
        raise InputError("allow_origin", repr(word[:_SHOWN]), "SCHEME://HOST or SCHEME://HOST:PORT of a page, null, file://")
    return written


def _written(origin: str) -> str:
    """Return an origin in the form that browsers send: in lower case and without a default port."""
    origin = origin.lower()
    found = _ORIGIN.fullmatch(origin)
    if found is not None and (found["scheme"], found["port"]) in _DEFAULT_PORTS:
        return f"{found['scheme']}://{found['host']}"
    return origin


def _host(pattern: re.Pattern[str], text: str) -> str | None:
    """Return the host in an origin or a ``Host`` header, or None if `text` does not match `pattern`."""
    found = pattern.fullmatch(text.lower())
    return _plain(found["host"]) if found is not None else None


def _plain(host: str) -> str:
    return host.lower().strip("[]").removesuffix(".")


def _is_loopback(host: str) -> bool:
    return is_loopback(f"ws://{f'[{host}]' if ':' in host else host}")


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
