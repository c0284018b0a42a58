"""The verb `releases`: the table of releases."""

from __future__ import annotations

import dataclasses

from voicerace.cli import options, text
from voicerace.cli.printing import plain, print_json, print_lines
from voicerace.tables.releases import PROXIES

__all__ = ["releases"]


def releases(as_json: options.Json = False) -> int:
    """Show what each release of the proxy does.

    * marks what changed against the row before.
    """
    if as_json:
        rows = [dataclasses.asdict(row) for row in PROXIES.values()]
        print_json({"schema": 1, "releases": [plain(row) for row in rows]})
    else:
        print_lines([*text.release_lines(), "", *text.RELEASE_LEGEND])
    return 0
