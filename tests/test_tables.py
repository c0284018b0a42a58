"""Test that printed tables are aligned, unlimited in a pipe, and wrapped within their columns on a narrow terminal."""

from __future__ import annotations

import pytest

from voicerace.cli import main
from voicerace.cli.tables import facts, table_lines

HEADS = ("name", "what happens", "steps")
ROWS = [("first", "the request arrives while a response is active, and the API refuses it", 7), ("second", None, 12)]


def test_without_a_width_each_row_is_one_line() -> None:
    head, first, second = table_lines(HEADS, ROWS, right=("steps",))
    assert head.startswith("name    what happens")
    assert first == f"first   {ROWS[0][1]}      7"
    assert second.split() == ["second", "12"]
    assert len({len(line) for line in (head, first, second)}) == 1, "the numbers end in one column"


@pytest.mark.parametrize("width", [24, 40, 60])
def test_a_narrow_terminal_wraps_cells_and_loses_no_word(width: int) -> None:
    lines = list(table_lines(HEADS, ROWS, width=width))
    assert max(map(len, lines)) <= width
    assert sorted(" ".join(lines).split()) == sorted(" ".join(table_lines(HEADS, ROWS)).split())


def test_a_fact_without_a_value_is_omitted() -> None:
    assert list(facts(host_errors=0, why=None)) == ["host errors    0"]


@pytest.mark.parametrize("width", [30, 60, 80, 200])
def test_releases_fit_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("voicerace.cli.releases.terminal_width", lambda: width)
    assert main(["releases"]) == 0
    table, _, legend = capsys.readouterr().out.partition("\n\n")
    assert max(map(len, table.splitlines())) <= width
    assert "response.done" in legend
