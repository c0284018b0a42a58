"""Convert a template of the letter to blocks.

The templates in ``templates/`` hold the words, as Markdown with Jinja. A paragraph can begin with one of these calls:

- ``{{ claim("name") }}``: the paragraph is the sentence of the claim ``name``;
- ``{{ part("name") }}``: the paragraph is replaced by the block ``name``, such as a picture or code;
- ``{{ box() }}``: each following line is ``term :: text``, or ``term :: name :: sentence`` for a claim;
- ``{{ fold("summary") }}`` and ``{{ end() }}``: the paragraphs between them are folded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from voicerace.report.blocks import Block, Box, Claim, Code, Fold, Table, Text, joined, many, quoted

__all__ = ["render"]

#: Separator around the marks that the calls of a template leave in its text. No text of a letter contains it.
_MARK: Final = "\x1f"
_MARKED: Final = re.compile(f"^{_MARK}([a-z]+) ?([^{_MARK}]*){_MARK}\\s*")


def _mark(kind: str) -> Any:
    return lambda name="": f"{_MARK}{kind} {name}{_MARK}"


# no HTML escaping, because the result is Markdown; text from a capture passes `quoted`
_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.globals.update({kind: _mark(kind) for kind in ("claim", "part", "box", "fold", "end")})
_TEMPLATES.filters.update(joined=joined, many=many, quoted=quoted)


def render(name: str, parts: Mapping[str, Block] | None = None, **values: object) -> list[Block]:
    """Return the blocks of a template.

    Args:
        name: the file's name in ``templates/``, without ``.md.j2``.
        parts: blocks that the template places by name. The sentence of a claim among them is replaced by the template's.
        values: the typed data of the section.

    Raises:
        KeyError: the template names a block that is not among `parts`.
    """
    text = _TEMPLATES.get_template(f"{name}.md.j2").render(**values)
    found: list[Block] = []
    folded: list[Text | Table | Code] | None = None
    summary = ""
    for paragraph in (each.strip("\n") for each in re.split(r"\n\s*\n", text)):
        if not paragraph.strip():
            continue
        match = _MARKED.match(paragraph)
        kind, argument = (match[1], match[2]) if match else ("", "")
        words = paragraph[match.end() :] if match else paragraph
        if kind == "fold":
            folded, summary = [], argument
        elif kind == "end":
            found.append(Fold(summary, tuple(folded or ())))
            folded = None
        elif folded is not None:
            block = (parts or {})[argument] if kind == "part" else Text(words)
            assert isinstance(block, (Text, Table, Code))  # noqa: S101  # a fold holds nothing else
            folded.append(block)
        else:
            found.append(_block(kind, argument, words, parts or {}))
    return found


def _block(kind: str, argument: str, words: str, parts: Mapping[str, Block]) -> Block:
    match kind:
        case "claim":
            return _claim(argument, " ".join(words.split()), parts)
        case "part":
            return parts[argument]
        case "box":
            return Box(tuple(_row(line, parts) for line in words.splitlines() if line.strip()))
        case _:
            return Text(words)


def _row(line: str, parts: Mapping[str, Block]) -> tuple[str, Text | Claim]:
    term, first, *rest = (each.strip() for each in line.split("::"))
    return term, _claim(first, rest[0], parts) if rest else Text(first)


def _claim(name: str, sentence: str, parts: Mapping[str, Block]) -> Claim:
    claim = parts[name]
    assert isinstance(claim, Claim)  # noqa: S101  # the section's module names its claims
    return replace(claim, sentence=sentence)
