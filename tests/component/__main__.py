"""Compare a running component with its model and write the record: ``python -m tests.component CHECKOUT``.

``--page`` prints docs/component.md instead. Exit status: 0 for no difference, 1 for differences, 2 for bad input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.component.document import page
from tests.component.runner import conform_component
from voicerace.errors import InputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.component", description="The component and its model.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("checkout", nargs="?", type=Path, help="a checkout of voice-agent-react, its dependencies installed")
    what.add_argument("--page", action="store_true", help="print docs/component.md")
    parser.add_argument("--release", metavar="TAG", help="the row to compare with [by the source's hash]")
    parser.add_argument("--out", type=Path, default=Path("data/conformance"), metavar="DIR", help="where the record goes")
    given = parser.parse_args(arguments)
    if given.page:
        sys.stdout.write(page())
        return 0
    try:
        result = conform_component(given.checkout, given.release)
        written = result.write(given.out)
    except (InputError, OSError) as error:
        sys.stderr.write(f"voicerace: error: {error}\n")
        return 2
    for name, found in result.found.items():
        sys.stdout.writelines(f"{name}: {each}\n" for each in found)
    sys.stdout.write(f"component      {result.tag} (program {result.source})\n")
    sys.stdout.write(f"cases          {len(result.seen)}, {result.compared} compared, {len(result.found)} with differences\n")
    sys.stdout.write(f"written        {written}\n")
    return int(bool(result.found))


if __name__ == "__main__":
    sys.exit(main())
