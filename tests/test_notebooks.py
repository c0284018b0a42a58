"""The notebooks run under papermill, refuse unknown parameters and are committed without outputs."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest
from papermill.exceptions import PapermillExecutionError

from voicerace.errors import InputError
from voicerace.report.notebook import field_tables
from voicerace.report.notebook.parameters import (
    DelaySweepParameters,
    EveryPathParameters,
    NotebookParameters,
    OneSessionParameters,
    SuspicionsParameters,
)

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
SMALL = {"releases": '["0.9.1"]', "step_ms": 100, "map_step_ms": 200}


def run(name: str, parameters: dict[str, Any], tmp_path: Path) -> nbformat.NotebookNode:
    notebook = next(path for path in NOTEBOOKS if path.name.startswith(name))
    if name == "2":
        parameters = {"out": str(tmp_path / "run"), **parameters}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # from papermill's dependencies
        return papermill.execute_notebook(
            str(notebook), str(tmp_path / "out.ipynb"), parameters=parameters, kernel_name="python3", progress_bar=False
        )


def images(notebook: nbformat.NotebookNode) -> list[Any]:
    return [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if any(kind.startswith("image/") for kind in output.get("data", {}))
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_committed_without_outputs_with_ids_and_one_parameters_cell(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert all(cell.get("id") for cell in notebook.cells)
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in notebook.cells) == 1


def test_the_delay_sweep_runs_under_papermill_and_every_picture_has_alt_text(tmp_path: Path) -> None:
    shown = images(run("2", SMALL, tmp_path))
    assert len(shown) == 3  # outcome over delay, one session of the only outcome with recorded times, the map
    for output in shown:
        (kind,) = (kind for kind in output.data if kind.startswith("image/"))
        assert len(output.metadata[kind]["alt"]) > 40
    assert (tmp_path / "run" / "summary.csv").is_file()


def shown_in(notebook: nbformat.NotebookNode, cell_id: str) -> str:
    (cell,) = [cell for cell in notebook.cells if cell.id == cell_id]
    return "".join(output.get("data", {}).get("text/html", "") for output in cell.outputs)


def test_one_session_shows_its_swimlane_and_verdict(tmp_path: Path) -> None:
    notebook = run("1", {"release": "0.11.1", "tool_ms": "170", "gap_ms": "150", "profile": "loopback"}, tmp_path)
    assert len(images(notebook)) == 1
    assert "answered" in shown_in(notebook, "verdict")
    assert "lost" in shown_in(notebook, "earlier")
    assert "result 40 ms earlier" in shown_in(notebook, "sliders")
    assert '<th scope="col">sent, ms</th>' in shown_in(notebook, "messages")


def test_40_ms_decide_with_the_times_of_the_first_notebook(tmp_path: Path) -> None:
    notebook = run("1", {}, tmp_path)
    assert "answered" in shown_in(notebook, "verdict")
    assert "rejected" in shown_in(notebook, "earlier")


def test_each_suspicion_is_answered_with_its_evidence(tmp_path: Path) -> None:
    notebook = run("3", {"releases": '["0.9.1"]'}, tmp_path)
    assert "no, 0 of" in shown_in(notebook, "answers")
    shown = shown_in(notebook, "each")
    for words in ("the component's own error", "input_audio_buffer.commit", "session.update"):
        assert words in shown
    assert "SettingsApplied" not in shown
    assert shown_in(notebook, "flag").count("<caption>") == 2
    assert len(images(notebook)) == 1


def test_every_path_shows_a_release_the_reference_gate_and_a_workaround(tmp_path: Path) -> None:
    small = {"stories": '["single"]', "release": "0.9.4", "pictures": 1, "max_states": 500}
    notebook = run("4", small, tmp_path)
    assert "stalled-result-r-1-result" in shown_in(notebook, "paths")
    assert "0 findings of the reference gate" in shown_in(notebook, "gate")
    assert "not possible" in shown_in(notebook, "workarounds")
    swimlane, space = images(notebook)
    assert "Swimlane" in json.dumps(swimlane)
    assert "sessions have this finding" in json.dumps(space)


@pytest.mark.parametrize(
    ("given", "name"),
    [({"step_m": 50}, "step_m"), ({"step_ms": "wide"}, "step_ms"), ({"releases": '["0.9.99"]'}, "0.9.99")],
)
def test_the_first_working_cell_refuses_a_bad_parameter_by_name(given: dict[str, Any], name: str, tmp_path: Path) -> None:
    with pytest.raises(PapermillExecutionError) as caught:
        run("2", {**SMALL, **given}, tmp_path)
    assert caught.value.ename == "InputError"
    assert name in caught.value.evalue
    # The first working cell follows the (injected) parameters.
    ran = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    failed = [cell for cell in ran.cells if any(output.output_type == "error" for output in cell.get("outputs", []))]
    assert [cell.id for cell in failed] == ["check"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"step_m": 1}, ["step_m", "is no parameter", "step_ms"]),
        ({"step_ms": "x"}, ["step_ms", "'x'"]),
        ({"step_ms": 0}, ["step_ms"]),
        ({"stop_ms": float("inf")}, ["stop_ms"]),
        ({"releases": 5}, ["releases", "list of names"]),
        ({"releases": "[]"}, ["releases"]),
        ({"releases": ["0.2.8"]}, ["0.2.8", "50420ee"]),
        ({"gap_ms": "soon"}, ["gap_ms", "'soon'"]),
        ({"gap_ms": -1}, ["gap_ms", "negative"]),
        ({"handler": "x"}, ["handler", "async_ref"]),
        ({"scenario": "x"}, ["scenario", "double"]),
        ({"modality": "x"}, ["modality", "audio"]),
    ],
)
def test_parameters_are_refused_by_name(given: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        DelaySweepParameters.from_namespace(given)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [
        (SuspicionsParameters, {"release": ["0.9.1"]}, ["release", "is no parameter", "releases"]),
        (SuspicionsParameters, {"releases": '["0.9.99"]'}, ["0.9.99"]),
        (SuspicionsParameters, {"releases": []}, ["releases"]),
        (EveryPathParameters, {"stories": ["x"]}, ["stories", "'x'", "single"]),
        (EveryPathParameters, {"handlers": "x"}, ["handlers", "async_ref"]),
        (EveryPathParameters, {"workaround_stories": 3}, ["workaround_stories"]),
        (EveryPathParameters, {"bounds": ["tool_ms=9:1"]}, ["tool_ms"]),
        (EveryPathParameters, {"bounds": ["tol_ms=0:1"]}, ["tol_ms"]),
        (EveryPathParameters, {"max_states": 0}, ["max_states"]),
        (EveryPathParameters, {"release": "0.2.8"}, ["0.2.8", "50420ee"]),
        (OneSessionParameters, {"tool_ms": 30, "earlier_ms": 40}, ["earlier_ms", "30"]),
    ],
)
def test_other_notebooks_refuse_by_name(kind: type[NotebookParameters], given: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        kind.from_namespace(given)
    for word in words:
        assert word in str(caught.value)


def test_the_earlier_shift_is_limited_by_the_shortest_tool_time() -> None:
    given = {"50": 40.0, "30": 30.0, "80,10": 10.0, "uniform(20,80)": 20.0, "lognormal(4,0.5)": 0.0}
    assert {tool: OneSessionParameters(tool_ms=tool).earlier for tool in given} == given
    assert OneSessionParameters(tool_ms=50, earlier_ms=5).earlier == 5


def test_names_from_ipython_and_imports_are_not_parameters() -> None:
    namespace = {"In": [], "Out": {}, "_dh": [], "Path": Path, "warnings": warnings, "exit": print, "tool_ms": "70"}
    assert OneSessionParameters.from_namespace(namespace).tool_ms == "70"


def test_lists_are_accepted_as_lists_as_json_and_comma_separated() -> None:
    for words in (["0.9.1", "v0.11.1"], '["0.9.1", "0.11.1"]', "0.9.1, 0.11.1"):
        assert DelaySweepParameters.from_namespace({"releases": words}).releases == ("0.9.1", "0.11.1")


def test_captured_sessions_show_their_verdicts_on_the_map_of_their_release(tmp_path: Path) -> None:
    log = Path(__file__).parents[1] / "data" / "logs" / "0.9.1.log.gz"
    notebook = run("5", {"capture": str(log), "most": 5}, tmp_path)
    assert len(images(notebook)) == 1
    shown = "".join(output.data.get("text/html", "") for cell in notebook.cells for output in cell.get("outputs", []))
    for words in ("0.9.0, 0.9.1, 0.9.2, 0.9.3", "submitted twice", "rejected", "0.11.0"):
        assert words in shown


def test_the_field_shows_every_client_and_one_session(tmp_path: Path) -> None:
    ran = run("7", {"client": "openai-well", "case": "slot lag"}, tmp_path)
    text = str([cell.get("outputs") for cell in ran.cells])
    assert all(name in text for name in field_tables.CLIENTS)
    assert len(images(ran)) == 1


def test_a_case_without_a_recording_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="one call: tool=10"):
        field_tables.recording("openai-well", "no such case")
