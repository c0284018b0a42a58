"""Parses the options for the proxy and the upstream of a live session, and names both in recordings.

A recording identifies a program by the hash of its source, and an address by scheme, host and port. URL paths, queries and
headers are omitted because they can contain secrets.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self
from urllib.parse import SplitResult, parse_qsl, urlsplit

from voicerace.engine.live.source import backend_version, source_hash
from voicerace.errors import InputError
from voicerace.model.catalog.releases import ProxyRelease, proxy_of_source, proxy_release
from voicerace.scrubber import SHORTEST, Scrubber, is_named_like_a_key

__all__ = ["OPENAI_URL", "ProxyTarget", "UpstreamTarget", "address", "is_loopback", "scrubber", "web_socket_url"]

OPENAI_URL: Final = "wss://api.openai.com/v1/realtime"
OPENAI_KEY: Final = "OPENAI_API_KEY"
_PROXIES: Final = "allowed are model:TAG, backend:DIR, ws://... or wss://..."
#: Matches names of variables that an error message can repeat, because they cannot be keys.
_VARIABLE: Final = re.compile(r"[A-Z_][A-Z0-9_]*")
_UPSTREAMS: Final = "mock, openai, ws://... or wss://..."


@dataclass(frozen=True)
class ProxyTarget:
    """Proxy of a live session.

    Attributes:
        kind: whether the proxy is a model, a checkout that this process starts (``backend``), or a running proxy (``url``).
        release: row of the proxy's release, or None for a program without a row.
        directory: directory of a checkout.
        url: URL of a running proxy.
        source: hash of the source, or None for a running proxy.
    """

    kind: Literal["model", "backend", "url"]
    release: ProxyRelease | None = None
    directory: Path | None = None
    url: str | None = None
    source: str | None = None

    @classmethod
    def of(cls, word: str, release: str | None = None) -> Self:
        """Parse the option `--proxy`.

        Args:
            word: value of the option.
            release: tag of the row to use for a running proxy or an unknown checkout.

        Raises:
            InputError: the proxy does not exist, or contradicts `release`.
        """
        kind, _, rest = word.partition(":")
        named = proxy_release(release) if release is not None else None
        if kind == "model" and rest:
            row = proxy_release(rest, "proxy")
            if named is not None and named is not row:
                raise InputError("release", f"{named.tag}, but the proxy is {word}", "one of them")
            return cls("model", row, source=row.source)
        if kind == "backend" and rest:
            source = source_hash(Path(rest))
            row_found = proxy_of_source(source, backend_version(rest))
            if named is not None and row_found is not None and named.source != source:
                raise InputError("release", f"{named.tag}, but the checkout's program is {row_found.tag}", "one of them")
            return cls("backend", named or row_found, directory=Path(rest), source=source)
        if kind in ("ws", "wss"):
            return cls("url", named, url=web_socket_url("proxy", word))
        raise InputError("proxy", repr(word), f"did you mean model:{word}? ({_PROXIES})" if _is_release(word) else _PROXIES)

    @property
    def name(self) -> str:
        """Name in recordings: ``model:0.9.1``, ``backend:0.9.1``, ``backend:1a2b…`` (without a row) or
        ``ws://host:port``."""
        if self.kind == "url":
            return address(self.url or "")
        return f"{self.kind}:{self.release.tag if self.release else self.source}"

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "source": self.source, "release": self.release.tag if self.release else None}


def _is_release(word: str) -> bool:
    try:
        return bool(proxy_release(word))
    except InputError:
        return False


@dataclass(frozen=True)
class UpstreamTarget:
    """Realtime API of a live session.

    Attributes:
        kind: whether the API is the mock, OpenAI's, at a URL, or the unobserved API of a running proxy (``unseen``).
        url: URL of the API with the model in its query, or None for ``mock`` and ``unseen``.
        key_from: name of the environment variable whose value is sent as the Bearer token.
    """

    kind: Literal["mock", "openai", "url", "unseen"] = "mock"
    url: str | None = None
    key_from: str | None = None

    @classmethod
    def of(cls, word: str, model: str = "gpt-realtime", key_from: str | None = None) -> Self:
        """Parse the option `--upstream`.

        Raises:
            InputError: the upstream does not exist, or the key is unusable or would be sent unencrypted.
        """
        if word == "mock":
            if key_from is not None:
                raise InputError("key_from", "given for the mock", "only for an upstream that is no mock")
            return cls("mock")
        if word == "openai":
            url, key_from = f"{OPENAI_URL}?model={model}", key_from or OPENAI_KEY
        elif word.partition(":")[0] in ("ws", "wss"):
            url = web_socket_url("upstream", word)
        else:
            raise InputError("upstream", repr(word), f"allowed are {_UPSTREAMS}")
        if key_from is not None:
            _usable_key(key_from)
            if url.startswith("ws:") and not is_loopback(url):
                raise InputError("upstream", f"{address(url)} with a key", "wss://, so that the key is not sent in the open")
        return cls("openai" if word == "openai" else "url", url, key_from)

    @property
    def name(self) -> str:
        """Name of the API in recordings."""
        return self.kind if self.url is None or self.kind == "openai" else address(self.url)

    @property
    def costs(self) -> bool:
        """Whether sessions can cost money, because the API is not on this machine."""
        return self.kind == "openai" or (self.url is not None and not is_loopback(self.url))

    @property
    def holds_key(self) -> bool:
        """Whether a key is sent to this API. Clients of a server in front of this API use this key."""
        return self.key_from is not None or bool(_keys_of(self.url))

    def headers(self) -> dict[str, str]:
        """Return the headers of the handshake. They contain the key and must not be recorded."""
        return {} if self.key_from is None else {"Authorization": f"Bearer {_usable_key(self.key_from)}"}

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name}


def _usable_key(variable: str, environment: Mapping[str, str] | None = None) -> str:
    """Return the key in an environment variable.

    Raises:
        InputError: the variable does not exist, or its value is not a valid header or is too short to be removed from
            recordings. The error contains neither the value nor a name that can be a key.
    """
    environment = os.environ if environment is None else environment
    if variable not in environment and not _VARIABLE.fullmatch(variable):
        raise InputError("key_from", "is no variable of the environment", "the name of the one that holds the key")
    value = environment.get(variable, "").strip()
    if not value:
        raise InputError(variable, "is not in the environment", "the key of the API")
    if len(value) < SHORTEST:
        raise InputError(variable, f"has fewer than {SHORTEST} characters", "a key that can be told from ordinary words")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise InputError(variable, "holds characters that no header can carry", "printable ASCII")
    return value


def scrubber(proxy: ProxyTarget | None, upstream: UpstreamTarget | None) -> Scrubber:
    """Return a scrubber for the keys in the environment, the key of the upstream, and the keys in URL queries."""
    names = [upstream.key_from] if upstream is not None and upstream.key_from else []
    values = [value for target in (proxy, upstream) if target is not None for value in _keys_of(target.url)]
    return Scrubber.of_environment(names=names, values=values)


def _keys_of(url: str | None) -> list[str]:
    """Return the values of the URL's query parameters whose names resemble names of keys."""
    return [value for name, value in parse_qsl(urlsplit(url or "").query) if is_named_like_a_key(name)]


def web_socket_url(where: str, text: str) -> str:
    """Check and return a ``ws(s)://`` URL.

    Args:
        where: name of the option, for the error.
        text: the URL.

    Raises:
        InputError: `text` is not a WebSocket URL, or has a user or a fragment. The error does not contain private parts.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
        (parts.hostname or "").encode("idna")
    except ValueError as error:
        raise InputError(where, str(error), "ws://HOST:PORT/PATH or wss://...") from None
    if parts.scheme not in ("ws", "wss") or not parts.hostname or port == 0 or any(char.isspace() for char in text):
        raise InputError(where, "no WebSocket address", "ws://HOST:PORT/PATH or wss://...")
    if parts.username is not None or parts.fragment:
        raise InputError(where, f"{address(text)} with a user or a fragment", "ws://HOST:PORT/PATH or wss://...")
    return text


def address(url: str) -> str:
    """Return ``scheme://host:port`` of a URL. A recording can contain no other part."""
    parts: SplitResult = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


def is_loopback(url: str) -> bool:
    """Return whether a URL's host is ``localhost`` or a loopback address."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
