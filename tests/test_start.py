"""Test that help, completion and the commands that play one session start without importing heavy libraries."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from importlib import import_module

import pytest
import typer

from voicerace.cli import main
from voicerace.cli.app import VERBS

#: Modules that are slow to import. `--help` imports none of them.
#: One session in virtual time imports only pydantic, which typer needs.
HEAVY = {
    "IPython", "bs4", "distributed", "ipywidgets", "joblib", "matplotlib", "nbformat", "numpy", "pandas", "papermill",
    "pyarrow", "scipy", "websockets",
}  # fmt: skip
_REPORT = (
    "import sys; from voicerace.__main__ import main; status = main(); print(*sorted({*sys.modules} & HEAVY), file=sys.stderr)"
)


def heavy_of(arguments: list[str], heavy: set[str]) -> list[str]:
    """Return the modules in `heavy` that a command line imports."""
    code = _REPORT.replace("HEAVY", repr(heavy))
    ran = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return ran.stderr.splitlines()[-1].split()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], [], ["releases"]])
def test_commands_that_play_nothing_import_no_heavy_module(arguments: list[str]) -> None:
    assert heavy_of(arguments, HEAVY) == []


def test_help_imports_no_command_module_and_no_pydantic() -> None:
    verbs = {f"voicerace.cli.{verb.place.partition(':')[0]}" for verb in VERBS.values()}
    assert heavy_of(["--help"], {"pydantic", "voicerace.analysis.verdict", "voicerace.experiments.explore", *verbs}) == []


@pytest.mark.parametrize("arguments", [["releases"], ["check", "--help"]])
def test_a_table_and_a_commands_help_import_no_pydantic(arguments: list[str]) -> None:
    assert heavy_of(arguments, {"pydantic.types"}) == []


@pytest.mark.parametrize("arguments", [["run", "--json"], ["run"], ["check", "--help"], ["sweep", "--help"]])
def test_one_session_imports_no_heavy_module(arguments: list[str]) -> None:
    assert heavy_of(arguments, HEAVY) == []


@pytest.mark.parametrize("arguments", [["sweep", "--releases", "0.9.l"], ["sweep", "--live", "--scenarios", "singel"]])
def test_a_misspelt_name_of_a_sweep_is_reported_without_importing_a_heavy_module(arguments: list[str]) -> None:
    assert heavy_of(arguments, HEAVY) == []


def test_a_heavy_import_is_detected() -> None:
    assert "pandas" in heavy_of(["boundary", "--help"], HEAVY)


@pytest.mark.parametrize("name", VERBS)
def test_the_list_of_commands_has_each_commands_summary(name: str) -> None:
    module, _, attribute = VERBS[name].place.partition(":")
    found = getattr(import_module(f"voicerace.cli.{module}"), attribute)
    function = found.registered_callback.callback if isinstance(found, typer.Typer) else found
    assert (inspect.getdoc(function) or "").splitlines()[0] == VERBS[name].summary
    assert len(VERBS[name].summary) <= 70


def test_the_bare_command_shows_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in VERBS)


def test_an_unknown_command_gives_a_one_line_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["swep"]) == 2
    error = capsys.readouterr().err
    assert "swep" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_offers_commands_and_their_options(shell: str) -> None:
    def completed(words: str) -> str:
        given = {"_VOICERACE_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": words, "COMP_WORDS": words}
        given |= {"COMP_CWORD": str(len(words.split()) - 1), "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
        command = [sys.executable, "-m", "voicerace"]
        return subprocess.run(command, env={**os.environ, **given}, capture_output=True, text=True, check=False).stdout

    assert "releases" in completed("voicerace re")
    assert "sweep" not in completed("voicerace re")
    assert "--gap-ms" in completed("voicerace run --gap")


@pytest.mark.long
def test_help_has_no_colour_if_no_color_is_set() -> None:
    def help_with(**given: str) -> str:
        command = [sys.executable, "-m", "voicerace", "run", "--help"]
        clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
        return subprocess.run(command, env={**clean, **given}, capture_output=True, text=True, check=True).stdout

    assert "\x1b[" in help_with(FORCE_COLOR="1")
    assert "\x1b[" not in help_with()
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", help_with(FORCE_COLOR="1", NO_COLOR="1")), "NO_COLOR keeps bold text"
