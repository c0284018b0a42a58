"""Print tables with aligned columns and without borders. On a narrow terminal, cells wrap. In a pipe, each row is one line.
This module imports only the standard library, so that `voicerace releases` starts fast.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Final

__all__ = ["facts", "print_table", "table_lines", "terminal_width"]

_BETWEEN: Final = "  "
#: Minimum width of a column.
_MIN_WIDTH: Final = 6


def facts(**values: object) -> Iterator[str]:
    """Yield one aligned line per value that is not None. ``_`` in a name becomes a space."""
    yield from (f"{name.replace('_', ' '):<15}{value}" for name, value in values.items() if value is not None)


def terminal_width() -> int | None:
    """Return the width of the terminal in characters; None if standard output is a pipe or a file."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_table(heads: Sequence[str], rows: Iterable[Sequence[object]], title: str = "", right: Collection[str] = ()) -> None:
    """Print a table in the width of the terminal, with the arguments of `table_lines`."""
    if title:
        print(title)
    for line in table_lines(heads, rows, right, terminal_width()):
        print(line)


def table_lines(
    heads: Sequence[str], rows: Iterable[Sequence[object]], right: Collection[str] = (), width: int | None = None
) -> Iterator[str]:
    """Yield the lines of a table.

    Args:
        heads: the names of the columns.
        rows: the cells of each row; None is an empty cell.
        right: the names of the right-aligned columns.
        width: maximum number of characters per line. The widest columns are narrowed. None disables the limit.
    """
    table = [list(heads), *(["" if cell is None else str(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    while width is not None and sum(widths) + len(_BETWEEN) * (len(widths) - 1) > width and max(widths) > _MIN_WIDTH:
        widths[widths.index(max(widths))] -= 1
    for row in table:
        wrapped = [textwrap.wrap(cell, wide) or [""] for cell, wide in zip(row, widths, strict=True)]
        for parts in zip_longest(*wrapped, fillvalue=""):
            cells = [
                part.rjust(wide) if head in right else part.ljust(wide)
                for part, wide, head in zip(parts, widths, heads, strict=True)
            ]
            yield _BETWEEN.join(cells).rstrip()
