"""What a recording says of the client that opened its connection: path, query and User-Agent, without keys.

No other header is recorded: they hold keys, cookies and addresses.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_plus, urlsplit

from websockets.http11 import Request

from voicerace.scrubber import HIDDEN, Scrubber, is_named_like_a_key

__all__ = ["client_of"]

#: Names of query parameters that are hidden, beside those that `is_named_like_a_key` knows.
_PRIVATE_NAME: Final = re.compile(
    r"^(?:code|sid|sig)$|auth|bearer|cookie|cred|jwt|key|nonce|pass|pwd|secret|session|signature|ticket|token", re.I
)
#: What looks like a key, a token or a UUID in any text: a known prefix, or a long run of letters and digits.
_KEY_LIKE: Final = re.compile(
    r"\b(?:sk|pk|rk|ek)[-_][\w-]{6,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?=[A-Za-z_]*\d)\w{16,}|\w{32,}", re.I
)
_MOST_CHARACTERS: Final = 500


def client_of(request: Request, scrub: Scrubber) -> dict[str, str | None]:
    """Path, query and User-Agent of a handshake; None for what it does not have.

    Args:
        request: the handshake.
        scrub: takes the secrets out that are known; what only looks like one is hidden too.
    """
    try:
        parts = urlsplit(request.path)
    except ValueError:  # a host in brackets that is no address, say
        return {"path": None, "query": None, "user_agent": _clean(_user_agent(request), scrub)}
    path = "/".join(_value(each, scrub) for each in parts.path.split("/"))
    query = "&".join(_pair(each, scrub) for each in parts.query.split("&"))
    return {
        "path": path[:_MOST_CHARACTERS] or None,
        "query": query[:_MOST_CHARACTERS] or None,
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
    """A part of a URL; hidden as a whole where its decoded text holds something like a key."""
    plain = unquote_plus(text)
    return text if _KEY_LIKE.search(plain) is None and scrub.text(plain) == plain else HIDDEN


def _clean(text: str, scrub: Scrubber) -> str | None:
    return _KEY_LIKE.sub(HIDDEN, scrub.text(text))[:_MOST_CHARACTERS] or None
