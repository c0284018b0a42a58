"""Test the table of visible messages: it saves searches and changes no finding."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from voicerace.experiments.explore import visible
from voicerace.experiments.explore.explorer import ExplorationResult, explore
from voicerace.experiments.explore.search import Search
from voicerace.experiments.explore.visible import as_rows, known_visible, likely_visible
from voicerace.trace.recording import UPSTREAM_TO_PROXY

PAIR = ("0.9.1", "single", "return")


def explored(monkeypatch: pytest.MonkeyPatch) -> tuple[ExplorationResult, int]:
    """Explore `PAIR`, and count the searches."""
    runs = 0
    run = Search.run

    def counted(search: Search) -> object:
        nonlocal runs
        runs += 1
        return run(search)

    with monkeypatch.context() as patch:
        patch.setattr(Search, "run", counted)
        return explore(PAIR[0], [PAIR[1:]]), runs


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Replace the table by an empty one."""
    path = tmp_path / "visible.json"
    monkeypatch.setattr(visible, "_TABLE", path)
    visible._table.cache_clear()
    return path


@pytest.fixture(autouse=True)
def _read_again() -> Iterator[None]:
    yield
    visible._table.cache_clear()


def test_a_pair_of_the_table_is_explored_by_one_search(monkeypatch: pytest.MonkeyPatch) -> None:
    assert known_visible(*PAIR)
    found, runs = explored(monkeypatch)
    assert runs == 1
    assert {tuple(map(str, each)) for each in found.stats[0].visible} == {
        tuple(map(str, each)) for each in as_rows(known_visible(*PAIR))
    }


def test_an_exploration_makes_the_row_of_the_table(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, runs = explored(monkeypatch)
    assert runs > 1
    file = tmp_path / "found.json"
    file.write_text(json.dumps(first.to_json()), "utf-8")
    visible.main([str(file)])
    visible._table.cache_clear()
    again, runs = explored(monkeypatch)
    assert runs == 1
    assert again.findings == first.findings
    assert again.stats[0].states == first.stats[0].states
    visible.main([str(file)])
    assert json.loads(table.read_text("utf-8"))["pairs"] == [[*PAIR, list(range(len(first.stats[0].visible)))]]


def test_a_message_too_many_in_the_table_changes_no_finding(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = explored(monkeypatch)
    record = first.to_json()
    record["stories"][0]["visible"].append([*UPSTREAM_TO_PROXY, ["response.created", 1, "in_progress"]])
    file = tmp_path / "found.json"
    file.write_text(json.dumps(record), "utf-8")
    visible.main([str(file)])
    visible._table.cache_clear()
    more, runs = explored(monkeypatch)
    assert runs == 1
    assert more.stats[0].states > first.stats[0].states
    assert more.findings.keys() == first.findings.keys()
    assert table.exists()


def test_a_pair_that_the_table_lacks_begins_with_what_all_pairs_of_the_scenario_have(table: Path) -> None:
    messages = [[*UPSTREAM_TO_PROXY, [kind, ["item", None]]] for kind in ("first", "second", "third")]
    pairs = [
        ["0.9.1", "single", "return", [0, 1]],
        ["0.9.4", "single", "return", [1, 2]],
        ["0.9.1", "double", "return", [0, 1, 2]],
    ]
    table.write_text(json.dumps({"messages": messages, "pairs": pairs}), "utf-8")
    first, second = ((UPSTREAM_TO_PROXY, (kind, ("item", None))) for kind in ("first", "second"))
    assert likely_visible("single") == {second}
    assert likely_visible("parallel") == {second}
    assert known_visible("0.9.4", "double", "return") == set()
    assert known_visible("0.9.1", "single", "return") == {first, second}
