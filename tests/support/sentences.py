"""Draw random sentences from docstrings and comments for a review: `python -m tests.support.sentences [SEED] [PREFIX]`.

Each sentence is printed with its location and with the code that it documents. With `PREFIX`, all sentences of the files whose
names begin with it are printed in order.
"""

from __future__ import annotations

import ast
import io
import random
import re
import sys
import textwrap
import tokenize
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

from tests.support.idioms import ROOT, files

COUNT: Final = 100
#: Shorter texts are labels, not sentences.
_WORDS: Final = 5
_END: Final = re.compile(r"(?<=[.;!?])\s+(?=[A-Z`'\"(])")
#: Beginning of a section of a docstring, and of one entry in it.
_ENTRY: Final = re.compile(r"\n\s*(?:Args|Attributes|Raises|Returns|Yields|Source):\s*\n|\n\s+(?=\**\w+(?:, \**\w+)*: )")
#: Comments for tools.
_TOOL: Final = re.compile(r"^(?:noqa|type:|fmt:|pragma|pylint)|^[A-Z]+\d+ #")

_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def docstrings(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield (line number, docstring, first line of the documented code)."""
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, _Documented) and (found := ast.get_docstring(node, clean=False)) is not None:
            yield node.body[0].lineno, found, "" if isinstance(node, ast.Module) else lines[node.lineno - 1].strip()


def comments(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield (line number, comment, code beside or below it). Successive lines are one comment."""
    lines = text.splitlines()
    tokens = [each for each in tokenize.generate_tokens(io.StringIO(text).readline) if each.type == tokenize.COMMENT]
    block: list[tokenize.TokenInfo] = []
    for token, following in pairwise([*tokens, None]):
        assert token is not None
        block.append(token)
        beside = bool(lines[token.start[0] - 1][: token.start[1]].strip())
        if not beside and following is not None and following.start == (token.start[0] + 1, token.start[1]):
            continue
        code = lines[token.start[0] - 1][: token.start[1]] if beside else "".join(lines[token.start[0] : token.start[0] + 1])
        said = " ".join(each.string.lstrip("#: ") for each in block)
        if not _TOOL.match(said):
            yield block[0].start[0], said, code.strip()
        block = []


def sentences(path: Path) -> list[tuple[str, str, str]]:
    """Return (location, sentence, documented code) of every sentence of a Python file, in the order of the file."""
    text, found = path.read_text("utf-8"), []
    for number, prose, code in sorted([*docstrings(text), *comments(text)]):
        for part in _ENTRY.split(prose):
            plain = re.sub(r"\s+", " ", part).strip()
            found += [
                (f"{path.relative_to(ROOT)}:{number}", each, code)
                for each in _END.split(plain)
                if each.count(" ") >= _WORDS - 1
            ]
    return found


def main() -> None:
    paths = [path for path in files() if path.suffix == ".py"]
    if len(sys.argv) > 2:
        chosen = [path for path in paths if str(path.relative_to(ROOT)).startswith(sys.argv[2])]
        drawn = [each for path in chosen for each in sentences(path)]
    else:
        seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
        drawn = random.Random(seed).sample([each for path in paths for each in sentences(path)], COUNT)
    for number, (where, sentence, code) in enumerate(drawn, start=1):
        print(textwrap.fill(f"{number}. {sentence}", width=140, subsequent_indent="   "))
        print(f"   [{where}]  {code[:110]}")


if __name__ == "__main__":
    main()
