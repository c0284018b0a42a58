"""The verb `doctor`: report the installed tools that other verbs use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voicerace.cli import options
from voicerace.cli.installation import examine
from voicerace.cli.printing import print_json
from voicerace.cli.tables import print_table
from voicerace.scrubber import printable

__all__ = ["doctor"]


def doctor(
    proxy: Annotated[
        list[str] | None, typer.Option(metavar="backend:DIR", help="Checkout of the proxy to examine (repeatable).")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for runs.")] = Path("runs"),
    as_json: options.Json = False,
) -> int:
    """Check Python, packages, Node, Chromium, ports and keys.

    The report contains no key.
    """
    found = examine([options.backend_directory(each) for each in proxy or ()], out)
    if as_json:
        print_json({"schema": 1, "findings": [each.to_json() for each in found]})
    else:
        rows = ((each.state, printable(each.name, 60), printable(each.found, 300), each.needed_for) for each in found)
        print_table(("state", "name", "found", "needed for"), rows)
    return 0
