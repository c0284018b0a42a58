"""Run the notebook of the letter and write its page. No file is written if a step fails."""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nbformat

from voicerace.errors import InputError
from voicerace.experiments.sweep.chunks import uncollected
from voicerace.experiments.sweep.folder import fresh_folder, point_latest
from voicerace.experiments.sweep.result import SweepResult
from voicerace.files import shipped, write_text
from voicerace.report.blocks import kept
from voicerace.report.context import capture_of
from voicerace.report.customer import customer_of
from voicerace.report.exporter import PageExporter, claims_of, head_of
from voicerace.report.notebook.parameters import FieldParameters
from voicerace.report.page_check import claim_faults, faults
from voicerace.report.parameters import LetterParameters
from voicerace.report.parts import play_ahead
from voicerace.report.pdf import browser, print_pdf

__all__ = ["Report", "build", "build_field", "run_cells"]

_NOTEBOOK: Final = "notebooks/6-the-letter.ipynb"
_FIELD: Final = "notebooks/7-the-field.ipynb"
SCHEMA: Final = 1


@dataclass(frozen=True)
class Report:
    """Paths of the files of a report.

    Attributes:
        page: the HTML file.
        claims: the JSON file with all claims and their evidence.
        run: the folder with the raw data and tables of the run.
        pdf: the PDF file, or None.
    """

    page: Path
    claims: Path
    run: Path
    pdf: Path | None = None


def build(page: Path, parameters: Mapping[str, Any], pdf: Path | None = None) -> Report:
    """Run the notebook and write the page.

    Args:
        page: the HTML file; its folder is created. The claims file has the same name with the suffix ``.json``.
        parameters: fields of `LetterParameters`. Without `run`, a new run is written to `out`.
        pdf: PDF file to write in addition; None for no PDF.

    Raises:
        InputError: a parameter is not valid, a cell fails, or the page check fails. Nothing is written.
    """
    params = LetterParameters.from_namespace(parameters)
    _check_name(page)
    chromium = browser() if pdf is not None else None
    customer_of(params.to, params.customer)  # raise for an invalid customer or capture before the run
    capture_of(params)
    if params.run:
        folder = Path(params.run)
        SweepResult.open(folder)
    else:
        folder = Path(params.out) if params.out else fresh_folder(Path("runs"), params.model_dump(mode="json"))
    given = {
        **parameters,
        "run": str(folder.resolve()) if params.run else "",
        "out": "" if params.run else str(folder.resolve()),
    }
    for name in ("capture", "customer"):
        if path := getattr(params, name):
            given[name] = str(Path(path).resolve())
    if not params.run:
        play_ahead(params, progress=True)
    ran = run_cells(shipped(_NOTEBOOK), given)
    html = _page_of(ran)
    if not params.run:
        write_text(folder / "notebook.ipynb", nbformat.writes(ran))  # type: ignore[no-untyped-call]
    head = head_of(ran)
    record = {
        "schema": SCHEMA, "title": head.get("title"), "facts": dict(head.get("facts", [])), "page": page.name,
        "claims": claims_of(ran),
    }  # fmt: skip
    files = {page: html, page.with_suffix(".json"): json.dumps(record, indent=1, ensure_ascii=False) + "\n"}
    _write(files)
    if not params.run and not params.out:
        point_latest(folder)
    if pdf is not None and chromium is not None:
        print_pdf(chromium, page, pdf)
    return Report(page, page.with_suffix(".json"), folder, pdf)


def build_field(page: Path, drawn: Sequence[str] = (), pdf: Path | None = None) -> None:
    """Run the notebook of the clients in data/field and write its page.

    Args:
        page: the HTML file; its folder is created.
        drawn: clients whose sessions are drawn. Empty for every client.
        pdf: PDF file to write in addition; None for no PDF.

    Raises:
        InputError: a name is not valid, a cell fails, or the page check fails. Nothing is written.
    """
    params = FieldParameters.from_namespace({"drawn": list(drawn) or "all"})
    _check_name(page)
    chromium = browser() if pdf is not None else None
    _write({page: _page_of(run_cells(shipped(_FIELD), {"drawn": list(params.drawn)}))})
    if pdf is not None and chromium is not None:
        print_pdf(chromium, page, pdf)


def _check_name(page: Path) -> None:
    if page.suffix.lower() not in (".html", ".htm"):
        raise InputError("out", f"{page} does not end in .html", "an HTML file")


def _page_of(ran: nbformat.NotebookNode) -> str:
    """Return the page of an executed notebook. Raise InputError if the page check fails."""
    html, _ = PageExporter().from_notebook_node(ran)  # type: ignore[no-untyped-call]
    if wrong := [*faults(html), *claim_faults(claims_of(ran))]:
        raise InputError("report", f"{len(wrong)} fault(s) in the page: {wrong[0]}", "no page was written")
    return str(html)


def run_cells(notebook: Path, parameters: Mapping[str, Any]) -> nbformat.NotebookNode:
    """Run the notebook in this process, because a kernel would load all libraries again. Return it with outputs.

    Raises:
        InputError: a cell fails.
    """
    ran: nbformat.NotebookNode = nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]
    lines = [f"{name} = {_literal(value)}" for name, value in parameters.items()]
    given = nbformat.v4.new_code_cell("\n".join(["# Parameters", *lines]), id="given")  # type: ignore[no-untyped-call]
    given.metadata["tags"] = ["injected-parameters"]
    index = next(number for number, cell in enumerate(ran.cells) if "parameters" in cell.metadata.get("tags", ()))
    ran.cells.insert(index + 1, given)
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate((each for each in ran.cells if each.cell_type == "code"), start=1):
        with kept() as shown, redirect_stdout(io.StringIO()) as printed, uncollected():
            try:
                exec(compile(cell.source, f"{notebook.name}, cell {number}", "exec"), names)  # noqa: S102  # our own notebook
            except Exception as error:
                raise InputError(f"cell {number}", f"{type(error).__name__}: {error}", "no page was written") from None
        cell.execution_count = number
        cell.outputs = [nbformat.v4.new_output("display_data", data, metadata=about) for data, about in shown]  # type: ignore[no-untyped-call]
        if text := printed.getvalue():
            cell.outputs.append(nbformat.v4.new_output("stream", name="stdout", text=text))  # type: ignore[no-untyped-call]
    return ran


def _literal(value: Any) -> str:
    """Return a parameter value as Python source with double quotes."""
    return repr(value) if value is None or isinstance(value, bool) else json.dumps(value, ensure_ascii=False)


def _write(files: Mapping[Path, str]) -> None:
    """Write each text to a temporary file in the target's folder, then move all files into place."""
    written: dict[Path, Path] = {}
    try:
        for target, content in files.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=target.parent, suffix=".tmp", delete=False) as file:
                written[target] = Path(file.name)
                file.write(content)
            written[target].chmod(0o644)
        for target, temporary in written.items():
            os.replace(temporary, target)
    except OSError as error:
        raise InputError(str(next(iter(files))), error.strerror or "cannot be written") from None
    finally:
        for temporary in written.values():
            temporary.unlink(missing_ok=True)
