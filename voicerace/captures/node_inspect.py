"""One JavaScript literal as Node prints it (`util.inspect`), read back. It knows a small grammar and refuses the rest.

The grammar is what `console.dir(record, {depth: 3})` can print of an OpenTelemetry log record, whose attributes are
texts, numbers, truth values and lists of them (https://nodejs.org/api/util.html#utilinspectobject-options):

- keys bare (``body``) or quoted (``'error.code'``); quotes ``'``, ``"`` or a backtick, whichever the content leaves free;
- texts split behind their newlines (``'a\\n' +``) and cut after 10,000 characters (``'…'... 12 more characters``);
- ``undefined``, ``null``, numbers with ``NaN`` and ``Infinity``; ``[Object]`` below the depth, ``... 3 more items``.

Dates, maps, classes, symbols: no record has them, so they are an error, not a guess.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, TypeAlias, Union

__all__ = ["CutText", "LiteralError", "Mark", "Value", "parse_literal"]


class Mark(Enum):
    """What stands for no value: `UNDEFINED` was printed so, `ELIDED` was there and not printed."""

    UNDEFINED = "undefined"
    ELIDED = "elided"


class CutText(str):
    """A text whose end was not printed.

    Attributes:
        missing: how many characters are gone.
    """

    __slots__ = ("missing",)
    missing: int

    def __new__(cls, text: str, missing: int) -> CutText:
        self = super().__new__(cls, text)
        self.missing = missing
        return self

    def __reduce__(self) -> tuple[type[CutText], tuple[str, int]]:
        return CutText, (str(self), self.missing)


Value: TypeAlias = Union["dict[str, Value]", "list[Value]", str, int, float, bool, Mark, None]


class LiteralError(ValueError):
    """A text that is no literal of the grammar. The reason never quotes the text: it is somebody else's.

    Attributes:
        reason: what is wrong, in a few words.
        offset: where, in characters.
    """

    def __init__(self, reason: str, offset: int) -> None:
        self.reason = reason
        self.offset = offset
        super().__init__(f"{reason} at character {offset}")


#: Records nest four deep; a hundred brackets in a row are damage or an attack on the stack.
_DEEPEST: Final = 32
# Possessive quantifiers: an unclosed quote must fail in linear time.
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
    "undefined": Mark.UNDEFINED, "null": None, "true": True, "false": False, "NaN": float("nan"),
}  # fmt: skip


def parse_literal(text: str) -> Value:
    """The value of one literal.

    Raises:
        LiteralError: the text is not exactly one literal of the grammar.
    """
    reader = _Reader(text)
    value = reader.value(0)
    if _SPACE.match(text, reader.at).end() != len(text):  # type: ignore[union-attr]
        raise LiteralError("something follows the end", reader.at)
    return value


class _Reader:
    """The text and how far it is read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def token(self) -> re.Match[str]:
        """The next token; the place moves behind it."""
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
        """The next token's sign, empty when it is none; the place stays."""
        found = _TOKEN.match(self.text, self.at)
        return found["sign"] or "" if found else ""

    def value(self, depth: int) -> Value:
        """The next value."""
        if depth > _DEEPEST:
            raise LiteralError("nested too deep", self.at)
        found = self.token()
        match found.lastgroup:
            case "text":
                return self.joined(found)
            case "elided":
                return Mark.ELIDED
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
                raise LiteralError("no value where one is due", found.start())
        raise LiteralError("a value of an unknown kind", found.start())

    def joined(self, first: re.Match[str]) -> str:
        """A text with the parts that follow behind ``+``."""
        parts = [_unescape(first["text"], first.start("text"))]
        while self.sign() == "+":
            self.token()
            part = self.token()
            if part["text"] is None:
                raise LiteralError("no text behind a +", part.start())
            parts.append(_unescape(part["text"], part.start("text")))
        found = _TOKEN.match(self.text, self.at)
        if found is not None and found["what"] == "character":
            self.at = found.end()
            return CutText("".join(parts), int(found["count"]))
        return "".join(parts)

    def mapping(self, depth: int) -> dict[str, Value]:
        """An object, behind its brace."""
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
                raise LiteralError("no key where one is due", found.start())
            if key in result:  # an object has a key once: a line came twice
                raise LiteralError("a key twice", found.start())
            if self.token()["sign"] != ":":
                raise LiteralError("a key without a value", self.at)
            result[key] = self.value(depth + 1)
            if self.ended("}"):
                return result

    def sequence(self, depth: int) -> list[Value]:
        """An array, behind its bracket. Items that were not printed are one `Mark.ELIDED` at its end."""
        result: list[Value] = []
        if self.sign() == "]":
            self.token()
            return result
        while True:
            found = _TOKEN.match(self.text, self.at)
            if found is not None and found["what"] == "item":
                self.at = found.end()
                result.append(Mark.ELIDED)
                if not self.ended("]"):
                    raise LiteralError("something follows the last item", self.at)
                return result
            result.append(self.value(depth + 1))
            if self.ended("]"):
                return result

    def ended(self, bracket: str) -> bool:
        """Whether the closing bracket follows, or else a comma."""
        found = self.token()
        if found["sign"] == bracket:
            return True
        if found["sign"] != ",":
            raise LiteralError("no comma between two values", found.start())
        return False


def _unescape(quoted: str, offset: int) -> str:
    """The text between the quotes, escapes undone."""
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
