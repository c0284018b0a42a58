"""Provide an nbconvert exporter that converts an executed notebook to one HTML page.

The lab template of nbconvert loads scripts and drops alternative texts, so this exporter has its own template. It omits code
and embeds pictures with the alternative text in their metadata.
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
#: Mean number of characters per row above which a table does not fit on a phone.
_LONG_ROW = 80


class PageExporter(HTMLExporter):
    """Exporter for `jupyter nbconvert --to voicerace` and for the report."""

    export_from_notebook = "voicerace page"
    template_file = "page.html.j2"
    exclude_anchor_links = True

    @default("template_paths")
    def _template_paths(self, prune: bool = True, root_dirs: Any = None) -> list[str]:
        return [str(_TEMPLATES)]

    def from_notebook_node(  # type: ignore[override]  # returns text, as nbconvert's HTMLExporter does
        self, nb: NotebookNode, resources: dict[str, Any] | None = None, **kw: Any
    ) -> tuple[str, dict[str, Any]]:
        """Return (HTML page of a notebook, nbconvert's resources).

        Raises:
            InputError: a cell failed or printed text.
        """
        html, resources = super().from_notebook_node(nb, dict(resources or {}), **kw)
        return _finish(html), resources

    def _preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        """Run the preprocessors.

        Return the notebook, and the resources with the page's title and facts. Raise InputError for a failed cell.
        """
        # the other preprocessors run first, because `nbconvert --execute` creates the outputs
        nb, resources = super()._preprocess(nb, resources)  # type: ignore[no-untyped-call]
        for number, cell in enumerate(nb.cells, start=1):
            _check_cell(number, cell)
        resources["page"] = {"title": nb.metadata.get("title", "voicerace"), **nb.metadata.get("voicerace", {}), **head_of(nb)}
        return nb, resources

    def default_filters(self) -> Any:
        yield from super().default_filters()  # type: ignore[no-untyped-call]
        yield "inline", inline_html
        yield "base64", lambda text: base64.b64encode(text.encode()).decode("ascii")


def head_of(notebook: NotebookNode) -> dict[str, Any]:
    """Return the title and facts that a notebook displays, or an empty object."""
    found: dict[str, Any] = {}
    for data in _data_of(notebook):
        if HEAD in data:
            found |= data[HEAD]
    return found


def claims_of(notebook: NotebookNode) -> list[dict[str, Any]]:
    """Return the claims that a notebook displays, in order."""
    return [dict(claim) for data in _data_of(notebook) for claim in data.get(CLAIMS, ())]


def _data_of(notebook: NotebookNode) -> Iterator[Any]:
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            yield output.get("data", {})


def _check_cell(number: int, cell: NotebookNode) -> None:
    for output in cell.get("outputs", []):
        if output.output_type == "error":
            what = f"failed: {output.ename}: {output.evalue}"
            raise InputError(f"cell {number}", what, "only a notebook without failed cells is rendered")
        if output.output_type == "stream":
            first = output.text.strip().splitlines()[:1]
            raise InputError(f"cell {number}", f"printed to {output.name}: {first}", "a report has displayed outputs only")


def _finish(html: str) -> str:
    """Return the page with heading ids, a table of contents, and a scrollable region around each table."""
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
        for svg in picture.find_all("svg"):
            _own_ids(svg, f"p{number}-")
    return str(soup)


def _own_ids(svg: Tag, prefix: str) -> None:
    """Put a prefix before the ids of a picture, because several pictures have the same ids."""
    own = {str(each["id"]) for each in svg.find_all(id=True)}
    for each in svg.find_all(True):
        for name, value in each.attrs.items():
            text = str(value)
            if name == "id":
                each[name] = f"{prefix}{text}"
            elif text.startswith("#") and text[1:] in own:
                each[name] = f"#{prefix}{text[1:]}"
            elif text.startswith("url(#") or "url(#" in text:
                each[name] = text.replace("url(#", f"url(#{prefix}")


def _as_cards(table: Tag) -> None:
    """Mark a table with long rows. A phone then displays each row as a block of lines."""
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
