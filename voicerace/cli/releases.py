"""The verb `releases`: print the table of releases with the columns that fit the terminal."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import Final, NamedTuple

from voicerace.cli import options
from voicerace.cli.printing import plain, print_json, print_lines
from voicerace.cli.tables import facts, table_lines, terminal_width
from voicerace.model.catalog.releases import PROXIES, ProxyRelease

__all__ = ["releases"]


class _Column(NamedTuple):
    """A column of the table.

    Attributes:
        name: heading of the column.
        rank: on a narrow terminal, columns with the highest ranks are omitted.
        cell: function that returns the column's text for a release.
    """

    name: str
    rank: int
    cell: Callable[[ProxyRelease], str]


_COLUMNS: Final = (
    _Column("tag", 0, lambda row: row.tag),
    _Column("backend", 4, lambda row: row.backend),
    _Column("published", 6, lambda row: row.published or "-"),
    _Column("gen", 3, lambda row: row.generation),
    _Column("create on", 1, lambda row: " ".join([*sorted(row.create_on, reverse=True), *["20s"] * row.recovery])),
    _Column("flag set by", 7, lambda row: " ".join(sorted(row.flag_set_by))),
    _Column("cleared by", 5, lambda row: " ".join(sorted(row.flag_cleared_by, reverse=True))),
    _Column("refusal", 2, lambda row: "hidden" if row.refusal_hidden else "told"),
    _Column("unknown", 8, lambda row: row.unknown_event),
    _Column("options", 9, lambda row: "sent" if row.session_options else "dropped"),
    _Column("source", 10, lambda row: row.source),
)

#: Heading of a column -> the column's explanation below the table.
_LEGEND: Final = {
    "create on": "result: at once; else the next of these events",
    "flag set by": "creates that set the proxy's own flag",
    "cleared by": "events that clear it",
    "refusal": "the app is notified of the error, or not",
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

    An asterisk marks a value that differs from the row before. A narrow terminal shows fewer columns.
    """
    if as_json:
        rows = [dataclasses.asdict(row) for row in PROXIES.values()]
        print_json({"schema": 1, "releases": [plain(row) for row in rows]})
    else:
        print_lines(_lines(terminal_width()))
    return 0


#: Columns whose changes are not marked, because their values differ in every row.
_KEYS: Final = frozenset({"tag", "backend", "published"})


def _lines(width: int | None) -> Iterator[str]:
    """Yield the lines of the table with the columns that fit into `width` characters, then of its legend."""
    for most in range(len(_COLUMNS), 0, -1):
        shown = [each for each in _COLUMNS if each.rank < most]
        lines = list(table_lines([each.name for each in shown], _marked(shown)))
        if width is None or max(map(len, lines)) <= width:
            break
    yield from lines
    yield ""
    yield from facts(**{each.name: _LEGEND[each.name] for each in shown if each.name in _LEGEND})
    yield from _EVENTS


def _marked(shown: Sequence[_Column]) -> Iterator[list[str]]:
    """Yield the cells of each release. A cell that differs from the cell above ends with an asterisk."""
    before: list[str] = []
    for row in PROXIES.values():
        cells = [each.cell(row) for each in shown]
        yield [
            f"{cell}*" if old not in (cell, None) and each.name not in _KEYS else cell
            for each, cell, old in zip_longest(shown, cells, before)
        ]
        before = cells
