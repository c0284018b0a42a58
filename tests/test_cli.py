"""Test the command line: JSON output, exit statuses, and one-line errors for bad input."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import voicerace
from voicerace.cli import main
from voicerace.engine.sim.virtual import ties
from voicerace.experiments.sweep.sweep import SweepResult
from voicerace.trace.recording import Recording

SCHEMA = json.loads((Path(__file__).parents[1] / "docs" / "run.schema.json").read_text("utf-8"))


def run_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["run", "--json", *arguments]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    jsonschema.validate(result, SCHEMA)
    return result


@pytest.mark.parametrize(
    ("release", "outcomes"),
    [("0.9.1", ("rejected", "answered")), ("0.9.4", ("answered", "stalled")), ("0.11.1", ("lost", "answered"))],
)
def test_the_documented_example_has_its_outcomes(
    capsys: pytest.CaptureFixture[str], release: str, outcomes: tuple[str, str]
) -> None:
    found = [run_json(capsys, "--release", release, "--gap-ms", "150", "--tool-ms", tool)["outcome"] for tool in ("50", "300")]
    assert tuple(found) == outcomes


def test_a_refused_session_has_its_counts_and_times(capsys: pytest.CaptureFixture[str]) -> None:
    found = run_json(capsys, "--tool-ms", "50")
    assert {name: found[name] for name in ("refusals", "host_errors", "response_creates", "replies", "session_updates")} == {
        "refusals": 1, "host_errors": 1, "response_creates": 1, "replies": 0, "session_updates": 1,
    }  # fmt: skip
    assert (found["margin_ms"], found["lead_ms"], found["dead_air_ms"]) == (-100, -100, None)
    assert found["wedged"] is False
    assert found["component"] == "0.9.1"
    assert set(found["counts"].values()) == {"observed"}


def test_a_stalled_session_is_wedged(capsys: pytest.CaptureFixture[str]) -> None:
    found = run_json(capsys, "--release", "0.9.4", "--tool-ms", "300")
    assert (found["outcome"], found["wedged"], found["margin_ms"]) == ("stalled", True, None)


def test_run_prints_the_verdict_before_the_timeline(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--tool-ms", "50"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("outcome        rejected\n")
    assert printed.index("margin_ms") < printed.index("sent ms") < printed.index("assumed times")
    assert "\x1b" not in printed, "no colours in a pipe"


def test_the_timeline_explains_the_last_input_of_a_simulated_session(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--scenario", "inject", "--gap-ms", "8"]) == 0
    inputs = [line for line in capsys.readouterr().out.splitlines() if "InjectUserMessage" in line]
    assert len(inputs) == 4
    assert [line.endswith("(the last input tests whether the session still replies)") for line in inputs] == [
        False, False, False, True,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("tool", "variables", "colours"),
    [("50", {}, {31}), ("300", {}, {32}), ("50", {"NO_COLOR": "1"}, set()), ("50", {"TERM": "dumb"}, set())],
)
def test_colours_of_the_outcome_on_a_terminal(
    tool: str, variables: dict[str, str], colours: set[int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main(["run", "--tool-ms", tool]) == 0
    printed = capsys.readouterr().out
    assert {int(code) for code in re.findall(r"\x1b\[(3\d)m", printed)} == colours
    assert len(re.findall(r"\x1b\[31m", printed)) == (2 if colours == {31} else 0), "the outcome and the refusal"


def test_an_earlier_result_is_compared_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--tool-ms", "160", "--earlier", "40"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("  ")[-1].strip() == "result 40 ms earlier"
    assert lines[1].split() == ["outcome", "answered", "rejected"]
    assert next(line for line in lines if line.startswith("margin_ms")).split() == ["margin_ms", "10", "-30"]
    found = run_json(capsys, "--tool-ms", "160", "--earlier", "40")
    alone = run_json(capsys, "--tool-ms", "120")
    assert found["outcome"] == "answered"
    assert found["earlier"] == {"by_ms": 40} | {name: alone[name] for name in found["earlier"] if name != "by_ms"}
    assert found["earlier"]["outcome"] == "rejected"
    later = run_json(capsys, "--tool-ms", "120", "--earlier", "-40")
    assert (later["outcome"], later["earlier"]["outcome"]) == ("rejected", "answered")


def test_a_tie_shows_both_outcomes(capsys: pytest.CaptureFixture[str]) -> None:
    found = run_json(capsys, "--tool-ms", "150")
    assert (found["outcome"], found["tie_outcome"]) == ("answered", "rejected")
    assert run_json(capsys, "--tool-ms", "151")["tie_outcome"] is None


def test_every_scenario_handler_profile_and_modality_fits_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    for extra in (
        ["--scenario", "parallel", "--calls", "3", "--tool-ms", "50,80,20"],
        ["--scenario", "double", "--repeat-ms", "20"],
        ["--handler", "void_ref", "--modality", "audio"],
        ["--profile", "observed-2025", "--seed", "3"],
        ["--tool-end", "none"],
        ["--knob", "reply_status=failed", "--preamble"],
    ):
        run_json(capsys, "--release", "0.11.1", *extra)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sweep", "--out", "."], ["out", "folder of its own"]),
        (["report", "--step-ms", "0"], ["step_ms", "greater than 0"]),
        (["run", "--tool-ms", "nan"], ["tool_ms", "nan"]),
        (["run", "--tool-ms", "-5"], ["tool_ms", "-5", "0 ms or more"]),
        (["run", "--release", "0.9.99"], ["release", "'0.9.99'", "0.9.1", "0.11.1"]),
        (["run", "--release", "0.2.8"], ["0.2.8", "50420ee", "0.10.3", "0.10.4"]),
        (["run", "--gap-ms", "abc"], ["gap_ms", "'abc'", "uniform(a,b)"]),
        (["run", "--handler", "nope"], ["handler", "'nope'", "async_ref"]),
        (["run", "--scenario", "nope"], ["scenario", "parallel"]),
        (["run", "--profile", "nope"], ["profile", "loopback"]),
        (["run", "--component", "1.0"], ["component", "0.9.1"]),
        (["run", "--tool-ms", "0:400:10"], ["tool_ms", "grid", "sweep"]),
        (["run", "--calls", "3"], ["calls", "parallel"]),
        (["run", "--scenario", "parallel", "--calls", "9"], ["calls", "1 to 8"]),
        (["run", "--knob", "x"], ["knob", "NAME=VALUE"]),
        (["run", "--knob", "x=y"], ["knob", "function_output"]),
        (["run", "--item-done-ms", "200"], ["item_done_ms", "gap_ms"]),
        (["run", "--fail-on", "x"], ["fail_on", "rejected"]),
        (["run", "--nope"], ["--nope"]),
        (["run", "--tool-ms", "30", "--earlier", "40"], ["tool_ms", "negative"]),
        (["run", "--live", "--earlier", "40"], ["earlier", "--live"]),
        (["run", "--seed", "x"], ["--seed"]),
        (["run", "--out", "/proc/nope/x.jsonl"], ["/proc/nope/x.jsonl"]),
        (["nope"], ["nope"]),
        (["conformance", "--proxy", "nope"], ["proxy", "backend:DIR"]),
        (["conformance", "--proxy", "backend:/proc"], ["/proc", "server.ts"]),
        (["inspect", "/proc/nope"], ["/proc/nope"]),
        (["sweep", "--releases", "0.9.99"], ["releases", "0.9.99"]),
        (["sweep", "--tool-ms", "0:10:0"], ["tool_ms", "0:10:0"]),
        (["check", "--proxy", "0.9.1"], ["did you mean model:0.9.1?"]),
        (["report", "--capture", "/proc/nope"], ["/proc/nope"]),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str], arguments: list[str], words: list[str]) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("voicerace: error: ")
    assert printed.err.count("\n") == 1
    for word in words:
        assert word in printed.err


def test_the_recording_is_written_and_can_be_read(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["run", "--out", str(tmp_path / "r.jsonl")]) == 0
    assert "outcome        rejected" in capsys.readouterr().out
    recording = Recording.read(tmp_path / "r.jsonl")
    assert recording.complete
    assert recording.provenance["release"] == "0.9.1"


@pytest.mark.parametrize(("outcome", "status"), [("rejected", 1), ("lost", 0)])
def test_fail_on_turns_an_outcome_into_status_1(outcome: str, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--json", "--fail-on", outcome]) == status


def test_releases_marks_changes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["releases"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert "T R*" in lines["0.9.4"]
    assert "*" not in lines["0.9.3"]
    assert main(["releases", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["releases"]) == 20


def test_sweep_writes_a_folder_and_prints_outcomes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["sweep", "--releases", "0.9.1,0.9.4", "--tool-ms", "0:300:100", "--out", str(tmp_path / "run"), "--json"]
    assert main(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["trials"] == 8
    assert [(each["release"], each["tool_ms"], each["outcome"]) for each in found["outcomes"]] == [
        *[("0.9.1", 0, "rejected"), ("0.9.1", 100, "rejected"), ("0.9.1", 200, "answered"), ("0.9.1", 300, "answered")],
        *[("0.9.4", 0, "answered"), ("0.9.4", 100, "answered"), ("0.9.4", 200, "stalled"), ("0.9.4", 300, "stalled")],
    ]
    assert all(each["share"] == 1 for each in found["outcomes"])
    assert found["assumed"]["gap_ms"] == "150"
    assert "tool_ms" not in found["assumed"]
    assert main(arguments) == 2
    assert "holds a run already" in capsys.readouterr().err


def test_sweep_prints_ranges_of_equal_cells_and_the_assumed_times(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["sweep", "--gap-ms", "8,300", "--tool-ms", "50:350:150", "--out", str(tmp_path / "run")]
    assert main(arguments) == 0
    head, *lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert head == ["release", "gap", "ms", "tool", "ms", "outcome", "share", "trials"]
    assert lines[:3] == [
        ["0.9.1", "8", "50–350", "answered", "100", "%", "3", "of", "3"],
        ["0.9.1", "300", "50–200", "rejected", "100", "%", "2", "of", "2"],
        ["0.9.1", "300", "350", "answered", "100", "%", "1", "of", "1"],
    ]
    assert lines[3][:2] == ["assumed", "times"]
    assert "create_ms=5," in lines[3] + lines[4]


GRIDS = ["--tool-ms", "0:300:100", "--gap-ms", "0:300:150"]


def test_map_draws_two_times_as_svg_and_png_and_as_text(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["map", "--release", "0.9.1", *GRIDS, "--out", str(tmp_path / "m.svg")]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert (
        "proxy 0.9.1 over gap_ms from 0 to 300 ms and tool_ms from 0 to 300 ms, 12 sessions: 7 answered, 5 rejected." in printed
    )
    assert "At gap_ms 300 ms, tool_ms from 0 ms rejected, 300 ms answered." in printed
    assert "assumed times (profile loopback" in printed
    assert " gap_ms=" not in printed
    svg = (tmp_path / "m.svg").read_text("utf-8")
    assert "12 sessions: 7 answered, 5 rejected" in svg, "the label of the picture"
    assert main(["map", *GRIDS, "--out", str(tmp_path / "m.png")]) == 0
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")
    assert main(["map", *GRIDS, "--out", str(tmp_path / "m.png")]) == 2, "the file exists"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tool-ms", "0:300:100"], ["1 grids", "--gap-ms"]),
        ([*GRIDS, "--create-ms", "0:9:3"], ["3 grids"]),
        ([*GRIDS, "--releases", "0.9.1,0.9.4"], ["2 releases", "one"]),
        ([*GRIDS, "--out", "map.pdf"], ["map.pdf", ".svg or .png"]),
        ([*GRIDS, "--reply-ms", "uniform(1,9)"], ["reply_ms is drawn"]),
    ],
)
def test_map_refuses_what_is_not_one_map(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["map", *arguments]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert all(word in error for word in words), error
    assert not [*tmp_path.iterdir()]


def test_a_sweep_over_two_times_draws_a_map_per_release(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["sweep", "--releases", "0.9.1,0.9.4", *GRIDS, "--out", str(tmp_path / "run")]) == 0
    assert sorted(each.name for each in (tmp_path / "run" / "pictures").iterdir()) == ["map-0.9.1.svg", "map-0.9.4.svg"]
    assert "7 answered, 5 rejected" in (tmp_path / "run" / "pictures" / "map-0.9.1.svg").read_text("utf-8")
    several = ["--handlers", "return,void_ref", *GRIDS, "--out", str(tmp_path / "more")]
    assert main(["sweep", *several]) == 0
    assert not (tmp_path / "more" / "pictures").exists(), "two sessions at the same two times"


@pytest.mark.parametrize(("more", "message"), [([], "ties: not looked for, as tool_ms is"), (["--ties"], "ties: looked for")])
def test_sweep_says_whether_it_looks_for_ties_with_drawn_times(
    more: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["sweep", "--tool-ms", "uniform(0,300)", "--trials", "3", "--out", str(tmp_path / "run"), *more]) == 0
    out = capsys.readouterr().out
    assert message in out
    assert "95 % interval" in out


def test_a_scenario_keeps_its_tool_end(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["run", "--scenario", "failing-tool", "--out", str(tmp_path / "r.jsonl")]) == 0
    assert "assumed times (profile loopback" in capsys.readouterr().out
    assert Recording.read(tmp_path / "r.jsonl").provenance["tool_end"] == "error"


def test_an_interrupted_sweep_reports_the_kept_trials(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    judged = []

    def interrupt(*arguments: Any) -> Any:
        judged.append(arguments)
        if len(judged) > 23:
            raise KeyboardInterrupt
        return ties(*arguments)

    monkeypatch.setattr("voicerace.experiments.sweep.chunks.ties", interrupt)
    assert main(["sweep", "--tool-ms", "0:300:10", "--out", str(tmp_path / "run")]) == 130
    assert f"20 of 31 trials are kept in {tmp_path / 'run'}" in capsys.readouterr().err
    run = SweepResult.open(tmp_path / "run")
    assert len(run.trials) == 20, "the finished chunk"
    assert not run.complete


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("voicerace ")


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m voicerace releases | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("tag")
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--release", "0.9.1", "--release", "0.9.4"], "--release: given 2 times"),
        (["check", "--proxy", "model:0.9.1", "--junit", "a", "--junit", "b", "--junit", "c"], "--junit: given 3 times"),
        (["serve", "proxy", "--upstream", "ws://a", "--upstream", "ws://b"], "--upstream: given 2 times"),
    ],
)
def test_repeated_single_value_options_are_refused(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"voicerace: error: {said}; allowed is once\n"


def test_repeatable_options_may_be_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    knobs = ["--knob", "function_output=at_once", "--knob", "binary_frames=read"]
    assert run_json(capsys, *knobs)["outcome"]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["check", "--proxy", "model:0.9.1", "--at-once", "2"], "at_once"),
        (["check", "--proxy", "model:0.9.1", "--silence-s", "2"], "silence_s"),
        (["replay", str(Path(__file__).parents[1] / "data" / "explore" / "0.9.1.json"), "--tries", "2"], "tries"),
        (["workarounds", "--tries", "2"], "tries"),
        (["sweep", "--tool-ms", "10", "--max-sessions", "3"], "max_sessions"),
        (["sweep", "--tool-ms", "10", "--at-once", "3"], "at_once"),
        (["sweep", "--tool-ms", "10", "--no-canary"], "no_canary"),
    ],
)
def test_live_options_are_refused_in_virtual_time(arguments: list[str], name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"voicerace: error: {name}: given for a session in virtual time; with --live\n"


def test_an_interrupt_during_imports_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "pandas.py").write_text("raise KeyboardInterrupt\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    for program in (["-m", "voicerace"], ["-c", "import sys; from voicerace.__main__ import main; sys.exit(main())"]):
        command = [sys.executable, *program, "sweep"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (130, "", "\nvoicerace: interrupted\n")


def test_public_names_are_exported_and_others_are_missing() -> None:
    exported = [getattr(voicerace, name) for name in voicerace.__all__ if name != "__version__"]
    assert all(each.__module__.startswith("voicerace.") for each in exported)
    assert {*voicerace.__all__} <= {*dir(voicerace)}
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = voicerace.nothing
