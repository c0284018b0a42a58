"""`voicerace doctor`: what is there of all that the other verbs can use."""

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
    proxy: Annotated[list[str] | None, typer.Option(metavar="backend:DIR", help="A checkout; may be repeated.")] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where runs are to be written.")] = Path("runs"),
    as_json: options.Json = False,
) -> int:
    """Check Python, packages, Node, Chromium, ports and keys.

    Keys are never shown.
    """
    found = examine([options.backend_directory(each) for each in proxy or ()], out)
    if as_json:
        print_json({"schema": 1, "findings": [each.to_json() for each in found]})
    else:
        rows = ((each.state, printable(each.name, 60), printable(each.found, 300), each.needed_for) for each in found)
        print_table(("state", "name", "found", "needed for"), rows)
    return 0
