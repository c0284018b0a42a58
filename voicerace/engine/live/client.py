"""Extracts the URL path, query and User-Agent of a recorded connection's handshake, without keys.

Other headers are not recorded, because they can contain keys, cookies and addresses.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_plus, urlsplit

from websockets.http11 import Request

from voicerace.scrubber import HIDDEN, Scrubber, is_named_like_a_key

__all__ = ["client_of"]

#: Names of query parameters whose values are hidden, in addition to `is_named_like_a_key`.
_PRIVATE_NAME: Final = re.compile(
    r"^(?:code|sid|sig)$|auth|bearer|cookie|cred|jwt|key|nonce|pass|pwd|secret|session|signature|ticket|token", re.I
)
#: Text that resembles a key, a token or a UUID: it has a known prefix, or is a long sequence of letters and digits.
_KEY_LIKE: Final = re.compile(
    r"\b(?:sk|pk|rk|ek)[-_][\w-]{6,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?=[A-Za-z_]*\d)\w{16,}|\w{32,}", re.I
)
_MAX_CHARACTERS: Final = 500


def client_of(request: Request, scrub: Scrubber) -> dict[str, str | None]:
    """Return the URL path, query and User-Agent of a handshake by name, with None for a missing value.

    Args:
        request: the handshake.
        scrub: removes known secrets. Text that resembles a secret is also hidden.
    """
    try:
        parts = urlsplit(request.path)
    except ValueError:  # raised, for example, for a host in brackets that is not an IP address
        return {"path": None, "query": None, "user_agent": _clean(_user_agent(request), scrub)}
    path = "/".join(_value(each, scrub) for each in parts.path.split("/"))
    query = "&".join(_pair(each, scrub) for each in parts.query.split("&"))
    return {
        "path": path[:_MAX_CHARACTERS] or None,
        "query": query[:_MAX_CHARACTERS] or None,
        "user_agent": _clean(_user_agent(request), scrub),
    }


def _user_agent(request: Request) -> str:
    return " ".join(request.headers.get_all("User-Agent"))


def _pair(pair: str, scrub: Scrubber) -> str:
    name, equals, value = pair.partition("=")
    plain = unquote_plus(name)
    if value and (is_named_like_a_key(plain) or _PRIVATE_NAME.search(plain)):
        return f"{_value(name, scrub)}={HIDDEN}"
    return f"{_value(name, scrub)}{equals}{_value(value, scrub)}"


def _value(text: str, scrub: Scrubber) -> str:
    """Return a part of a URL, or `HIDDEN` if its decoded text contains a secret or text that resembles a key."""
    plain = unquote_plus(text)
    return text if _KEY_LIKE.search(plain) is None and scrub.text(plain) == plain else HIDDEN


def _clean(text: str, scrub: Scrubber) -> str | None:
    return _KEY_LIKE.sub(HIDDEN, scrub.text(text))[:_MAX_CHARACTERS] or None
