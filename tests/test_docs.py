"""Is what the documents say true? Every command in them is run, or stands below with the reason why it is not."""

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

#: What a command begins with, and why this test does not run it.
NOT_RUN = {
    "make report": "`.ci/run` does, and looks at the page",
    "make test": "runs this test",
    "make lint types": "`.ci/run` does",
    ".ci/run": "runs this test",
    "make lab": "serves until it is stopped",
    ".venv/bin/papermill notebooks/": "`.ci/run` runs every notebook so, and tests/test_notebooks.py",
    ".venv/bin/voicerace explore ": "a minute; tests/test_explore.py runs smaller ones",
    ".venv/bin/voicerace replay ": "needs what explore found; tests/test_explore_live.py and tests/test_explore_data.py",
    ".venv/bin/voicerace workarounds ": "minutes; tests/test_workarounds.py runs smaller ones",
    ".venv/bin/voicerace capture ": "the reader's own command; tests/test_capture_verb.py runs it around a client",
}


def blocks(language: str) -> list[tuple[str, str]]:
    """(page, text) of every fenced block of a language."""
    return [
        (str(page.relative_to(ROOT)), text)
        for page in PAGES
        for found, text in _BLOCK.findall(page.read_text("utf-8"))
        if found == language
    ]


def promises() -> Iterator[tuple[str, list[str]]]:
    """(arguments, promised lines) of every command with a prompt."""
    for _, text in blocks(""):
        for each in re.split(r"^(?=\$ )", text, flags=re.M):
            if each.startswith(_PROMPT):
                command, *lines = each.splitlines()
                yield command.removeprefix(_PROMPT), [line for line in lines if line.strip() not in ("", "…")]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like the repository to a command, and takes what it writes."""
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("arguments", "lines"), list(promises()))
def test_a_command_prints_what_the_page_says(
    arguments: str, lines: list[str], elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(shlex.split(arguments)) == 0
    printed = capsys.readouterr().out
    assert lines
    at = 0
    for line in lines:
        assert line in printed[at:], f"{line!r} is not printed, or not in this place"
        at = printed.index(line, at) + len(line)


def test_every_command_without_a_prompt_says_why_it_is_not_run() -> None:
    met = set()
    for page, text in blocks(""):
        for line in text.splitlines():
            if re.match(r"(make|voicerace|python\d?|pip|\.venv/bin/\S+) |\.ci/run", line):
                why = [start for start in NOT_RUN if line.startswith(start)]
                assert why, f"{page}: {line!r} is neither run nor excused"
                met.update(why)
    assert met == set(NOT_RUN), "an excuse for a command that no page has"


def verb_of(words: list[str]) -> tuple[Any, list[str]] | None:
    """The verb that words of a command line name, and the words after it; None when they name none."""
    command, commands = None, COMMANDS
    while words and commands:
        if words[0] not in commands:
            return None
        command, words = commands[words[0]], words[1:]
        commands = getattr(command, "commands", {})
    return command, words


def test_every_verb_and_option_that_a_page_names_exists() -> None:
    seen = 0
    for page in PAGES:
        for code in re.findall(r"(?:`|^\$ \.venv/bin/|^\.venv/bin/)voicerace ([^`\n]+)", page.read_text("utf-8"), flags=re.M):
            words = code.partition(" -- ")[0].split()
            named = verb_of(words)
            assert named is not None, f"{page.name}: voicerace {code}"
            verb, rest = named
            options = {text for each in verb.params for text in [*each.opts, *each.secondary_opts]} | {"--help"}
            for word in rest:
                if word.startswith("--"):
                    assert word.partition("=")[0] in options, f"{page.name}: voicerace {code}: {word}"
            seen += 1
    assert seen > 30


def test_the_architecture_lists_the_layers_that_are_held() -> None:
    text = (ROOT / "docs/architecture.md").read_text("utf-8")
    told = next(found for language, found in _BLOCK.findall(text) if language == "layers").splitlines()
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"][0]
    held = {name.strip().removeprefix("voicerace."): n for n, row in enumerate(contract["layers"]) for name in row.split(" : ")}
    levels = [{held[name] for name in line.split(", ")} for line in told]
    assert all(len(level) == 1 for level in levels), "names of one line that are not of one layer"
    order = [min(level) for level in levels]
    assert order == sorted(set(order))


@pytest.mark.parametrize(("page", "code"), blocks("python"))
def test_the_python_of_a_page_runs(page: str, code: str, elsewhere: Path) -> None:
    exec(compile(code, page, "exec"), {})


def test_the_pages_that_are_made_from_tables_are_up_to_date() -> None:
    spec = spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = module_from_spec(spec)
    spec.loader.exec_module(generate)
    for name, text in generate.pages().items():
        assert (ROOT / "docs" / name).read_text("utf-8") == text, f"docs/{name} is made otherwise now: `make docs`"


def test_every_link_leads_to_a_file() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached = {
        (page.parent / target).resolve() for page in PAGES for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8"))
    }
    assert [str(page.relative_to(ROOT)) for page in PAGES[1:] if page.resolve() not in reached] == []
