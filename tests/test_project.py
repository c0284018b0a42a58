"""Test that the project's dependency lists, locks, documents and repository are consistent."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from voicerace.analysis.verdict import OUTCOMES
from voicerace.conformance.cases import scripts, sessions
from voicerace.files import shipped
from voicerace.report.model_limitations import MODEL_LIMITATIONS
from voicerace.report.phrasing import limits

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=!~\[; ]", each, maxsplit=1)[0].lower().replace("_", "-") for each in requirements}


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("no repository")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def pinned(lock: str) -> dict[str, set[str]]:
    """Return package name -> versions pinned in a lock file of requirements/. The versions can differ between Pythons."""
    text = (ROOT / "requirements" / f"{lock}.lock").read_text("utf-8")
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", text, flags=re.M):
        found.setdefault(name, set()).add(version)
    return found


def test_each_lock_pins_its_dependencies_with_hashes_and_no_address() -> None:
    runtime = names(PROJECT["project"]["dependencies"])
    extras = names([each for some in PROJECT["project"]["optional-dependencies"].values() for each in some]) - {"voicerace"}
    for lock, wanted in {"installer": {"uv"}, "runtime": runtime, "dev": runtime | extras}.items():
        text = (ROOT / "requirements" / f"{lock}.lock").read_text("utf-8")
        assert wanted <= pinned(lock).keys()
        assert "://" not in text
        assert "--index-url" not in text
        for block in re.split(r"\n(?=[a-z0-9-]+==)", text):
            assert "--hash=sha256:" in block, block.splitlines()[0]


def test_the_runtime_lock_omits_developer_tools() -> None:
    assert not pinned("runtime").keys() & {"mypy", "playwright", "openai", "dask", "distributed", "hypothesis", "jupyterlab"}


def test_the_runtime_and_dev_locks_pin_the_same_versions() -> None:
    dev = pinned("dev")
    assert {name: versions for name, versions in pinned("runtime").items() if dev.get(name) != versions} == {}


def test_the_lock_satisfies_the_minimum_versions() -> None:
    locked = {name: min(versions) for name, versions in pinned("runtime").items()}

    def number(text: str) -> tuple[int, ...]:
        return tuple(int(part) for part in text.split(".") if part.isdigit())

    assert number(locked["nbconvert"]) >= (7, 17, 1), "older versions have known vulnerabilities"
    for requirement in PROJECT["project"]["dependencies"]:
        name, _, least = requirement.partition(">=")
        assert number(locked[name]) >= number(least.split(",")[0]), requirement


def test_the_environment_file_is_minimal_and_names_the_same_python() -> None:
    text = (ROOT / "environment.yml").read_text("utf-8")
    entries = [line.strip().removeprefix("- ") for line in text.splitlines() if line.strip().startswith("- ")]
    assert entries == ["conda-forge", f"python{PROJECT['project']['requires-python']}", "pip", "pip:", "-e .[lab]"]


def test_a_wheel_contains_all_data() -> None:
    """Without the data, the report page of an installed voicerace would omit evidence without an error."""
    brought = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    there = {f"data/{each.name}" for each in (ROOT / "data").iterdir()} - {"data/README.md", "data/sample-run"}
    assert {*brought} == there | {"notebooks"}
    assert brought == {name: f"voicerace/_shipped/{name}" for name in brought}


def test_a_source_distribution_has_all_tracked_paths_and_no_other() -> None:
    listed = PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"]
    assert sorted(listed) == sorted({path.relative_to(ROOT).parts[0] for path in tracked()})


def test_the_package_is_marked_as_typed() -> None:
    """Without the marker file of PEP 561, a type checker ignores the types of an installed package."""
    assert "Typing :: Typed" in PROJECT["project"]["classifiers"]
    assert shipped("voicerace/py.typed").is_file()


def test_no_file_names_a_machine_or_a_package_index() -> None:
    marks = re.compile(rb"(?<![\w.-])/(?:root|home|work|Users|opt)/|pypi\.org|registry\.npmjs|files\.pythonhosted")
    for path in tracked():
        if path.suffix not in (".gz", ".png") and path != Path(__file__):
            found = marks.search(path.read_bytes())
            assert found is None, f"{path.relative_to(ROOT)}: {found.group() if found else ''!r}"


def test_modules_have_at_most_400_lines() -> None:
    long = {
        path.name: n for path in (ROOT / "voicerace").rglob("*.py") if (n := len(path.read_text("utf-8").splitlines())) > 400
    }
    assert long == {}


def test_the_docs_have_every_outcome_and_the_numbers_of_the_conformance_table() -> None:
    words, table = ((ROOT / "docs" / name).read_text("utf-8") for name in ("outcomes.md", "conformance.md"))
    for outcome in OUTCOMES:
        assert f"`{outcome}`" in words
    for tag in ("0.9.1", "0.9.4", "0.11.1"):
        rows = shipped(f"data/conformance/{tag}.csv").read_text("utf-8").splitlines()
        messages = sum(int(row.rsplit(",", 2)[1]) for row in rows[1:])
        count = len(list(sessions(tag)))
        assert f"| v{tag} | {count} | {len(list(scripts()))} | {messages:,} | 0 |" in table


def test_the_schema_names_every_outcome() -> None:
    schema = json.loads((ROOT / "docs" / "run.schema.json").read_text("utf-8"))
    assert schema["properties"]["outcome"]["enum"] == list(OUTCOMES)


def test_the_models_limitations_are_in_the_docs_and_in_the_report() -> None:
    page, report = (ROOT / "docs/limits.md").read_text("utf-8"), limits()
    for each in MODEL_LIMITATIONS:
        assert f"| {each.part} | {each.what} | {each.effect} |" in page
        assert each.what in report
