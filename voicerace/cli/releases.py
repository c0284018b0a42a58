"""The verb `releases`: the table of releases, as wide as the terminal."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from voicerace.cli import options
from voicerace.cli.printing import plain, print_json, print_lines
from voicerace.model.catalog.releases import PROXIES, ProxyRelease

__all__ = ["releases"]


class _Column(NamedTuple):
    """A column of the table.

    Attributes:
        name, width: its heading and how wide it is.
        rank: columns of a high rank are left out first where the terminal is narrow.
        cell: the text of a row.
    """

    name: str
    width: int
    rank: int
    cell: Callable[[ProxyRelease], str]


_COLUMNS: Final = (
    _Column("tag", 18, 0, lambda row: row.tag),
    _Column("backend", 9, 4, lambda row: row.backend),
    _Column("published", 11, 6, lambda row: row.published or "-"),
    _Column("gen", 5, 3, lambda row: row.generation),
    _Column("create on", 13, 1, lambda row: " ".join([*sorted(row.create_on, reverse=True), *["20s"] * row.recovery])),
    _Column("flag set by", 27, 7, lambda row: " ".join(sorted(row.flag_set_by))),
    _Column("cleared by", 12, 5, lambda row: " ".join(sorted(row.flag_cleared_by, reverse=True))),
    _Column("refusal", 9, 2, lambda row: "hidden" if row.refusal_hidden else "told"),
    _Column("unknown", 9, 8, lambda row: row.unknown_event),
    _Column("options", 9, 9, lambda row: "sent" if row.session_options else "dropped"),
    _Column("source", 14, 10, lambda row: row.source),
)

#: What the columns mean.
_LEGEND: Final = {
    "create on": "result: at once; else the next of these events",
    "flag set by": "creates that set the proxy's own flag",
    "cleared by": "events that clear it",
    "refusal": "the app is told of the error, or not",
    "unknown": "an unknown event goes on raw, as Error, to the log",
    "options": "tool choice, modalities, voice: sent on or dropped",
}
_EVENTS: Final = (
    "T              response.output_text.done",
    "R              response.done",
    "A              response.output_audio.done",
    "I              the result is confirmed",
    "20s            20 s pass without any of them",
    "*              changed against the row before",
)


def releases(as_json: options.Json = False) -> int:
    """Show what each release of the proxy does.

    * marks what changed against the row before. A narrow terminal shows fewer columns.
    """
    if as_json:
        rows = [dataclasses.asdict(row) for row in PROXIES.values()]
        print_json({"schema": 1, "releases": [plain(row) for row in rows]})
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else sum(each.width for each in _COLUMNS)
        print_lines(_lines(width))
    return 0


def _lines(width: int) -> Iterator[str]:
    """The table in at most `width` columns, then its legend."""
    shown = _fitting(width)
    yield "".join(f"{each.name:<{each.width}}" for each in shown).rstrip()
    before: list[str] | None = None
    for row in PROXIES.values():
        cells = [each.cell(row) for each in shown]
        marked = [
            cell + ("*" if before is not None and each.name not in _KEYS and cell != before[number] else "")
            for number, (each, cell) in enumerate(zip(shown, cells, strict=True))
        ]
        yield "".join(f"{cell:<{each.width}}" for each, cell in zip(shown, marked, strict=True)).rstrip()
        before = cells
    yield ""
    yield from (f"{each.name:<15}{_LEGEND[each.name]}" for each in shown if each.name in _LEGEND)
    yield from _EVENTS


#: Columns that differ in every row, so that a mark would say nothing.
_KEYS: Final = frozenset({"tag", "backend", "published"})


def _fitting(width: int) -> list[_Column]:
    """The most important columns that fit, in the order of the table."""
    taken: set[str] = set()
    left = width
    for each in sorted(_COLUMNS, key=lambda column: column.rank):
        if each.width > left:
            break
        taken.add(each.name)
        left -= each.width
    return [each for each in _COLUMNS if each.name in taken]
