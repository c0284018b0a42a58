"""Count idioms that are not plain technical English in the project's prose: `python -m tests.support.idioms`.

Prose means comments and docstrings of Python files, Markdown pages, cells of notebooks, and templates.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]

#: Idioms to be replaced by terms of docs/glossary.md, or by a plain subject and verb.
IDIOMS: Final = (
    "nobody", "somebody", "anybody", "whoever", "whatever", "held against", "holds against", "hold against", "holds it to",
    "comes to", "come to", "came to", "what became of", "without a word", "in a word", "is told", "are told", "told apart",
    "the books", "their books", "its books", "minded", "minds", "at hand", "lies in",
    "meets", "met by", "ways in which", "by heart", "of its own accord", "well and good", "is there of",
    "party", "parties", "who asks", "ends well", "speaks of", "never mind",
)  # fmt: skip
_PATTERN: Final = re.compile(r"(?<![\w-])(" + "|".join(map(re.escape, IDIOMS)) + r")(?![\w-])", re.IGNORECASE)
_WORD: Final = re.compile(r"[A-Za-z][\w'-]*")
#: Terms of standards and of other projects, which are not counted.
_ALLOWED: Final = re.compile(r"third[- ]part(?:y|ies)|part(?:y|ies) of the API", re.IGNORECASE)


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number, text) of a file's prose. In a notebook, the number is that of the cell."""
    text = path.read_text("utf-8")
    if path.suffix == ".ipynb":
        for number, cell in enumerate(json.loads(text)["cells"], start=1):
            yield number, "".join(cell["source"])
    elif path.suffix == ".py":
        before = tokenize.NEWLINE
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT or (
                token.type == tokenize.STRING and before in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
            ):
                yield token.start[0], token.string
            if token.type not in (tokenize.NL, tokenize.COMMENT):
                before = token.type
    else:
        yield from enumerate(text.splitlines(), start=1)


def files() -> list[Path]:
    """Return the files of the repository that contain prose."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split("\n")
    kinds = {".py", ".md", ".ipynb", ".j2"}
    return [ROOT / name for name in listed if Path(name).suffix in kinds and (ROOT / name).is_file()]


def idioms(path: Path) -> list[tuple[int, str]]:
    """Return (line number, idiom) for each idiom in a file."""
    if path == Path(__file__):
        return []
    return [
        (number + text[: found.start()].count("\n") * (path.suffix == ".py"), found[1].lower())
        for number, text in prose(path)
        for found in _PATTERN.finditer(_ALLOWED.sub("", text))
    ]


def main() -> None:
    words, counts, per_file = 0, Counter[str](), Counter[str]()
    for path in files():
        words += sum(len(_WORD.findall(text)) for _, text in prose(path))
        found = idioms(path)
        counts.update(idiom for _, idiom in found)
        per_file[str(path.relative_to(ROOT))] = len(found)
    for idiom, count in counts.most_common():
        print(f"{count:5} {idiom}")
    for name, count in per_file.most_common(15):
        print(f"{count:5} {name}")
    print(f"{counts.total()} in {words:,} words: {1000 * counts.total() / words:.2f} per 1,000")


if __name__ == "__main__":
    main()
