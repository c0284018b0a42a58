"""Compare a running proxy with its model in drawn exchanges, and write the table and recordings.

Usage: ``python -m tests.drawn CHECKOUT``. hypothesis shrinks each kind of difference to the smallest exchange that shows it.
Exit status: 0 for no difference, 1 for differences, 2 for bad input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from tests.drawn.shrink import conform_drawn
from voicerace.errors import InputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.drawn", description="Drawn exchanges: a proxy and its model.")
    parser.add_argument("checkout", type=Path, help="a checkout of voice-agent-backend, its dependencies installed")
    parser.add_argument("--release", metavar="TAG", help="the row to compare with [by the source's hash]")
    parser.add_argument("--count", type=int, default=250, metavar="N", help="exchanges [250]")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="seed of the first draw [0]")
    parser.add_argument("--out", type=Path, default=Path("data/conformance"), metavar="DIR", help="where the files go")
    parser.add_argument("--log", type=Path, metavar="FILE", help="takes the proxy's output")
    given = parser.parse_args(arguments)
    try:
        with tqdm(file=sys.stderr, unit="exchange", total=given.count, disable=None) as bar:
            done = conform_drawn(
                given.checkout, given.release, count=given.count, number=given.seed, log=given.log,
                progress=lambda done, _: bar.update(done - bar.n),
            )  # fmt: skip
        files = done.result.write(given.out)
    except (InputError, OSError) as error:
        sys.stderr.write(f"voicerace: error: {error}\n")
        return 2
    result = done.result
    lines = [f"{name}: {each}" for name, found in result.found.items() for each in found]
    lines += [line for each in done.findings for line in each.lines()]
    lines += [
        f"release        {result.release.tag} (program {result.source})",
        f"exchanges      {len(result.rows)} drawn, {done.skipped} skipped on a busy machine",
        f"messages       {sum(row['messages'] for row in result.rows)} of the proxy compared",
        f"differences    {result.differences}",
        *(f"written        {file}" for file in files),
    ]
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return int(result.differences > 0)


if __name__ == "__main__":
    sys.exit(main())
