"""Blocks of a letter section (text, claims, tables, pictures, code, folds) and their display in a notebook.

A section is a list of blocks, so that tests can read sections without a browser and `build` can write claims to a file.
Blocks contain trusted Markdown; use `quoted` for text from a capture.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from html import escape
from typing import Any, Final, Literal, TypeAlias

import pandas as pd
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from voicerace.experiments.rates import wilson
from voicerace.report.images import image_of
from voicerace.report.notebook.display import frame_html, image_bundle, inline_html, table_bundle

__all__ = [
    "CLAIMS",
    "HEAD",
    "Block",
    "Box",
    "Claim",
    "Code",
    "Fold",
    "Head",
    "Picture",
    "Stack",
    "Support",
    "Table",
    "Target",
    "Text",
]
__all__ += ["claims_of", "joined", "kept", "many", "quoted", "show", "words_of"]

#: MIME type of an output that only `PageExporter` reads.
HEAD: Final = "application/vnd.voicerace.head+json"
CLAIMS: Final = "application/vnd.voicerace.claims+json"
#: MIME type of a picture for phones, an SVG.
NARROW: Final = "application/vnd.voicerace.narrow+svg"

Target: TypeAlias = Literal["model", "real proxy", "real component", "real API", "documented run"]


@dataclass(frozen=True)
class Support:
    """Evidence for a claim from one target.

    Attributes:
        target: what was tested: a kind of program, or documented runs.
        count: number of cases that support the claim.
        of: number of cases.
        what: plural noun phrase for the cases, with their settings, such as ``computed sessions (0.9.1, a gap of 300 ms)``.
            If `of` is 0, the reason why there are no cases.
        drawn: whether the cases are independent draws. Only a share of independent draws has a confidence interval.
        source: the file or the part of the run with the cases.
    """

    target: Target
    count: int
    of: int
    what: str
    drawn: bool = False
    source: str = ""

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % Wilson interval of the share of supporting cases. None if the cases are not draws."""
        return wilson(self.count, self.of) if self.drawn and self.of else None

    @property
    def words(self) -> str:
        low_high = self.interval
        share = ""
        if low_high is not None:
            share = f" ({self.count / self.of:.0%}, 95 % interval {low_high[0]:.0%} to {low_high[1]:.0%})"
        return f"{self.count:,} of {self.of:,} {self.what}{share}" if self.of else f"none: {self.what}"

    def to_json(self) -> dict[str, Any]:
        low_high = self.interval
        return {
            "target": self.target, "count": self.count, "of": self.of, "what": self.what, "source": self.source,
            "kind": "estimated" if self.drawn else "counted", "interval_95": None if low_high is None else list(low_high),
        }  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """A sentence that states a result, with its evidence.

    Attributes:
        name: stable identifier for programs that read `report.json`.
        sentence: Markdown text, made from the data.
        seen: the evidence, one `Support` per target.
        releases: the releases to which the claim applies.
        quiet: whether to omit the list of evidence. The sentence then contains the counts.
    """

    name: str
    sentence: str
    seen: tuple[Support, ...] = ()
    releases: tuple[str, ...] = ()
    quiet: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "claim": self.sentence.replace("**", ""),
            "releases": list(self.releases),
            "seen": [each.to_json() for each in self.seen],
        }


@dataclass(frozen=True)
class Text:
    """Markdown text."""

    markdown: str


@dataclass(frozen=True)
class Table:
    """A DataFrame with a caption. Its first column contains the row headers."""

    frame: pd.DataFrame
    caption: str


@dataclass(frozen=True)
class Picture:
    """A picture with its alternative text and its caption.

    Attributes:
        plot: a `partial` of a plot function and its arguments; see `image_of`.
        alt: the alternative text, with the numbers that the picture shows.
        caption: text below the picture.
        target: id for links to the picture.
        narrow: the same picture for phones, as `plot`; None for the same picture everywhere.
    """

    plot: Callable[[], Axes | Figure]
    alt: str
    caption: str
    target: str = ""
    narrow: Callable[[], Axes | Figure] | None = None


@dataclass(frozen=True)
class Stack:
    """Pictures side by side, below each other on a phone, with one caption."""

    pictures: tuple[Picture, ...]
    caption: str


@dataclass(frozen=True)
class Code:
    """Code for the reader to copy, with an optional title `what`."""

    text: str
    what: str = ""


@dataclass(frozen=True)
class Box:
    """A summary: terms, each with a text or a claim."""

    rows: tuple[tuple[str, Text | Claim], ...]


@dataclass(frozen=True)
class Fold:
    """Collapsed text, tables, code and pictures."""

    summary: str
    blocks: tuple[Text | Table | Code | Picture, ...]


@dataclass(frozen=True)
class Head:
    """The title of the page and the facts below it.

    If `code` is true, the page ends with the notebook's code. The last line of the page names the `source` of its numbers.
    """

    title: str
    facts: tuple[tuple[str, str], ...] = ()
    code: bool = False
    source: str = "a run"


Bundle: TypeAlias = tuple[dict[str, Any], dict[str, Any]]
Block: TypeAlias = Text | Claim | Box | Table | Picture | Stack | Code | Fold | Head

#: Outputs of `show` inside `kept`; None outside.
_KEPT: ContextVar[list[Bundle] | None] = ContextVar("_KEPT", default=None)


def show(blocks: Iterable[Block]) -> None:
    """Display blocks in the running notebook cell, in order. Inside `kept`, store them instead."""
    blocks = list(blocks)
    bundles = [_bundle(block) for block in blocks]
    if claims := claims_of(blocks):
        bundles.append(({CLAIMS: claims, "text/plain": ""}, {}))
    if (kept_here := _KEPT.get()) is not None:
        kept_here += bundles
        return
    for data, metadata in bundles:
        display(data, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]


@contextmanager
def kept() -> Iterator[list[Bundle]]:
    """Yield a list that collects (data, metadata) of each output of `show` instead of displaying it."""
    found: list[Bundle] = []
    token = _KEPT.set(found)
    try:
        yield found
    finally:
        _KEPT.reset(token)


def claims_of(blocks: Iterable[Block]) -> list[dict[str, Any]]:
    """Return the claims among blocks in the format of `report.json`."""
    return [claim.to_json() for block in blocks for claim in _claims(block)]


def _claims(block: Block) -> list[Claim]:
    if isinstance(block, Box):
        return [value for _, value in block.rows if isinstance(value, Claim)]
    return [block] if isinstance(block, Claim) else []


def words_of(blocks: Iterable[Block]) -> str:
    """Return all text of blocks, including alternative texts and tables. Tests use this function."""
    found = []
    for block in blocks:
        match block:
            case Text(markdown):
                found.append(markdown)
            case Claim():
                found.append(_claim(block))
            case Box(rows):
                found += [f"{term}: {_words(value)}" for term, value in rows]
            case Table(frame, caption):
                found += [caption, frame.to_string(index=False)]
            case Picture(_, alt, caption):
                found += [alt, caption]
            case Stack(pictures, caption):
                found += [words_of(pictures), caption]
            case Code(text, what):
                found += [what, text]
            case Fold(summary, inner):
                found += [summary, words_of(inner)]
            case Head(title, facts):
                found += [title, *(f"{name} {value}" for name, value in facts)]
    return "\n".join(found)


def quoted(text: str, length: int = 80) -> str:
    """Return untrusted text as Markdown: escaped, printable, on one line, at most `length` characters."""
    plain = "".join(char if char.isprintable() else "?" for char in " ".join(text.split()))
    plain = plain if len(plain) <= length else plain[: length - 1] + "…"
    return escape("".join(f"\\{char}" if char in "\\`*_[]#|~$" else char for char in plain), quote=False)


def many(number: int, what: str, more: str = "") -> str:
    """Return a number with its noun, such as ``1 session`` or ``2 sessions``. `more` is the plural if it is irregular."""
    return f"{number:,} {what if number == 1 else more or what + 's'}"


def joined(words: Sequence[str], last: str = "and") -> str:
    """Join words as text, such as ``a``, ``a and b`` or ``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}" if words else ""


def _bundle(block: Block) -> Bundle:
    match block:
        case Text(markdown):
            return {"text/markdown": markdown, "text/plain": markdown}, {}
        case Claim():
            text = _claim(block)
            return {"text/markdown": text, "text/plain": text}, {"claim": block.name}
        case Box():
            return {"text/html": _box(block), "text/plain": words_of([block])}, {}
        case Table(frame, caption):
            return table_bundle(frame, caption)
        case Picture(plot, alt, caption, target, narrow):
            kind, image = image_of(plot, alt)
            data, metadata = image_bundle(kind, image, alt, caption=caption, **({"target": target} if target else {}))
            return data | ({NARROW: image_of(narrow, alt)[1].decode()} if narrow else {}), metadata
        case Stack():
            return {"text/html": _stack(block), "text/plain": words_of([block])}, {}
        case Code(text, _):
            return {"text/html": _code(block), "text/plain": text}, {}
        case Fold(summary, _):
            return {"text/html": _fold(block), "text/plain": summary}, {}
        case Head():
            facts = {
                "title": block.title, "facts": [list(fact) for fact in block.facts], "code": block.code, "source": block.source,
            }  # fmt: skip
            return {HEAD: facts, "text/plain": block.title}, {}


def _claim(claim: Claim) -> str:
    """Return a claim as Markdown: the sentence, followed by its evidence."""
    lines = [claim.sentence, ""]
    lines += [] if claim.quiet else [f"- *{each.target}:* {each.words}" for each in claim.seen]
    return "\n".join(lines)


def _words(value: Text | Claim) -> str:
    return value.markdown if isinstance(value, Text) else value.sentence


def _box(box: Box) -> str:
    rows = [
        f"<div{f' id={chr(34)}claim-{value.name}{chr(34)}' if isinstance(value, Claim) else ''}><dt>{escape(term)}</dt>"
        f"<dd>{inline_html(_words(value))}</dd></div>"
        for term, value in box.rows
    ]
    return f'<dl class="box">{"".join(rows)}</dl>'


def _code(code: Code) -> str:
    title = f"<p>{inline_html(code.what)}</p>" if code.what else ""
    return f'{title}<pre tabindex="0"><code>{escape(code.text)}</code></pre>'


def _fold(fold: Fold) -> str:
    parts = []
    for block in fold.blocks:
        match block:
            case Text(markdown):
                parts += [f"<p>{inline_html(line)}</p>" for line in markdown.splitlines() if line.strip()]
            case Table():
                parts.append(frame_html(block.frame, block.caption))
            case Code():
                parts.append(_code(block))
            case Picture():
                parts.append(f'<figure id="{block.target}">{_drawn(block)}</figure>')
    return f"<details><summary>{inline_html(fold.summary)}</summary>{''.join(parts)}</details>"


def _stack(stack: Stack) -> str:
    drawn = "".join(f"<div>{_drawn(each)}</div>" for each in stack.pictures)
    return f'<figure><div class="stack">{drawn}</div><figcaption>{inline_html(stack.caption)}</figcaption></figure>'


def _drawn(picture: Picture) -> str:
    """Return the HTML of a picture and its caption."""
    kind, image = image_of(picture.plot, picture.alt)
    source = f"data:{kind};base64,{base64.b64encode(image).decode()}"
    content = image.decode() if kind == "image/svg+xml" else f'<img src="{source}" alt="{escape(picture.alt)}">'
    caption = f"<figcaption>{inline_html(picture.caption)}</figcaption>" if picture.caption else ""
    return f'<div class="picture" role="region" tabindex="0">{content}</div>{caption}'
