"""Finding the records in a console's output, line by line, and reading each as a literal.

A record stands between a line that is only ``{`` and the line that is only ``}`` at the same indentation: so
`console.dir` prints it, under Jest indented and followed by a stack trace. What stands between records is other
output. A record that cannot be read is reported with its lines and never repaired. Memory is bounded: one record per
source of lines, each up to `RECORD_LIMIT` characters.

Terminal colours are dropped, and so are the prefixes that docker compose (``name-1  | ``), concurrently (``[0] ``)
and time-stamping loggers put before each line; lines of different prefixes do not disturb each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, TextIO

from voicerace.captures.literal import LiteralError, Value, parse_literal

__all__ = ["LINE_LIMIT", "RECORD_LIMIT", "Record", "Unread", "read_lines", "scan"]

#: A text of 10,000 characters on one line, all escaped as \\uXXXX, has 60,000.
LINE_LIMIT: Final = 1 << 17
RECORD_LIMIT: Final = 1 << 20
_SOURCES: Final = 64
#: After other output inside a record, so many lines may pass before its end is given up.
_PATIENCE: Final = 200

_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_CLOCK: Final = re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.,]{8,}(?:Z|[+-]\d\d:?\d\d)? ")
_SOURCE: Final = re.compile(r"[\w.@/-]{1,80} *\| ?|\[[\w.@: /-]{1,80}\] ")
_PIECE: Final = re.compile(
    r"\s+(?:resource: \{|timestamp: \d|severity(?:Text|Number): |traceId: |spanId: |traceFlags: |body: ['\"`]"
    r"|attributes: \{|'(?:service|telemetry)\.|connection_id: |trace_id: |direction: |message_type: )"
)
_REST: Final = re.compile(r"\s*[\]}]+,?\s*|\s+['\"`].*")


@dataclass(frozen=True, slots=True)
class Record:
    """One object that was read, and its lines (counted from 1, both included)."""

    line_first: int
    line_last: int
    fields: dict[str, Value]


@dataclass(frozen=True, slots=True)
class Unread:
    """Something that could not be read. It holds none of its text: that is somebody else's.

    Attributes:
        line_first, line_last: where it stands, counted from 1, both included.
        reason: why it was not read.
        records: how many records or pieces of one: neighbours with the same reason are counted together.
        connection: whose record it is, where that could be read.
    """

    line_first: int
    line_last: int
    reason: str
    records: int = 1
    connection: str | None = None


@dataclass
class _Block:
    """A record that is being collected."""

    indent: int
    first: int
    last: int
    parts: list[str] = field(default_factory=list)
    size: int = 0
    foreign: int = 0
    too_big: bool = False


def read_lines(stream: TextIO) -> Iterator[str | None]:
    """The lines of a stream without their ends; None for one of more than `LINE_LIMIT` characters."""
    while line := stream.readline(LINE_LIMIT + 1):
        if len(line) > LINE_LIMIT and not line.endswith("\n"):
            while (rest := stream.readline(LINE_LIMIT)) and not rest.endswith("\n"):
                pass
            yield None
        else:
            yield line.rstrip("\r\n")


def scan(lines: Iterable[str | None]) -> Iterator[Record | Unread]:
    """The records among the lines, and what looks like one and cannot be read, in the order in which they end."""
    blocks: dict[str, _Block] = {}
    stray: Unread | None = None
    for number, raw in enumerate(lines, start=1):
        if raw is None:
            for each in blocks.values():
                yield Unread(each.first, number, "a line that is too long")
            if not blocks:
                yield Unread(number, number, "a line that is too long")
            blocks.clear()
            continue
        source, text = _plain(raw)
        block = blocks.get(source)
        if block is not None:
            ended = _add(block, text, number)
            if ended is None:
                continue
            del blocks[source]
            yield ended
            if text.strip() != "{":
                continue
        if text.strip() == "{" and (source in blocks or len(blocks) < _SOURCES):
            blocks[source] = _Block(_indent(text), number, number, [text], len(text))
        elif stray is not None and stray.line_last == number - 1 and (_PIECE.match(text) or _REST.fullmatch(text)):
            stray = Unread(stray.line_first, number, stray.reason)
            continue
        elif _PIECE.match(text):
            if stray is not None:
                yield stray
            stray = Unread(number, number, "a piece of a record without its beginning")
            continue
        if stray is not None:
            yield stray
            stray = None
    if stray is not None:
        yield stray
    for each in blocks.values():
        yield Unread(each.first, each.last, "a record that is cut before its end")


def _add(block: _Block, text: str, number: int) -> Record | Unread | None:
    """Take one more line of a record; what became of the record when that ends it."""
    word, deeper = text.strip(), _indent(text) > block.indent
    if word == "{" and not deeper:
        return Unread(block.first, block.last, "a record that is cut before its end")
    if word == "}" and _indent(text) == block.indent:
        block.parts.append(text)
        return _read(block, number)
    if block.foreign or (word and not deeper):
        block.foreign += 1
    else:
        block.last = number
    if block.foreign > _PATIENCE:
        return Unread(block.first, block.last, "a record that is cut before its end")
    if block.size + len(text) > RECORD_LIMIT:
        block.too_big = True
        block.parts.clear()
    elif not block.too_big:
        block.parts.append(text)
        block.size += len(text) + 1
    return None


def _read(block: _Block, number: int) -> Record | Unread:
    """A whole block as a record."""
    if block.too_big:
        return Unread(block.first, number, "a record that is too big")
    if block.foreign:
        return Unread(block.first, number, "other output inside a record")
    try:
        value = parse_literal("\n".join(block.parts))
    except LiteralError as error:
        return Unread(block.first, number, error.reason)
    if not isinstance(value, dict):
        return Unread(block.first, number, "no object")
    return Record(block.first, number, value)


def _plain(raw: str) -> tuple[str, str]:
    """Who printed a line, and the line without colours and prefixes. The time before a line is nobody's name."""
    text = _COLOUR.sub("", raw) if "\x1b" in raw else raw
    source = ""
    if text[:1].isspace() or text[:1] in "{}":
        return source, text
    for pattern in (_CLOCK, _SOURCE, _CLOCK):
        found = pattern.match(text)
        if found is not None:
            if pattern is _SOURCE:
                source = found[0].rstrip()
            text = text[found.end() :]
    return source, text


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())
