"""A notebook that ran through -> one HTML page. An nbconvert exporter with a template of its own.

nbconvert's lab template loads scripts and drops alt texts, so nothing of it is used but the filters. Code is left out,
pictures go inside with the alt text from their metadata, and a cell that failed stops the export.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup, Tag
from nbconvert.exporters import HTMLExporter
from nbformat import NotebookNode
from traitlets import default

from voicerace.errors import InputError
from voicerace.report.blocks import CLAIMS, HEAD
from voicerace.report.notebook.display import inline_html

__all__ = ["PageExporter", "claims_of", "head_of"]

_TEMPLATES = Path(__file__).parent / "template"
#: Characters of a row, on average, that no telephone shows side by side.
_LONG_ROW = 80


class PageExporter(HTMLExporter):
    """`jupyter nbconvert --to voicerace` and the report both make their page with this."""

    export_from_notebook = "voicerace page"
    template_file = "page.html.j2"
    exclude_anchor_links = True

    @default("template_paths")
    def _template_paths(self, prune: bool = True, root_dirs: Any = None) -> list[str]:
        return [str(_TEMPLATES)]

    def from_notebook_node(  # type: ignore[override]  # text, as nbconvert's own HTMLExporter gives it
        self, nb: NotebookNode, resources: dict[str, Any] | None = None, **kw: Any
    ) -> tuple[str, dict[str, Any]]:
        """The page of a notebook.

        Raises:
            InputError: a cell failed, or printed something that is no display.
        """
        html, resources = super().from_notebook_node(nb, dict(resources or {}), **kw)
        return _finish(html), resources

    def _preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        """What the page is made of is looked at when it is there: behind `nbconvert --execute`, and not before it."""
        nb, resources = super()._preprocess(nb, resources)  # type: ignore[no-untyped-call]
        for number, cell in enumerate(nb.cells, start=1):
            _refuse_what_no_customer_should_see(number, cell)
        resources["page"] = {"title": nb.metadata.get("title", "voicerace"), **nb.metadata.get("voicerace", {}), **head_of(nb)}
        return nb, resources

    def default_filters(self) -> Any:
        yield from super().default_filters()  # type: ignore[no-untyped-call]
        yield "inline", inline_html
        yield "base64", lambda text: base64.b64encode(text.encode()).decode("ascii")


def head_of(notebook: NotebookNode) -> dict[str, Any]:
    """Title and facts that a notebook displays of itself; empty where it does not."""
    found: dict[str, Any] = {}
    for data in _data_of(notebook):
        if HEAD in data:
            found |= data[HEAD]
    return found


def claims_of(notebook: NotebookNode) -> list[dict[str, Any]]:
    """All claims that a notebook displays, in order."""
    return [dict(claim) for data in _data_of(notebook) for claim in data.get(CLAIMS, ())]


def _data_of(notebook: NotebookNode) -> Iterator[Any]:
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            yield output.get("data", {})


def _refuse_what_no_customer_should_see(number: int, cell: NotebookNode) -> None:
    for output in cell.get("outputs", []):
        if output.output_type == "error":
            what = f"failed: {output.ename}: {output.evalue}"
            raise InputError(f"cell {number}", what, "only a notebook that ran through is rendered")
        if output.output_type == "stream":
            first = output.text.strip().splitlines()[:1]
            raise InputError(f"cell {number}", f"printed to {output.name}: {first}", "a report holds displays only")


def _finish(html: str) -> str:
    """Ids for the headings, the table of contents, and a region to scroll for each wide table."""
    soup = BeautifulSoup(html, "html.parser")
    taken: set[str] = {str(each["id"]) for each in soup.find_all(id=True)}
    contents = soup.find(id="contents-list")
    for heading in soup.find_all(re.compile(r"^h[2-3]$")):
        if heading.find_parent("nav") is not None:
            continue
        heading["id"] = name = _fresh(heading.get_text(), taken)
        if isinstance(contents, Tag) and heading.name == "h2":
            entry = soup.new_tag("li")
            link = soup.new_tag("a", href=f"#{name}")
            link.string = heading.get_text()
            entry.append(link)
            contents.append(entry)
    for number, table in enumerate(soup.find_all("table"), start=1):
        caption = table.find("caption")
        _as_cards(table)
        label = f"table {number}: {caption.get_text(' ', strip=True) if caption is not None else ''}"
        table.wrap(soup.new_tag("div", attrs={"class": "scroll", "role": "region", "tabindex": "0", "aria-label": label[:120]}))
    for number, picture in enumerate(soup.find_all(class_="picture"), start=1):
        picture["aria-label"] = f"picture {number}"
    return str(soup)


def _as_cards(table: Tag) -> None:
    """Mark a table whose rows are too long for a phone: there a row is a block of lines, each with its column's name."""
    columns = [each.get_text(" ", strip=True) for each in table.select("thead th")]
    rows = table.select("tbody tr")
    if len(columns) < 3 or sum(len(row.get_text()) for row in rows) < _LONG_ROW * len(rows):
        return
    table["class"] = "cards"
    for row in rows:
        for column, cell in zip(columns, row.find_all(["th", "td"]), strict=True):
            if cell.name == "td":
                cell["data-column"] = column


def _fresh(text: str, taken: set[str]) -> str:
    base = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "section"
    name, number = base, 2
    while name in taken:
        name, number = f"{base}-{number}", number + 1
    taken.add(name)
    return name
