"""Keeps keys out of everything that is written: finds them as they are, and in the forms in which text carries them.

A key gets into a recording when somebody else repeats it: an API that quotes the header it refused, an app that sends
it on. So whatever is kept or printed passes through here.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Self
from urllib.parse import quote, quote_plus

__all__ = ["Scrubber"]

_HIDDEN: Final = "[key]"
#: Variables whose values are secrets wherever they turn up.
_KEY_NAME: Final = re.compile(r"(?:^|_)(?:API_?KEY|ACCESS_?KEY|TOKEN|SECRET)$", re.IGNORECASE)
#: Shorter values would take ordinary words out of recordings.
_SHORTEST: Final = 12


class Scrubber:
    """Takes secrets out of text.

    Args:
        secrets: the values themselves; those under 12 characters are left alone.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if len(secret) >= _SHORTEST for form in _forms(secret)}
        # The longest first: a form that holds another one goes as a whole.
        longest = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(re.escape(form) for form in longest)) if longest else None

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] | None = None, names: Iterable[str] = ()) -> Self:
        """One for every variable that is named like a key (``…API_KEY``, ``…TOKEN``, ``…SECRET``), and for `names`."""
        environment = os.environ if environment is None else environment
        wanted = [name for name in environment if _KEY_NAME.search(name)] + [name for name in names if name in environment]
        return cls(environment[name].strip() for name in wanted)

    def text(self, text: str) -> str:
        return self._pattern.sub(_HIDDEN, text) if self._pattern else text

    def payload(self, payload: Mapping[str, Any] | bytes | str | None) -> Mapping[str, Any] | bytes | str | None:
        """A message without secrets; the same object when it holds none."""
        if self._pattern is None or payload is None:
            return payload
        if isinstance(payload, str):
            return self.text(payload)
        if isinstance(payload, bytes):
            text = payload.decode("latin-1")
            return self.text(text).encode("latin-1") if self._pattern.search(text) else payload
        cleaned = {self.text(str(name)): self._value(value) for name, value in payload.items()}
        return payload if cleaned == payload else cleaned

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return self.payload(value)
        if isinstance(value, list):
            return [self._value(each) for each in value]
        return value


def _forms(secret: str) -> Iterable[str]:
    """The secret, escaped in JSON (either way to write a slash), quoted in a URL, and inside base64 at any offset."""
    escaped = json.dumps(secret)[1:-1]
    yield from (secret, escaped, escaped.replace("/", "\\/"), quote(secret), quote(secret, safe=""), quote_plus(secret))
    yield json.dumps(escaped)[1:-1]
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for offset in range(3):
            # What stands before the secret, and behind it, changes only the characters that are cut off here.
            code = encode(bytes(offset) + secret.encode()).decode("ascii").rstrip("=")
            start = (0, 2, 3)[offset]
            tail = (offset + len(secret.encode())) % 3
            yield code[start : len(code) - (1 if tail else 0)]
