"""`python -m tests.support.release_page` writes the generated parts of docs/release-facts.md.

The part `<!-- generated: releases -->` is the output of `voicerace releases`. A part `<!-- generated: FIELD FIELD -->` is a
table with a row per field of `ProxyRelease`, which lists the releases that have each value. A part ends at `<!-- end -->`.
"""

from __future__ import annotations

import contextlib
import io
import re
from itertools import groupby
from pathlib import Path

from voicerace.cli import main
from voicerace.model.catalog.releases import PROXIES, ProxyRelease

PAGE = Path(__file__).parents[2] / "docs" / "release-facts.md"
#: Events in the order of a response.
_LETTERS = "TRAI"
_PART = re.compile(r"(<!-- generated: ([\w ]+) -->\n).*?(<!-- end -->)", flags=re.S)


def printed_table() -> str:
    """`voicerace releases` as a block of the page."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        main(["releases"])
    return f"```\n$ .venv/bin/voicerace releases\n{out.getvalue()}```\n"


def settings_table(fields: list[str]) -> str:
    """A row per field: its values, each with the releases that have it, in the order of the catalog."""
    return "| setting | value, releases |\n|---|---|\n" + "".join(map(_row, fields))


def _row(field: str) -> str:
    runs = groupby(PROXIES.values(), key=lambda release: _text(release, field))
    ranges = [(value, [release.tag for release in releases]) for value, releases in runs]
    cells = [f"`{value}` {tags[0] if len(tags) == 1 else f'{tags[0]} to {tags[-1]}'}" for value, tags in ranges]
    return f"| `{field}` | {'; '.join(cells)} |\n"


def _text(release: ProxyRelease, field: str) -> str:
    value = getattr(release, field)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, frozenset):
        return " ".join(sorted(value, key=lambda each: (_LETTERS.find(each), each)))
    return str(value)


def fields(page: str) -> list[str]:
    """The fields that have a row in the page, with repetitions."""
    return [name for _, names, _ in _PART.findall(page) for name in names.split() if name != "releases"]


def generated(page: str) -> str:
    """The page with its generated parts replaced by current ones."""

    def part(found: re.Match[str]) -> str:
        names = found[2].split()
        body = printed_table() if names == ["releases"] else settings_table(names)
        return f"{found[1]}{body}{found[3]}"

    return _PART.sub(part, page)


if __name__ == "__main__":
    PAGE.write_text(generated(PAGE.read_text("utf-8")), "utf-8")
