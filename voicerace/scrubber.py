"""Remove secret keys from everything that is written or printed.

A key can enter a recording when another program repeats it, for example an API that quotes a refused header. Keys are found
in plain text, escaped in JSON, quoted in URLs, in base64, and in pieces of at least `PIECE` characters.

Shorter pieces (a key spread over many messages) and other encodings (hexadecimal, compressed, encrypted) are not found.
Values of fewer than `SHORTEST` characters are ignored, because ordinary words contain them. `engine.live.targets` rejects
keys that short.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import Any, Final, Self

__all__ = ["HIDDEN", "PIECE", "SHORTEST", "Scrubber", "SecondNet", "is_named_like_a_key", "printable"]

HIDDEN: Final = "[key]"
#: Names of variables and of URL parameters whose values are secrets.
_KEY_NAME: Final = re.compile(
    r"(?:^|_)(?:(?:API|ACCESS|SECRET|PRIVATE)?KEY|\w*TOKEN|SECRET|PASSWORD|PASSWD)(?:_?\d+)?$", re.IGNORECASE
)
#: Words in the names of variables whose values `SecondNet` removes.
_SECRET_WORD: Final = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)
#: Patterns of secrets and personal data. A match never starts after a backslash, because removing it would break an escape.
_FORMS: Final = re.compile(
    r"(?<!\\)(?:"
    r"sk-[A-Za-z0-9_-]{8,}|AKIA[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{30,}|gh[pousr]_[A-Za-z0-9]{20,}|xox[a-z]-[A-Za-z0-9-]{10,}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"  # a JSON web token
    r"|[Bb]earer [A-Za-z0-9._~+/-]{12,}"
    r"|[A-Za-z0-9._+-]{1,64}(?:@|%40)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+"  # an e-mail address
    r"|(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])"  # an IP address
    r"|(?<![0-9A-Za-z:])(?:[0-9A-Fa-f]{1,4}:){4,7}[0-9A-Fa-f]{1,4}(?![0-9A-Za-z:])"
    r"|(?<![0-9A-Za-z+/])\+\d[\d ().-]{6,18}\d(?!\d)"  # a telephone number
    r"|(?<![\d.+-])\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?![\d.-])"
    r")"
)
SHORTEST: Final = 12
#: Minimum length, in characters, of a piece of a secret that is removed when the rest is cut off or in another string.
PIECE: Final = 16
#: Length, in characters, of the blocks of a secret that are searched for. Every piece of `PIECE` characters contains a block.
_BLOCK: Final = 8
#: Pattern of a backslash, plain or quoted in a URL.
_BACKSLASH: Final = r"(?:\\|%(?:25)*5c)"
#: Pattern of the characters that no encoder escapes.
_SAFE: Final = re.compile(r"[A-Za-z0-9_.~-]")


class Scrubber:
    """Removes secrets from text.

    Args:
        secrets: the secret values; values under `SHORTEST` characters are ignored.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        # Longest first, so that a secret that contains another secret is replaced completely.
        self._secrets = sorted({each for each in secrets if len(each) >= SHORTEST}, key=lambda each: (-len(each), each))
        forms = dict.fromkeys(form for secret in self._secrets for form in _forms(secret))
        self._plain = tuple(forms)
        self._pattern = re.compile("|".join(map(_escaped, forms)) or r"(?!)")
        self._blocks = {
            (secret, start): secret[start : start + _BLOCK]
            for secret in self._secrets
            for start in range(0, len(secret) - _BLOCK + 1, _BLOCK)
        }

    @classmethod
    def of_environment(
        cls, environment: Mapping[str, str] | None = None, names: Iterable[str] = (), values: Iterable[str] = ()
    ) -> Self:
        """Return a scrubber for variables named like a key (``…API_KEY``, ``…TOKEN``, ``…SECRET``), `names` and `values`."""
        environment = os.environ if environment is None else environment
        wanted = [name for name in environment if is_named_like_a_key(name)] + [name for name in names if name in environment]
        return cls([*(environment[name].strip() for name in wanted), *values])

    def text(self, text: str) -> str:
        """Return the text without secrets. JSON text remains valid JSON."""
        if not self._in(text):
            return text
        if text.lstrip()[:1] in ("{", "["):
            try:
                return json.dumps(self._inside(json.loads(text)), separators=(",", ":"))
            except (ValueError, RecursionError):
                pass  # The text is not JSON, or is nested too deeply.
        return self._without_pieces(self._pattern.sub(HIDDEN, text))

    def payload(self, payload: Mapping[str, Any] | bytes | str | None) -> Mapping[str, Any] | bytes | str | None:
        """Return the message without secrets, or the same object if it contains none."""
        if not self._secrets or payload is None:
            return payload
        if isinstance(payload, str):
            return self.text(payload)
        if isinstance(payload, bytes):
            # A recording encodes bytes in base64, in which a secret can be readable.
            encoded = base64.b64encode(payload).decode("ascii")
            if self.text(encoded) != encoded:
                return HIDDEN.encode("ascii")
            text = payload.decode("latin-1")
            return payload if (cleaned := self.text(text)) == text else cleaned.encode("latin-1", "backslashreplace")
        message = dict(payload)
        if not self._in(json.dumps(message, ensure_ascii=False)):
            return payload
        cleaned_message: dict[str, Any] = self._inside(message)
        return payload if cleaned_message == message else cleaned_message

    def _inside(self, value: Any) -> Any:
        """Return a JSON value, nested to any depth, without secrets."""
        top = [value]
        waiting: list[tuple[Any, Any]] = [(top, 0)]
        while waiting:
            holder, at = waiting.pop()
            each = holder[at]
            if isinstance(each, str):
                holder[at] = self.text(each)
            elif isinstance(each, Mapping):
                holder[at] = copy = {self.text(str(name)): inner for name, inner in each.items()}
                waiting += [(copy, name) for name in copy]
            elif isinstance(each, list):
                holder[at] = row = [*each]
                waiting += [(row, number) for number in range(len(row))]
            elif (shown := str(each)) and self._in(shown):  # a number
                holder[at] = self.text(shown)
        return top[0]

    def _in(self, text: str) -> bool:
        """Return whether a text can contain a secret. This search for fixed strings is much faster than the pattern."""
        if any(form in text for form in self._plain) or any(block in text for block in self._blocks.values()):
            return True
        return ("\\" in text or "%" in text) and self._pattern.search(text) is not None

    def _without_pieces(self, text: str) -> str:
        for (secret, start), block in self._blocks.items():
            at = text.find(block)
            while at >= 0:
                before = _alike(text[max(0, at - start) : at][::-1], secret[:start][::-1])
                after = _alike(text[at : at + len(secret)], secret[start:])
                if before + after >= PIECE:
                    text = text[: at - before] + HIDDEN + text[at + after :]
                    at += len(HIDDEN) - before - 1
                at = text.find(block, at + 1)
        return text


class SecondNet:
    """Removes secrets, and text that looks like a secret, from lines of JSON. The lines remain valid JSON.

    Args:
        secrets: the secret values; values under `SHORTEST` characters are ignored.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._scrub = Scrubber(secrets)

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Return an instance for all variables with KEY, TOKEN, SECRET, PASSW or CREDENTIAL in their name."""
        environment = os.environ if environment is None else environment
        return cls(value.strip() for name, value in environment.items() if _SECRET_WORD.search(name))

    def line(self, line: str) -> str:
        """Return the line without secrets."""
        line = self._scrub.text(line)
        if _FORMS.search(line) is None:
            return line
        try:
            return json.dumps(_without_forms(json.loads(line)))
        except (ValueError, RecursionError):
            return _FORMS.sub(HIDDEN, line)


def _without_forms(value: Any) -> Any:
    if isinstance(value, str):
        if value.startswith(("{", "[")):
            try:
                return json.dumps(_without_forms(json.loads(value)))
            except (ValueError, RecursionError):
                pass  # not JSON
        return _FORMS.sub(HIDDEN, value)
    if isinstance(value, dict):
        return {_FORMS.sub(HIDDEN, name): _without_forms(each) for name, each in value.items()}
    return [_without_forms(each) for each in value] if isinstance(value, list) else value


def is_named_like_a_key(name: str) -> bool:
    """Return whether the name of a variable or URL parameter suggests that its value is a secret."""
    return _KEY_NAME.search(name.replace("-", "_")) is not None


def _alike(one: str, other: str) -> int:
    """Return the length of the common prefix of two texts."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _forms(secret: str) -> Iterable[str]:
    """Yield the forms of a secret: plain, with ``+`` for spaces, as Latin-1 (for binary frames), in base64 at each offset."""
    yield secret
    yield secret.replace(" ", "+")
    yield secret.encode("utf-8", "surrogateescape").decode("latin-1")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for offset in range(3):
            # Bytes before and after the secret affect only the base64 characters that are cut off here.
            raw = bytes(offset) + secret.encode("utf-8", "surrogateescape")
            code = encode(raw).decode("ascii").rstrip("=")
            yield code[(0, 2, 3)[offset] : len(code) - (1 if len(raw) % 3 else 0)]


def _escaped(form: str) -> str:
    """Return a pattern that matches a form escaped in JSON or quoted in a URL any number of times.

    Encoders differ in the characters that they escape, so each character can be escaped or not.
    """
    return "".join(char if _SAFE.match(char) else _escapes(char) for char in form)


def _escapes(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    codes = [f"u{units[at : at + 2].hex()}" for at in range(0, len(units), 2)]
    patterns = [f"{_BACKSLASH}+".join(["", *codes])]
    if ord(char) < 0x100:
        patterns.append(rf"{_BACKSLASH}+x{ord(char):02x}")
    quoted = "".join(f"%(?:25)*{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))
    patterns.append(f"{_BACKSLASH}+" if char == "\\" else f"{_BACKSLASH}*(?:{quoted}|{re.escape(char)})")
    return f"(?i:{'|'.join(patterns)}{'|[+]' if char == ' ' else ''})"


def printable(text: str, limit: int | None = None) -> str:
    """Escape the non-printing characters of a text (controls, bidirectional marks, surrogates) for a terminal.

    Args:
        text: the text.
        limit: maximum number of characters, after which the text is cut.
    """
    shown = "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text[:limit])
    return shown + ("…" if limit is not None and len(text) > limit else "")
