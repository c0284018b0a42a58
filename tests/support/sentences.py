"""Draw random sentences from docstrings and comments for a review: `python -m tests.support.sentences [SEED]`."""

from __future__ import annotations

import random
import re
import sys
import textwrap
from typing import Final

from tests.support.idioms import ROOT, files, prose

COUNT: Final = 100
_END: Final = re.compile(r"(?<=[.:;!?])\s+(?=[A-Z`'\"(])")


def sentences() -> list[tuple[str, str]]:
    """Return (location, sentence) of every sentence with at least five words in the Python files."""
    found = []
    for path in files():
        if path.suffix != ".py":
            continue
        for number, text in prose(path):
            plain = re.sub(r"\s+", " ", text.strip("\"' #:")).strip()
            found += [(f"{path.relative_to(ROOT)}:{number}", each) for each in _END.split(plain) if each.count(" ") >= 4]
    return found


def main() -> None:
    drawn = random.Random(int(sys.argv[1]) if len(sys.argv) > 1 else 1).sample(sentences(), COUNT)
    for number, (where, sentence) in enumerate(drawn, start=1):
        print(textwrap.fill(f"{number}. {sentence} [{where}]", width=140, subsequent_indent="   "))


if __name__ == "__main__":
    main()
