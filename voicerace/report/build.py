"""Run the report's notebook and write its page, or fail with the reason and leave nothing half-written."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError

from voicerace.errors import InputError
from voicerace.notebook_parameters import DelaySweepParameters
from voicerace.report.check import faults
from voicerace.report.exporter import PageExporter
from voicerace.shipped import shipped
from voicerace.sweep_folder import point_latest

__all__ = ["Report", "build"]

_NOTEBOOK = "notebooks/2-delay-sweep.ipynb"


@dataclass(frozen=True)
class Report:
    """What was built.

    Attributes:
        page: the HTML file.
        run: the folder with the run's raw data, tables and the notebook as it ran.
    """

    page: Path
    run: Path


def build(
    page: Path,
    run: Path,
    parameters: Mapping[str, Any],
    *,
    to: str = "voice-commerce",
    sender: str = "the dg_react_agent team",
    code: bool = False,
) -> Report:
    """Run the notebook into the folder `run` and write the page.

    Args:
        page: the HTML file; its folder is made.
        run: a folder that does not exist yet, for the run's data.
        parameters: of the notebook.
        to, sender: whom the page is for and from.
        code: add the cells' code, folded, as an appendix.

    Raises:
        InputError: a parameter was refused, a cell failed, or the page has a fault; no page is written then.
    """
    DelaySweepParameters.from_namespace(parameters)
    ran = _run(shipped(_NOTEBOOK), {**parameters, "out": str(run.resolve())})
    facts = json.loads((run / "run.json").read_text("utf-8"))
    ran.metadata["title"] = "When does the function-call race occur?"
    ran.metadata["voicerace"] = {"facts": _facts(facts, to, sender), "code": code}
    html, _ = PageExporter().from_notebook_node(ran)  # type: ignore[no-untyped-call]
    if wrong := faults(html):
        raise InputError("report", f"{len(wrong)} fault(s) in the page: {wrong[0]}", "no page was written")
    (run / "notebook.ipynb").write_text(nbformat.writes(ran), "utf-8")  # type: ignore[no-untyped-call]
    _write(page, html)
    point_latest(run)
    return Report(page, run)


def _run(notebook: Path, parameters: Mapping[str, Any]) -> nbformat.NotebookNode:
    """The notebook with its outputs; its copy on disk is thrown away."""
    with tempfile.TemporaryDirectory(prefix="voicerace-") as folder, warnings.catch_warnings():
        # papermill and jupyter_client warn of their own futures; nothing of it concerns the reader.
        warnings.simplefilter("ignore")
        try:
            ran: nbformat.NotebookNode = papermill.execute_notebook(
                str(notebook),
                str(Path(folder) / "ran.ipynb"),
                parameters=dict(parameters),
                kernel_name="python3",
                progress_bar=False,
                log_output=False,
                # The kernel's own warnings are about its transport, not about the notebook.
                extra_arguments=["--IPKernelApp.log_level=40"],
                cwd=str(notebook.parent),
            )
            return ran
        except PapermillExecutionError as error:
            raise InputError(f"cell {error.exec_count}", f"{error.ename}: {error.evalue}", "no page was written") from None


def _facts(run: Mapping[str, Any], to: str, sender: str) -> list[list[str]]:
    """The lines under the title, all of the run itself; pairs, because a notebook sorts the keys of its metadata."""
    facts = {
        "To": to,
        "From": sender,
        "Date": str(run.get("start", ""))[:10],
        "Made by": f"voicerace {version('voicerace')}" + (f", commit {str(run['commit'])[:12]}" if run.get("commit") else ""),
    }
    releases = run.get("parameters", {}).get("releases")
    if releases:
        facts["Proxy releases"] = ", ".join(map(str, releases))
    return [[name, value] for name, value in facts.items()]


def _write(page: Path, html: str) -> None:
    """Write beside the target, then put it in place: never half a page."""
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=page.parent, suffix=".tmp", delete=False) as file:
            file.write(html)
        Path(file.name).chmod(0o644)
        os.replace(file.name, page)
    except OSError as error:
        raise InputError(str(page), error.strerror or "cannot be written") from None
