"""What a section of the letter is made of: text, claims, tables, pictures, code, folds; and how a notebook shows them.

A section is a list of blocks, so that a test can read it without a browser and a claim can be written to a file. Texts are
Markdown of our own; whatever came from a capture goes through `quoted`. Nothing in here computes.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from html import escape
from typing import Any, Final, Literal, TypeAlias

import pandas as pd
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from voicerace.experiments.rates import wilson
from voicerace.report.images import image_of
from voicerace.report.notebook.display import inline_html, table_html

__all__ = ["CLAIMS", "HEAD", "Block", "Claim", "Code", "Fold", "Head", "Picture", "Support", "Table", "Target", "Text"]
__all__ += ["claims_of", "joined", "kept", "many", "quoted", "show", "words_of"]

#: Types of outputs that only the page's exporter reads.
HEAD: Final = "application/vnd.voicerace.head+json"
CLAIMS: Final = "application/vnd.voicerace.claims+json"

Target: TypeAlias = Literal["model", "real proxy", "real component", "real API", "documented run"]


@dataclass(frozen=True)
class Support:
    """What one target showed.

    Attributes:
        target: who showed it.
        count: in how many, of `of`.
        what: of what, in the plural, with the setting that matters: ``computed sessions (0.9.1, a gap of 300 ms)``;
            where nothing was looked at (`of` is 0), why not.
        drawn: the sessions are independent draws: the share gets an interval. Fixed times are computed and get none.
        source: where it lies: a file, or a part of the run.
    """

    target: Target
    count: int
    of: int
    what: str
    drawn: bool = False
    source: str = ""

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's, 95 %; None where nothing was drawn."""
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
    """A sentence that states a result, with what it rests on.

    Attributes:
        name: stable, for whoever reads `report.json`.
        sentence: Markdown, made from the data.
        seen: what each target showed; empty when nothing was looked at, which is then said.
        releases: it is about.
        quiet: the sentence holds its counts itself; no list below it.
    """

    name: str
    sentence: str
    seen: tuple[Support, ...] = ()
    releases: tuple[str, ...] = ()
    quiet: bool = False

    def to_json(self) -> dict[str, Any]:
        plain = self.sentence.replace("**", "")
        return {
            "name": self.name,
            "claim": plain,
            "releases": list(self.releases),
            "seen": [each.to_json() for each in self.seen],
        }


@dataclass(frozen=True)
class Text:
    """Markdown."""

    markdown: str


@dataclass(frozen=True)
class Table:
    """A frame with a caption; its first column heads the rows."""

    frame: pd.DataFrame
    caption: str


@dataclass(frozen=True)
class Picture:
    """A picture, what it shows in words and numbers, and the line below it.

    Attributes:
        plot: draws it: a `partial` of a plot and all that it shows, see `image_of`.
    """

    plot: Callable[[], Axes | Figure]
    alt: str
    caption: str


@dataclass(frozen=True)
class Code:
    """Lines to copy."""

    text: str
    what: str = ""


@dataclass(frozen=True)
class Fold:
    """Text, tables and code that are folded away until they are asked for."""

    summary: str
    blocks: tuple[Text | Table | Code, ...]


@dataclass(frozen=True)
class Head:
    """What stands above the letter: its title and the lines below it."""

    title: str
    facts: tuple[tuple[str, str], ...] = ()
    code: bool = False
    more: dict[str, Any] = field(default_factory=dict)


Bundle: TypeAlias = tuple[dict[str, Any], dict[str, Any]]
Block: TypeAlias = Text | Claim | Table | Picture | Code | Fold | Head

#: Where `show` puts what it would display.
_KEPT: ContextVar[list[Bundle] | None] = ContextVar("_KEPT", default=None)


def show(blocks: Iterable[Block]) -> None:
    """Display blocks in the running cell, in order."""
    told = list(blocks)
    bundles = [_bundle(block) for block in told]
    if claims := claims_of(told):
        bundles.append(({CLAIMS: claims, "text/plain": ""}, {}))
    if (kept_here := _KEPT.get()) is not None:
        kept_here += bundles
        return
    for data, metadata in bundles:
        display(data, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]


@contextmanager
def kept() -> Iterator[list[Bundle]]:
    """What `show` displays meanwhile, kept: data and metadata of each output, where no notebook runs."""
    found: list[Bundle] = []
    token = _KEPT.set(found)
    try:
        yield found
    finally:
        _KEPT.reset(token)


def claims_of(blocks: Iterable[Block]) -> list[dict[str, Any]]:
    """The claims among blocks, as they go into `report.json`."""
    return [block.to_json() for block in blocks if isinstance(block, Claim)]


def words_of(blocks: Iterable[Block]) -> str:
    """All words of blocks, alt texts and tables included: for tests."""
    found = []
    for block in blocks:
        match block:
            case Text(markdown):
                found.append(markdown)
            case Claim():
                found.append(_claim(block))
            case Table(frame, caption):
                found += [caption, frame.to_string(index=False)]
            case Picture(_, alt, caption):
                found += [alt, caption]
            case Code(text, what):
                found += [what, text]
            case Fold(summary, inner):
                found += [summary, words_of(inner)]
            case Head(title, facts):
                found += [title, *(f"{name} {value}" for name, value in facts)]
    return "\n".join(found)


def quoted(text: str, length: int = 80) -> str:
    """Somebody else's text as Markdown that says just that: escaped, printable, on one line, not too long."""
    plain = "".join(char if char.isprintable() else "?" for char in " ".join(text.split()))
    plain = plain if len(plain) <= length else plain[: length - 1] + "…"
    return escape("".join(f"\\{char}" if char in "\\`*_[]#|~$" else char for char in plain), quote=False)


def many(number: int, what: str, more: str = "") -> str:
    """``1 session``, ``2 sessions``; `more` is the plural where it takes more than an s."""
    return f"{number:,} {what if number == 1 else more or what + 's'}"


def joined(words: Sequence[str], last: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}" if words else ""


def _bundle(block: Block) -> Bundle:
    match block:
        case Text(markdown):
            return {"text/markdown": markdown, "text/plain": markdown}, {}
        case Claim():
            text = _claim(block)
            return {"text/markdown": text, "text/plain": text}, {}
        case Table(frame, caption):
            return {"text/html": _table(block), "text/plain": f"{caption}\n{frame.to_string(index=False)}"}, {}
        case Picture(plot, alt, caption):
            kind, image = image_of(plot, alt)
            content = image.decode("utf-8") if kind == "image/svg+xml" else base64.b64encode(image).decode("ascii")
            return {kind: content, "text/plain": alt}, {kind: {"alt": alt, "caption": caption}}
        case Code(text, _):
            return {"text/html": _code(block), "text/plain": text}, {}
        case Fold(summary, _):
            return {"text/html": _fold(block), "text/plain": summary}, {}
        case Head():
            facts = {"title": block.title, "facts": [list(fact) for fact in block.facts], "code": block.code, **block.more}
            return {HEAD: facts, "text/plain": block.title}, {}


def _claim(claim: Claim) -> str:
    """A claim as Markdown: the sentence, and below it who showed it."""
    lines = [claim.sentence, ""]
    lines += [] if claim.quiet else [f"- *{each.target}:* {each.words}" for each in claim.seen]
    return "\n".join(lines)


def _table(table: Table) -> str:
    return table_html(list(map(str, table.frame.columns)), table.frame.itertuples(index=False), table.caption)


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
                parts.append(_table(block))
            case Code():
                parts.append(_code(block))
    return f"<details><summary>{inline_html(fold.summary)}</summary>{''.join(parts)}</details>"
