"""Find the records in console output line by line, and parse each record as a JavaScript literal.

`console.dir` prints a record from a line ``{`` to a line ``}`` with the same indentation. Jest indents records and adds a stack
trace to each record. Lines between records are output of other programs. An unreadable record is reported with its line numbers
and not repaired. Memory is limited to one record per source of lines, each with up to `RECORD_LIMIT` characters.

Prefixes and JSON of collectors are removed (`captures.log_envelopes`). Lines of different sources may be interleaved.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TextIO

from voicerace.captures.log_envelopes import broken_json, json_object, otlp_records, plain, unwrapped
from voicerace.captures.node_inspect import LiteralError, NoValue, Value, parse_literal

__all__ = ["LINE_LIMIT", "RECORD_LIMIT", "Record", "Unread", "read_lines", "scan"]

#: Maximum characters in a line. A console line has up to 60,000 (10,000 as \\uXXXX); an OTLP batch has several 100,000.
LINE_LIMIT: Final = 1 << 22
RECORD_LIMIT: Final = 1 << 20
_SOURCES: Final = 64
#: Maximum nesting depth of collectors' JSON lines.
_WRAPPED: Final = 3
#: Maximum number of lines searched for the end of a record that is interrupted by other output.
_END_WITHIN: Final = 200
#: Maximum number of lines in the ``resource`` of a record.
_RESOURCE_LINES: Final = 30

_PIECE: Final = re.compile(
    r"\s+(?:resource: \{|timestamp: \d|severity(?:Text|Number): |traceId: |spanId: |traceFlags: |body: ['\"`]"
    r"|attributes: \{|'(?:service|telemetry)\.|connection_id: |trace_id: |direction: |message_type: )"
)
_REST: Final = re.compile(r"\s*[\]}]+,?\s*|\s+['\"`].*")


@dataclass(frozen=True, slots=True)
class Record:
    """One parsed object and the numbers of its first and last line, counted from 1."""

    line_first: int
    line_last: int
    fields: dict[str, Value]


@dataclass(frozen=True, slots=True)
class Unread:
    """A range of lines that could not be read. Their text is untrusted and not stored.

    Attributes:
        line_first: number of the first line, counted from 1.
        line_last: number of the last line.
        reason: reason why the lines could not be read.
        records: number of unreadable records or parts of records. Adjacent ranges with the same reason are merged.
        connection: name of the record's connection; None if the name could not be read.
    """

    line_first: int
    line_last: int
    reason: str
    records: int = 1
    connection: str | None = None


@dataclass
class _Block:
    """The lines of a record whose end has not been found."""

    indent: int
    first: int
    last: int
    parts: list[str] = field(default_factory=list)
    size: int = 0
    foreign: int = 0
    too_big: bool = False


def read_lines(stream: TextIO) -> Iterator[str | None]:
    """Yield the lines of a stream without line terminators; None for a line of more than `LINE_LIMIT` characters."""
    while line := stream.readline(LINE_LIMIT + 1):
        if len(line) > LINE_LIMIT and not line.endswith("\n"):
            while (rest := stream.readline(LINE_LIMIT)) and not rest.endswith("\n"):
                pass
            yield None
        else:
            yield line.rstrip("\r\n")


def scan(lines: Iterable[str | None]) -> Iterator[Record | Unread]:
    """Yield readable and unreadable records in the order of their last lines. A None in `lines` is an overlong line."""
    scanning = _Scan()
    for number, raw in enumerate(lines, start=1):
        if raw is None:
            yield from scanning.too_long(number)
        elif not scanning.inside(number, raw):
            yield from scanning.line(number, *plain(raw))
    yield from scanning.end()


class _Scan:
    """Assembles records from lines, with at most one unfinished record per source of lines."""

    def __init__(self) -> None:
        self.blocks: dict[str, _Block] = {}
        self.stray: Unread | None = None

    def too_long(self, number: int) -> Iterator[Unread]:
        """Discard every unfinished record because of a line that is too long. Yield each as an `Unread`."""
        for each in self.blocks.values():
            yield Unread(each.first, number, "a line that is too long")
        if not self.blocks:
            yield Unread(number, number, "a line that is too long")
        self.blocks.clear()

    def inside(self, number: int, raw: str) -> bool:
        """Add an indented line to the unfinished record of the source without prefixes, and return whether it was added."""
        block = self.blocks.get("")
        if block is None or block.foreign or not raw[: block.indent + 1].isspace() or "\x1b" in raw:
            return False
        _keep(block, raw, number)
        return True

    def line(self, number: int, source: str, text: str, depth: int = 0) -> Iterator[Record | Unread]:
        """Process a line and yield the records that it completes."""
        value = json_object(text) if depth < _WRAPPED else None
        # A line inside a record is indented, so an object without indentation is not part of the record.
        if value is not None and (source not in self.blocks or text.startswith("{")):
            found = otlp_records(value)
            if found is not None:
                yield from (Record(number, number, fields) for fields in found)
                return
            inner = unwrapped(value)
            if inner is not None:
                name, lines = inner
                for each in lines.rstrip("\r\n").split("\n"):
                    inner_source, bare = plain(each)
                    yield from self.line(number, f"{source}{name}{inner_source}", bare, depth + 1)
                return
        elif text.startswith('{"') and broken_json(text):
            yield Unread(number, number, "a line of JSON that is cut or damaged")
            return
        yield from self._plain_line(number, source, text)

    def _plain_line(self, number: int, source: str, text: str) -> Iterator[Record | Unread]:
        block = self.blocks.get(source)
        if block is not None:
            ended = _add(block, text, number)
            if ended is None:
                return
            del self.blocks[source]
            yield from _expanded(ended)
            if text.strip() != "{":
                return
        stray = self.stray
        if text.strip() == "{" and (source in self.blocks or len(self.blocks) < _SOURCES):
            self.blocks[source] = _Block(_indent(text), number, number, [text], len(text))
        elif stray is not None and stray.line_last == number - 1 and (_PIECE.match(text) or _REST.fullmatch(text)):
            self.stray = Unread(stray.line_first, number, stray.reason)
            return
        elif _PIECE.match(text):
            self.stray = Unread(number, number, "a piece of a record without its beginning")
            if stray is not None:
                yield stray
            return
        if stray is not None:
            yield stray
            self.stray = None

    def end(self) -> Iterator[Unread]:
        """Yield the unfinished records as unreadable at the end of the lines."""
        if self.stray is not None:
            yield self.stray
        for each in self.blocks.values():
            yield Unread(each.first, each.last, "a record that is cut before its end")


def _expanded(ended: Record | Unread) -> Iterator[Record | Unread]:
    """Yield the records in a multi-line OTLP object; yield any other object unchanged."""
    found = otlp_records(ended.fields) if isinstance(ended, Record) and "resourceLogs" in ended.fields else None
    if found is None or isinstance(ended, Unread):
        yield ended
    else:
        yield from (Record(ended.line_first, ended.line_last, fields) for fields in found)


def _add(block: _Block, text: str, number: int) -> Record | Unread | None:
    """Add a line to a record; return the record (an `Unread` if unreadable) if the line ends the record, else None."""
    stripped, deeper = text.strip(), _indent(text) > block.indent
    if stripped == "{" and not deeper:
        return Unread(block.first, block.last, "a record that is cut before its end")
    if stripped == "}" and _indent(text) == block.indent:
        block.parts.append(text)
        return _read(block, number)
    if block.foreign or (stripped and not deeper):
        block.foreign += 1
        number = block.last
    if block.foreign > _END_WITHIN:
        return Unread(block.first, block.last, "a record that is cut before its end")
    _keep(block, text, number)
    return None


def _keep(block: _Block, text: str, number: int) -> None:
    """Store a line of a record; discard all lines of a record of more than `RECORD_LIMIT` characters."""
    block.last = number
    if block.size + len(text) > RECORD_LIMIT:
        block.too_big = True
        block.parts.clear()
    elif not block.too_big:
        block.parts.append(text)
        block.size += len(text) + 1


def _read(block: _Block, number: int) -> Record | Unread:
    """Parse a complete block and return its record; return an `Unread` if the block cannot be parsed."""
    if block.too_big:
        return Unread(block.first, number, "a record that is too big")
    if block.foreign:
        return Unread(block.first, number, "other output inside a record")
    try:
        value = _parsed(block.parts)
    except LiteralError as error:
        return Unread(block.first, number, error.reason)
    if not isinstance(value, dict):
        return Unread(block.first, number, "not an object")
    return Record(block.first, number, value)


def _parsed(parts: list[str]) -> Value:
    """Parse a literal. Its ``resource``, which is half of most records and rarely changes, is cached."""
    text = "\n".join(parts)
    first = next((at for at, line in enumerate(parts[:3]) if line.strip() == "resource: {"), None)
    if first is None:
        return parse_literal(text)
    end = parts[first][: _indent(parts[first])] + "},"
    last = next((at for at in range(first, min(len(parts), first + _RESOURCE_LINES)) if parts[at] == end), None)
    if last is None:
        return parse_literal(text)
    try:
        resource = _resource("{\n" + "\n".join(parts[first + 1 : last]) + "\n}")
    except LiteralError:
        return parse_literal(text)
    value = parse_literal("\n".join([*parts[:first], "resource: undefined,", *parts[last + 1 :]]))
    if not isinstance(value, dict) or value.get("resource") is not NoValue.UNDEFINED:
        return parse_literal(text)
    value["resource"] = resource
    return value


@lru_cache(maxsize=64)
def _resource(text: str) -> Value:
    return parse_literal(text)


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())
