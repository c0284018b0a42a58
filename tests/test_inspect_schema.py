"""Test that `voicerace inspect --json` matches docs/inspect.schema.json, and that the schema detects invalid output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support.played import play
from test_har import frames, har

from tests.schemas import Inspect, Run, Shape, document, text
from voicerace.analysis.outcomes import OUTCOMES
from voicerace.captures import inspect_json, read_capture
from voicerace.captures.show import SCHEMA
from voicerace.cli import main
from voicerace.trace.recording import write_recordings

ROOT = Path(__file__).parents[1]
LOGS = ROOT / "data" / "logs"
DATA = ROOT / "tests" / "data"
DOCUMENT = document(Inspect)
VALIDATOR = jsonschema.Draft202012Validator(DOCUMENT)


@pytest.mark.parametrize("model", [Run, Inspect])
def test_the_schemas_in_docs_are_generated_from_the_models(model: type[Shape]) -> None:
    path = ROOT / "docs" / f"{model.__name__.lower()}.schema.json"
    assert path.read_text("utf-8") == text(model), "run python -m tests.schemas"


def fits(shown: Any) -> None:
    VALIDATOR.validate(json.loads(json.dumps(shown, allow_nan=False)))


def test_the_schema_is_valid_and_has_the_current_version() -> None:
    jsonschema.Draft202012Validator.check_schema(DOCUMENT)
    session = DOCUMENT["$defs"]["Session"]
    assert DOCUMENT["properties"]["schema"]["const"] == SCHEMA
    assert set(session["properties"]["outcome"]["enum"]) == set(OUTCOMES)
    # All properties are required, and additional properties are not allowed.
    assert set(session["required"]) == set(session["properties"])
    assert {
        "release", "release_given", "outcome", "refusals", "session_updates", "response_creates", "counts", "result_delay_ms",
        "gap_ms", "submissions", "unread_records",
    } <= set(session["required"])  # fmt: skip
    for name in ("refusals", "session_updates", "response_creates", "submissions"):
        assert name in DOCUMENT["$defs"]["Counts"]["required"]


@pytest.mark.parametrize(
    "path", [*sorted(LOGS.glob("*.log.gz"))[::3], *sorted(LOGS.glob("levels/*warn*.gz"))], ids=lambda p: p.name
)
def test_output_for_a_log_fits(path: Path) -> None:
    fits(inspect_json(read_capture(path)))


def test_output_for_recordings_fits(tmp_path: Path) -> None:
    fits(inspect_json(read_capture(LOGS / "0.9.4.jsonl.gz")))
    path = tmp_path / "a.jsonl"
    write_recordings(path, [play(release="0.9.1", scenario="double"), play(handler="async_ref"), play(scenario="parallel")])
    path.write_text(path.read_text()[:-200])
    shown = inspect_json(read_capture(path))
    assert any(of["submitted_twice"] for of in shown["sessions"])
    assert shown["unread"]
    fits(shown)


def test_output_for_a_har_fits(tmp_path: Path) -> None:
    for path in (DATA / "devtools-chromium.har", har(tmp_path / "a.har", frames(play(), "none"))):
        fits(inspect_json(read_capture(path)))


def test_output_of_the_command_with_all_options_fits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, browser = (str(DATA / f"devtools-chromium.{end}") for end in ("proxy.log", "har"))
    assert main(["inspect", log, "--with", browser, "--times", str(tmp_path / "times"), "--release", "0.9.1", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["aligned"]
    assert shown["sweep_times"]
    assert shown["sessions"][0]["release_given"]
    fits(shown)


@pytest.mark.parametrize("change", [
    {"refusals": "1"}, {"release": 9}, {"outcome": "fine"}, {"gap_ms": [None]}, {"unread_records": -1}, {"other": 1},
    {"counts": {}}, {"submissions": 1.5}, {"refusals": None, "turns": [{}]},
])  # fmt: skip
def test_invalid_output_is_detected(change: dict[str, Any]) -> None:
    shown = inspect_json(read_capture(DATA / "console-0.9.1-refused.log"))
    fits(shown)
    shown["sessions"][0] |= change
    assert not VALIDATOR.is_valid(shown)


def test_a_count_without_a_value_is_unknown() -> None:
    shown = inspect_json(read_capture(DATA / "console-0.9.1-refused.log"))
    shown["sessions"][0]["counts"]["calls"] = {"value": None, "kind": "observed"}
    assert not VALIDATOR.is_valid(shown)
