"""Check a page before it is written.

A valid page has no script, loads nothing, embeds every picture with an alternative text, and has a title, ordered headings
and scoped table headers. It contains no notebook markup and no API key. Contrast and overflow are checked by the browser
test.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from bs4 import BeautifulSoup, Tag

__all__ = ["claim_faults", "counts_in", "faults"]

_FORBIDDEN_TAGS = (
    "script", "iframe", "object", "embed", "link", "base", "form", "input", "button", "video", "audio", "template",
)  # fmt: skip
#: Attributes that make a browser load a resource.
_FETCHES = ("src", "srcset", "href", "data", "poster", "background", "action", "formaction", "xlink:href", "ping")
_MARKS_OF_A_NOTEBOOK = (
    "Traceback (most recent call last)", "papermill-error-cell", "An Exception was encountered", "Warning:", "it/s]",
    "<Figure size", "<Axes", "output_subarea", "jp-OutputArea",
)  # fmt: skip
#: Pattern of API keys and tokens, which the text of an error could contain.
_SECRET = re.compile(r"\b(sk-[A-Za-z0-9_-]{16,}|Bearer\s+[A-Za-z0-9._-]{16,}|eyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{10,})")


def faults(html: str) -> list[str]:
    """Return the faults of a page, one sentence per fault. The list is empty for a valid page."""
    soup = BeautifulSoup(html, "html.parser")
    return [
        *_document(soup),
        *_tags(soup),
        *_fetches(soup),
        *_pictures(soup),
        *_headings(soup),
        *_tables(soup),
        *_texts(html, soup),
    ]


#: Pattern of a count in a sentence, such as ``3 of 24`` or ``none of 24``.
_COUNT: Final = re.compile(r"\b(\d[\d,]*|[Nn]one) of (\d[\d,]*)\b")


def counts_in(sentence: str) -> list[tuple[int, int]]:
    """Return (X, Y) for every ``X of Y`` in a sentence, in order."""

    def number(word: str) -> int:
        return 0 if word.lower() == "none" else int(word.replace(",", ""))

    return [(number(count), number(of)) for count, of in _COUNT.findall(sentence)]


def claim_faults(claims: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return one sentence per count in a claim that its evidence lacks. Claims have the format of `report.json`."""
    found = []
    for claim in claims:
        seen = {(each["count"], each["of"]) for each in claim["seen"]}
        found += [
            f"the claim {claim['name']!r} says {count} of {of}, which is not among what was seen"
            for count, of in counts_in(claim["claim"])
            if (count, of) not in seen
        ]
    return found


def _document(soup: BeautifulSoup) -> Iterator[str]:
    if not (soup.html and soup.html.get("lang")):
        yield "the page names no language"
    if not (soup.title and soup.title.get_text(strip=True)):
        yield "the page has no title"
    skip = soup.find("a", class_="skip")
    target = str(skip.get("href", "")).removeprefix("#") if isinstance(skip, Tag) else ""
    if not target or soup.find(id=target) is None:
        yield "the skip link is missing or leads nowhere"
    for anchor in soup.find_all("a"):
        href = str(anchor.get("href") or anchor.get("xlink:href") or "")
        if href.startswith("#") and soup.find(id=href[1:]) is None:
            yield f"the link {href} leads nowhere"
    ids = [str(each["id"]) for each in soup.find_all(id=True)]
    for name in sorted({name for name in ids if ids.count(name) > 1}):
        yield f"the id {name!r} stands twice"


def _tags(soup: BeautifulSoup) -> Iterator[str]:
    for name in _FORBIDDEN_TAGS:
        for _ in soup.find_all(name):
            yield f"a <{name}> in the page"
    for tag in soup.find_all(True):
        for attribute in tag.attrs:
            if attribute.lower().startswith("on"):
                yield f"<{tag.name}> has the handler {attribute}"


def _fetches(soup: BeautifulSoup) -> Iterator[str]:
    for tag in soup.find_all(True):
        for attribute in _FETCHES:
            value = tag.get(attribute)
            if (
                value is None
                or (tag.name in ("a", "use") and str(value).startswith("#"))
                or (tag.name == "a" and attribute == "href" and re.match(r"(https?://|#|mailto:)", str(value)))
            ):
                continue
            if not re.match(r"data:image/(png|svg\+xml);base64,", str(value)):
                yield f"<{tag.name} {attribute}> asks for {str(value)[:60]!r}"
    sheets = [each.get_text() for each in soup.find_all("style")]
    for style in [*sheets, *(str(each["style"]) for each in soup.find_all(style=True))]:
        for found in re.findall(r"url\((?!#)[^)]{0,60}|@import[^;]{0,60}", style):
            yield f"a style asks for {found!r}"


def _pictures(soup: BeautifulSoup) -> Iterator[str]:
    for image in soup.find_all("img"):
        alt = str(image.get("alt", "")).strip()
        # nbconvert inserts this sentence if an alternative text is missing
        if len(alt) < 20 or alt.startswith("No description has been provided"):
            yield f"a picture has no alt text that says anything: {alt!r}"
    for svg in soup.find_all("svg"):
        if svg.get("role") != "img" or len(str(svg.get("aria-label", "")).strip()) < 20:
            yield f"a drawing has no label that says anything: {str(svg.get('aria-label', ''))!r}"


def _headings(soup: BeautifulSoup) -> Iterator[str]:
    levels = [int(tag.name[1]) for tag in soup.find_all(re.compile(r"^h[1-6]$"))]
    if levels.count(1) != 1:
        yield f"{levels.count(1)} headings of the first level, not one"
    for before, after in zip([0, *levels], levels, strict=False):
        if after > before + 1:
            yield f"a heading of level {after} follows one of level {before}"


def _tables(soup: BeautifulSoup) -> Iterator[str]:
    for table in soup.find_all("table"):
        if table.find("caption") is None:
            yield "a table has no caption"
        if table.find("th") is None:
            yield "a table has no header"
        for header in table.find_all("th"):
            if header.get("scope") not in ("col", "row", "colgroup", "rowgroup"):
                yield f"the table header {header.get_text(strip=True)[:40]!r} has no scope"


def _texts(html: str, soup: BeautifulSoup) -> Iterator[str]:
    text = soup.get_text(" ")
    for mark in _MARKS_OF_A_NOTEBOOK:
        if mark in text or (mark.islower() and mark in html):
            yield f"a trace of the notebook: {mark!r}"
    if _SECRET.search(html):
        yield "something in the page looks like a key"
