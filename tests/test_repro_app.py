"""Test `voicerace repro --app`: the folder, errors, the judgement of a run, and the app itself where a checkout is built."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from tests.component import app_runs
from tests.support.client_stack import Stack
from voicerace.analysis.verdict import judge
from voicerace.captures.live import app_folder, app_run
from voicerace.cli import installation, main, repro_app
from voicerace.engine.given_results import GivenResult, with_results
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.errors import InputError
from voicerace.model.catalog.handlers import HANDLERS

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "voicerace" / "repro_app"
TIMES = {"gap_ms": 8, "tool_ms": 300, "reply_ms": 500}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change to an empty folder, and set the import path so that child processes can import the project."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def checkout(folder: Path, without: str = "") -> Path:
    """Make a folder with the files of a checkout that `repro --app` looks for, except those below `without`."""
    for name in (
        "dist/index.esm.js",
        "packages/voice-agent-backend/scripts/openai-proxy/server.ts",
        "packages/voice-agent-backend/src/attach-upgrade.js",
        "packages/voice-agent-backend/node_modules/ws/package.json",
    ):
        if not without or without not in name:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("// content\n")
    return folder


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def error_of(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """Run `repro` with these options, which are invalid, and return its one line of error."""
    assert main(["repro", *map(str, words)]) == 2
    printed = capsys.readouterr()
    lines = [line for line in printed.err.splitlines() if line.startswith("voicerace: error: ")]
    assert len(lines) == 1
    assert printed.out == ""
    return lines[0]


# -- the folder ------------------------------------------------------------------------------------------------------------


def test_the_folder_has_every_source_of_the_app(tmp_path: Path) -> None:
    assert app_folder.make_folder(tmp_path / "app")
    made = {path.relative_to(tmp_path / "app").as_posix() for path in (tmp_path / "app").rglob("*") if path.is_file()}
    listed = subprocess.run(["git", "ls-files", "."], cwd=SOURCES, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        assert made == set(listed.stdout.split())
    assert {"README.md", "package.json", "package-lock.json", "run.mjs", "src/main.tsx", "src/handlers.ts"} <= made


def test_a_changed_app_is_kept(tmp_path: Path) -> None:
    app_folder.make_folder(tmp_path / "app")
    own = tmp_path / "app" / "src" / "handlers.ts"
    own.write_text("// mine\n")
    assert not app_folder.make_folder(tmp_path / "app")
    assert own.read_text() == "// mine\n"


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "other").write_text("")
    with pytest.raises(InputError, match="holds no app"):
        app_folder.make_folder(tmp_path / "app")


def test_every_package_is_pinned_with_a_hash_and_no_address() -> None:
    package = json.loads((SOURCES / "package.json").read_text("utf-8"))
    lock = json.loads((SOURCES / "package-lock.json").read_text("utf-8"))
    wanted = package["dependencies"] | package["devDependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
    assert {name: lock["packages"][f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert lock["packages"][""]["dependencies"] == package["dependencies"]
    for name, each in lock["packages"].items():
        assert "resolved" not in each
        assert not name or each["integrity"].startswith("sha512-")


def test_the_app_and_the_commands_have_the_same_handlers_causes_and_browsers() -> None:
    handlers = (SOURCES / "src" / "handlers.ts").read_text("utf-8")
    styles = re.search(r"type Style = ([^;]+);", handlers)
    assert styles is not None
    assert set(re.findall(r"'(\w+)'", styles[1])) == set(HANDLERS)
    causes = re.search(r"type Cause = ([^;]+);", (SOURCES / "src" / "main.tsx").read_text("utf-8"))
    assert causes is not None
    assert set(re.findall(r"'(\w+)'", causes[1])) == set(app_run.CAUSES) == set(repro_app._CAUSES)
    assert str(list(app_folder.BROWSERS)).replace('"', "'") in (SOURCES / "run.mjs").read_text("utf-8")
    assert app_folder.BROWSERS == installation._BROWSERS


@pytest.mark.parametrize("name", ["package.json", "package-lock.json", "README.md", "run.mjs", "src/main.tsx"])
def test_no_source_names_a_path_of_a_machine(name: str) -> None:
    assert not re.search(r"/(home|Users|root|tmp|work)/", (SOURCES / name).read_text("utf-8"))


# -- errors ----------------------------------------------------------------------------------------------------------------


def test_options_of_the_app_need_app(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--checkout", "."], ["--strict"], ["--no-strict"], ["--cause", "none"]):
        assert "given without --app" in error_of(capsys, *words)


def test_a_missing_checkout_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert "checkout: is missing" in error_of(capsys, "--app")


@pytest.mark.parametrize(
    ("without", "message"),
    [
        ("dist", "build the component there: npm ci, npm run build"),
        ("attach-upgrade", "no src/attach-upgrade.js"),
        ("node_modules", "npm ci in"),
        ("server.ts", "no scripts/openai-proxy/server.ts"),
    ],
)
def test_an_incomplete_checkout_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], without: str, message: str
) -> None:
    assert message in error_of(capsys, "--app", "--checkout", checkout(tmp_path / "there", without))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--upstream", "openai"], "only the mock"),
        (["--proxy", "model:0.9.1"], "backend:DIR"),
        (["--cause", "remout"], "did you mean remount"),
        (["--handler", "later"], "handler"),
    ],
)
def test_unsuitable_options_are_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    there = checkout(tmp_path / "there")
    assert message in error_of(capsys, "--app", "--checkout", there, "--release", "0.9.1", *words)


@pytest.mark.parametrize("missing", ["node", "npm", "chromium"])
def test_a_missing_program_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    for name in {"node", "npm", "chromium"} - {missing}:
        program(tmp_path / "bin" / name, "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    there = checkout(tmp_path / "there")
    assert f"no {missing} on the PATH" in error_of(capsys, "--app", "--checkout", there, "--release", "0.9.1")
    assert not (tmp_path / "runs").exists()


def test_a_failure_of_npm_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("node", "chromium"):
        program(tmp_path / "bin" / name, "exit 0")
    program(tmp_path / "bin" / "npm", "echo 'npm error code ENOTFOUND' >&2; echo 'npm error no network' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    there = checkout(tmp_path / "there")
    found = error_of(capsys, "--app", "--checkout", there, "--release", "0.9.1", "--out", tmp_path / "out")
    assert "npm ci failed: no network" in found


def test_installed_packages_are_not_installed_again(tmp_path: Path) -> None:
    for name in app_folder._PACKAGES:
        (tmp_path / "node_modules" / name).mkdir(parents=True)
    assert not app_folder.install(tmp_path, "/nonexistent/npm")
    shutil.rmtree(tmp_path / "node_modules" / "react")
    with pytest.raises(InputError, match="cannot be started"):
        app_folder.install(tmp_path, "/nonexistent/npm")


# -- a run, with another program in place of Node.js and Chromium -------------------------------------------------------


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(SessionConfig.of(release="0.9.1", times={"gap_ms": 20, "reply_ms": 60})) as running:
        yield running


def run_with(stack: Stack, script: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> app_run.AppRun:
    """Run the app with the model of the proxy, and with a shell script in place of Node.js."""

    class ModelProxy:
        def __init__(self, *_: object, **__: object) -> None:
            self.port = int(stack.host_url.rpartition(":")[2])

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            return

    monkeypatch.setattr(app_run, "Backend", ModelProxy)
    session = SessionConfig.of(release="0.9.1", times={"gap_ms": 20, "tool_ms": 50, "reply_ms": 60})
    found = app_folder.Programs(str(program(folder / "node", script)), "npm", "chromium")
    (folder / "app").mkdir(exist_ok=True)
    return app_run.play_app(folder / "app", folder, folder, session, found, folder / "run-001")


def test_a_run_is_recorded_on_both_sides_and_judged(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = ROOT / "tests" / "support" / "client.py"
    run = run_with(stack, f"exec {sys.executable} {client} --tool-ms 50", tmp_path, monkeypatch)
    ((watched, recording),) = run.sessions
    assert watched.verdict.outcome == "answered"
    assert recording.observes("component", "proxy")
    assert recording.observes("upstream", "proxy")
    (result,) = app_run.results(recording)
    assert 50 <= result.after_ms < 1000
    assert not result.default_error
    session = SessionConfig.of(release="0.9.1", times={"gap_ms": 20, "tool_ms": 50, "reply_ms": 60})
    models = app_run.expected(session, recording, strict=True, cause="none")
    assert models is not None
    assert models.outcomes[0] == "answered"
    assert models.results == 1


def test_the_program_gets_the_checkout_the_browser_and_the_options(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHECKOUT", "before")
    script = 'for word; do printf "%s " "$word"; done > words; echo $CHECKOUT $CHROMIUM > variables'
    run_with(stack, script, tmp_path, monkeypatch)
    words = (tmp_path / "words").read_text().split()
    assert words[1:8] == ["--once", "--port", "0", "--handler", "return", "--cause", "none"]
    assert {"--tool-ms=50", "--deadline-ms=31000"} <= set(words)
    assert (tmp_path / "variables").read_text().split() == [str(tmp_path), "chromium"]
    assert os.environ["CHECKOUT"] == "before"


def test_a_failure_of_the_app_is_an_error_with_its_reason(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = f"""echo '{{"type": "failed", "text": "no port"}}' > {tmp_path}/run-001-app.jsonl; exit 1"""
    with pytest.raises(InputError, match="app: no port"):
        run_with(stack, script, tmp_path, monkeypatch)


@pytest.mark.parametrize("status", [130, 143])
def test_a_run_that_a_signal_ended_is_interrupted(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    with pytest.raises(KeyboardInterrupt, match="what was recorded is in"):
        run_with(stack, f"exit {status}", tmp_path, monkeypatch)


# -- the models with given results -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("release", ["0.9.1", "0.9.4", "0.10.3", "0.11.1"])
@pytest.mark.parametrize("handler", HANDLERS)
def test_given_results_have_the_outcome_of_the_handler_that_sends_them(release: str, handler: str) -> None:
    session = SessionConfig.of(release=release, handler=handler, times=TIMES | {"host_rtt_ms": 30, "upstream_rtt_ms": 10})
    recording = simulate(session)
    found = app_run.results(recording)
    assert len(found) == HANDLERS[handler].submissions
    given = [GivenResult(each.after_ms - 30, each.default_error) for each in found] if found[0].after_ms >= 30 else found
    played = with_results(session, given)
    assert judge(played).turns[0].outcome == judge(recording).turns[0].outcome
    assert [each.default_error for each in app_run.results(played)] == [each.default_error for each in found]


@pytest.mark.parametrize("release", ["0.9.1", "0.11.1"])
@pytest.mark.parametrize("handler", HANDLERS)
def test_the_expected_outcome_of_a_modelled_session_is_its_own(release: str, handler: str) -> None:
    session = SessionConfig.of(release=release, handler=handler, times=TIMES | {"host_rtt_ms": 30})
    models = app_run.expected(session, simulate(session), strict=False, cause="none")
    assert models is not None
    assert models.outcomes[0] == judge(simulate(session)).turns[0].outcome
    assert models.results == HANDLERS[handler].submissions
    assert models.gap_ms == 8


def test_the_number_of_given_results_is_limited() -> None:
    session = SessionConfig.of()
    for count in (0, 9):
        with pytest.raises(InputError, match="1 to 8"):
            with_results(session, [GivenResult(5)] * count)


def test_given_results_are_sent_at_their_times() -> None:
    given = [GivenResult(0, True), GivenResult(40), GivenResult(90)]
    sent = app_run.results(with_results(SessionConfig.of(times={"gap_ms": 8}), given))
    assert sent == given


# -- docs ----------------------------------------------------------------------------------------------------------------


def test_the_page_has_the_kept_runs() -> None:
    page = (ROOT / "docs" / "repro-app.md").read_text("utf-8")
    assert app_runs.filled(page) == page, "run python -m tests.component.app_runs --page docs/repro-app.md"
    assert all(table in page for table in app_runs.tables().values())
    assert " ".join(app_runs.OPTIONS) in page


def test_the_kept_runs_agree_with_the_models() -> None:
    rows = app_runs.read()
    planned = {(cause, handler, "yes" if strict else "no") for cause, handler, strict in app_runs.plan()}
    for release in ("0.9.1", "0.11.1"):
        assert {(row["cause"], row["handler"], row["strict"]) for row in rows if row["release"] == release} == planned
    for row in rows:
        assert row["models"] == "none" or row["outcome"] in row["models"].split(), row
        if row["cause"] == "none":
            assert len(row["results"].split(", ")) == HANDLERS[row["handler"]].submissions
            assert (row["connections"], row["settings"]) == ("1", "1")


# -- the app itself, where a checkout is built ---------------------------------------------------------------------------


def built(release: str) -> Path:
    """Return the built checkout of a release in the folder VOICERACE_CHECKOUTS; skip the test if a program is missing."""
    found = Path(os.environ.get("VOICERACE_CHECKOUTS", "/nonexistent")) / f"v{release}"
    try:
        app_folder.programs()
        return app_folder.built_checkout(found)
    except InputError as error:
        pytest.skip(f"VOICERACE_CHECKOUTS names a folder with built checkouts (v{release}): {error}")


@pytest.mark.long
@pytest.mark.real_clock
@pytest.mark.parametrize("release", ["0.9.1", "0.11.1"])
def test_the_app_in_chromium_is_as_modelled(release: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = built(release)
    options = ["--app", "--checkout", str(there), *app_runs.OPTIONS, "--out", str(tmp_path / "out"), "--json"]
    for handler, count in (("return", 1), ("async_ref", 2)):
        assert main(["repro", *options, "--handler", handler]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        (session,) = found["sessions"]
        assert session["outcome"] in session["model_outcomes"]
        assert len(session["results"]) == count == session["model_results"]
        assert session["settings"] == 1
    assert main(["repro", *options, "--cause", "remount"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["settings"] for each in found["sessions"]] == [1, 0]


@pytest.mark.long
@pytest.mark.real_clock
def test_an_error_in_the_page_is_reported_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there, out = built("0.9.1"), tmp_path / "out"
    app_folder.make_folder(out / "app")
    main_file = out / "app" / "src" / "main.tsx"
    main_file.write_text(main_file.read_text("utf-8") + "\nthrow new Error('broken on purpose');\n", "utf-8")
    assert "broken on purpose" in error_of(capsys, "--app", "--checkout", there, "--out", out)
