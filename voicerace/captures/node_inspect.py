"""Parse a JavaScript literal as Node's `util.inspect` prints it, and reject any other text.

The grammar covers the output of `console.dir(record, {depth: 3})` for an OpenTelemetry log record, whose attributes are
texts, numbers, Booleans and lists of these (https://nodejs.org/api/util.html#utilinspectobject-options):

- keys without quotes (``body``) or with quotes (``'error.code'``); a quote is ``'``, ``"`` or a backtick; - texts that are
split after newlines (``'a\\n' +``) or cut after 10,000 characters (``'…'... 12 more characters``); - ``undefined``, ``null``,
Booleans, and numbers including ``NaN`` and ``Infinity``; - ``[Object]`` for an object beyond the depth, and ``... 3 more
items`` for items that are not printed.

Dates, maps, classes and symbols are rejected, because log records do not contain such values.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, TypeAlias, Union

__all__ = ["CutText", "LiteralError", "NoValue", "Value", "parse_literal"]


class NoValue(Enum):
    """Placeholders: `UNDEFINED` for a value printed as undefined, `ELIDED` for a value that was not printed."""

    UNDEFINED = "undefined"
    ELIDED = "elided"


class CutText(str):
    """A text of which only the first characters were printed.

    Attributes:
        missing: number of characters that were not printed.
    """

    __slots__ = ("missing",)
    missing: int

    def __new__(cls, text: str, missing: int) -> CutText:
        self = super().__new__(cls, text)
        self.missing = missing
        return self

    def __reduce__(self) -> tuple[type[CutText], tuple[str, int]]:
        return CutText, (str(self), self.missing)


Value: TypeAlias = Union["dict[str, Value]", "list[Value]", str, int, float, bool, NoValue, None]


class LiteralError(ValueError):
    """Raised if a text is not a literal of the grammar.

    Attributes:
        reason: description of the error that does not quote the untrusted text.
        offset: position of the error in characters.
    """

    def __init__(self, reason: str, offset: int) -> None:
        self.reason = reason
        self.offset = offset
        super().__init__(f"{reason} at character {offset}")


#: Maximum nesting depth, which limits recursion on damaged or malicious input. Records have four levels.
_DEEPEST: Final = 32
# Possessive quantifiers detect a missing closing quote in linear time.
_TOKEN: Final = re.compile(
    r"""\s*+(?:
        (?P<text>'(?:[^'\\\n]++|\\[^\n])*+' | "(?:[^"\\\n]++|\\[^\n])*+" | `(?:[^`\\\n]++|\\[^\n])*+`)
      | (?P<elided>\[(?:Object|Array|Circular\ \*\d{1,9})\])
      | (?P<more>\.\.\.\ (?P<count>\d{1,15})\ more\ (?P<what>character|item)s?)
      | (?P<number>-?(?:\d{1,25}(?:\.\d{1,25})?(?:e[+-]\d{1,4})?|Infinity)(?![\w$.]))
      | (?P<word>[A-Za-z_$][\w$]*+)
      | (?P<sign>[\[\]{}:,+])
    )""",
    re.VERBOSE | re.ASCII,
)
_SPACE: Final = re.compile(r"\s*+", re.ASCII)
_ESCAPE: Final = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_ESCAPED: Final = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "v": "\v", "\\": "\\", "'": "'", '"': '"', "`": "`"}
_WORDS: Final[dict[str, Value]] = {
    "undefined": NoValue.UNDEFINED, "null": None, "true": True, "false": False, "NaN": float("nan"),
}  # fmt: skip


def parse_literal(text: str) -> Value:
    """Parse one literal and return its value.

    Raises:
        LiteralError: the text is not exactly one literal.
    """
    reader = _Parser(text)
    value = reader.value(0)
    if _SPACE.match(text, reader.at).end() != len(text):  # type: ignore[union-attr]
        raise LiteralError("something follows the end", reader.at)
    return value


class _Parser:
    """Recursive-descent parser of one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def token(self) -> re.Match[str]:
        """Consume the next token and return its match."""
        found = _TOKEN.match(self.text, self.at)
        if found is None:
            start = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]
            if start == len(self.text):
                raise LiteralError("cut before its end", start)
            reason = "a text without its closing quote" if self.text[start] in "'\"`" else "a value of an unknown kind"
            raise LiteralError(reason, start)
        self.at = found.end()
        return found

    def sign(self) -> str:
        """Return the next token if it is a sign, else an empty text. The token is not consumed."""
        found = _TOKEN.match(self.text, self.at)
        return found["sign"] or "" if found else ""

    def value(self, depth: int) -> Value:
        """Parse the next value and return it."""
        if depth > _DEEPEST:
            raise LiteralError("nested too deep", self.at)
        found = self.token()
        match found.lastgroup:
            case "text":
                return self.joined(found)
            case "elided":
                return NoValue.ELIDED
            case "number":
                digits = found["number"]
                return int(digits) if digits.lstrip("-").isdigit() else float(digits.replace("Infinity", "inf"))
            case "word" if found["word"] in _WORDS:
                return _WORDS[found["word"]]
            case "sign" if found["sign"] == "{":
                return self.mapping(depth)
            case "sign" if found["sign"] == "[":
                return self.sequence(depth)
            case "sign":
                raise LiteralError("a value is missing", found.start())
        raise LiteralError("a value of an unknown kind", found.start())

    def joined(self, first: re.Match[str]) -> str:
        """Parse the parts of a text that follow ``+``, and return the joined text."""
        parts = [_unescape(first["text"], first.start("text"))]
        while self.sign() == "+":
            self.token()
            part = self.token()
            if part["text"] is None:
                raise LiteralError("no text after a +", part.start())
            parts.append(_unescape(part["text"], part.start("text")))
        found = _TOKEN.match(self.text, self.at)
        if found is not None and found["what"] == "character":
            self.at = found.end()
            return CutText("".join(parts), int(found["count"]))
        return "".join(parts)

    def mapping(self, depth: int) -> dict[str, Value]:
        """Parse an object after its opening brace and return its values by key."""
        result: dict[str, Value] = {}
        if self.sign() == "}":
            self.token()
            return result
        while True:
            found = self.token()
            if found["text"] is not None:
                key = _unescape(found["text"], found.start("text"))
            elif found["word"] is not None:
                key = found["word"]
            elif found["number"] is not None and found["number"].isdigit():
                key = found["number"]
            else:
                raise LiteralError("a key is missing", found.start())
            if key in result:  # a repeated key: a line of the log may be duplicated
                raise LiteralError("a key twice", found.start())
            if self.token()["sign"] != ":":
                raise LiteralError("a key without a value", self.at)
            result[key] = self.value(depth + 1)
            if self.ended("}"):
                return result

    def sequence(self, depth: int) -> list[Value]:
        """Parse an array after its opening bracket and return its items. One `NoValue.ELIDED` replaces items not printed."""
        result: list[Value] = []
        if self.sign() == "]":
            self.token()
            return result
        while True:
            found = _TOKEN.match(self.text, self.at)
            if found is not None and found["what"] == "item":
                self.at = found.end()
                result.append(NoValue.ELIDED)
                if not self.ended("]"):
                    raise LiteralError("something follows the last item", self.at)
                return result
            result.append(self.value(depth + 1))
            if self.ended("]"):
                return result

    def ended(self, bracket: str) -> bool:
        """Consume a closing bracket or a comma; return whether the token was the bracket."""
        found = self.token()
        if found["sign"] == bracket:
            return True
        if found["sign"] != ",":
            raise LiteralError("no comma between two values", found.start())
        return False


def _unescape(quoted: str, offset: int) -> str:
    """Return the text between the quotes with escape sequences replaced; `offset` is the position that errors report."""
    body = quoted[1:-1]
    if "\\" not in body:
        return body

    def one(found: re.Match[str]) -> str:
        code = found[1] or found[2]
        if code is not None:
            return chr(int(code, 16))
        try:
            return _ESCAPED[found[3]]
        except KeyError:
            raise LiteralError("an unknown escape", offset + 1 + found.start()) from None

    return _ESCAPE.sub(one, body)
