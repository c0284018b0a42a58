"""Test the documentation: its commands run or are listed with a reason, and its links and tables are valid."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from voicerace.cli import main
from voicerace.cli.app import VERBS
from voicerace.cli.verbs import load

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("C*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.M | re.S)
COMMANDS: dict[str, Any] = {name: load(VERBS, name) for name in VERBS}
_PROMPT = "$ .venv/bin/voicerace "

#: Start of a command -> reason why these tests do not run the command.
NOT_RUN = {
    "make report": "`.ci/run` does, and checks the page",
    "make test": "runs this test",
    "make lint types": "`.ci/run` does it",
    ".ci/run": "runs this test",
    "make lab": "serves until it is stopped",
    ".venv/bin/papermill notebooks/": "`.ci/run` and tests/test_notebooks.py run every notebook this way",
    ".venv/bin/voicerace explore ": "takes a minute; tests/test_explore.py runs smaller ones",
    ".venv/bin/voicerace replay ": "needs the output of explore; tests/test_explore_live.py and tests/test_explore_data.py",
    ".venv/bin/voicerace workarounds ": "takes minutes; tests/test_workarounds.py runs smaller ones",
    ".venv/bin/voicerace repro --app ": "needs a built checkout and Chromium; tests/test_repro_app.py runs it where they are",
    ".venv/bin/voicerace check --client ": "needs a client; tests/test_direct.py checks one of ours",
    ".venv/bin/voicerace fix ": "needs a checkout; tests/test_fix.py runs it on a small one",
    ".venv/bin/voicerace serve ": "serves until it is stopped; tests/test_serving_verbs.py runs it with this plan",
    ".venv/bin/voicerace capture ": "the reader's own command; tests/test_capture_verb.py runs it around a client",
}


def blocks(language: str) -> list[tuple[str, str]]:
    """Return (page, text) of every fenced block in a language."""
    return [
        (str(page.relative_to(ROOT)), text)
        for page in PAGES
        for found, text in _BLOCK.findall(page.read_text("utf-8"))
        if found == language
    ]


def promises() -> Iterator[tuple[str, list[str]]]:
    """Yield (arguments, expected lines) of every command with a prompt."""
    for _, text in blocks(""):
        for each in re.split(r"^(?=\$ )", text, flags=re.M):
            if each.startswith(_PROMPT):
                command, *lines = each.splitlines()
                yield command.removeprefix(_PROMPT), [line for line in lines if line.strip() not in ("", "…")]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a temporary folder with a link to the repository's data; return the folder."""
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("arguments", "lines"), list(promises()))
def test_a_command_prints_the_documented_lines(
    arguments: str, lines: list[str], elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(shlex.split(arguments)) == 0
    printed = capsys.readouterr().out
    assert lines
    at = 0
    for line in lines:
        assert line in printed[at:], f"{line!r} is not printed, or not in this order"
        at = printed.index(line, at) + len(line)


def test_every_command_without_a_prompt_has_a_reason() -> None:
    used = set()
    for page, text in blocks(""):
        for line in text.splitlines():
            if re.match(r"(make|voicerace|python\d?|pip|\.venv/bin/\S+) |\.ci/run", line):
                why = [start for start in NOT_RUN if line.startswith(start)]
                assert why, f"{page}: {line!r} is neither run nor in NOT_RUN"
                used.update(why)
    assert used == set(NOT_RUN), "a reason for a command that no page has"


def verb_of(arguments: list[str]) -> tuple[Any, list[str]] | None:
    """Return the verb of a command line and the arguments after the verb; None without a verb."""
    command, commands = None, COMMANDS
    while arguments and commands:
        if arguments[0] not in commands:
            return None
        command, arguments = commands[arguments[0]], arguments[1:]
        commands = getattr(command, "commands", {})
    return command, arguments


def test_documented_verbs_and_options_exist() -> None:
    seen = 0
    for page in PAGES:
        for code in re.findall(r"(?:`|^\$ \.venv/bin/|^\.venv/bin/)voicerace ([^`\n]+)", page.read_text("utf-8"), flags=re.M):
            arguments = code.partition(" -- ")[0].split()
            named = verb_of(arguments)
            assert named is not None, f"{page.name}: voicerace {code}"
            verb, rest = named
            options = {text for each in verb.params for text in [*each.opts, *each.secondary_opts]} | {"--help"}
            for word in rest:
                if word.startswith("--"):
                    assert word.partition("=")[0] in options, f"{page.name}: voicerace {code}: {word}"
            seen += 1
    assert seen > 30


def test_the_architecture_lists_the_enforced_layers() -> None:
    text = (ROOT / "docs/architecture.md").read_text("utf-8")
    listed = next(found for language, found in _BLOCK.findall(text) if language == "layers").splitlines()
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"][0]
    enforced = {
        name.strip().removeprefix("voicerace."): n for n, row in enumerate(contract["layers"]) for name in row.split(" : ")
    }
    levels = [{enforced[name] for name in line.split(", ")} for line in listed]
    assert all(len(level) == 1 for level in levels), "the names of a line belong to different layers"
    order = [min(level) for level in levels]
    assert order == sorted(set(order))


@pytest.mark.parametrize(("page", "code"), blocks("python"))
def test_documented_python_runs(page: str, code: str, elsewhere: Path) -> None:
    exec(compile(code, page, "exec"), {})


def test_generated_pages_are_up_to_date() -> None:
    spec = spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = module_from_spec(spec)
    spec.loader.exec_module(generate)
    for name, text in generate.pages().items():
        assert (ROOT / "docs" / name).read_text("utf-8") == text, f"docs/{name} is out of date: `make docs`"


def test_every_link_has_a_file() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached = {
        (page.parent / target).resolve() for page in PAGES for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8"))
    }
    assert [str(page.relative_to(ROOT)) for page in PAGES[1:] if page.resolve() not in reached] == []
