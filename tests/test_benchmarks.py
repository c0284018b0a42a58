"""Test that the benchmarks run and print complete tables. Their ratios depend on the machine and are not tested."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from voicerace import simulate
from voicerace.experiments.sweep.sweep import trials_of

FOLDER = Path(__file__).parents[1] / "benchmarks"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def live() -> ModuleType:
    return script("live")


@pytest.fixture(scope="module")
def relay() -> ModuleType:
    return script("relay")


def test_the_table_has_all_its_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    sessions = script("sessions")
    for name, value in {"ROUNDS": 1, "SESSIONS": 2, "FIRST": 20, "STATES": 60, "RELEASES": ("0.9.1",)}.items():
        monkeypatch.setattr(sessions, name, value)
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(sessions, "alone", lambda *arguments: calls.append(arguments) or (2.0, 100.0))
    monkeypatch.delenv("VOICERACE_CHECKOUTS", raising=False)
    sessions.main(["200"])
    lines = capsys.readouterr().out.splitlines()
    assert [each[:34].strip() for each in lines] == [
        "one core",
        "messages, of sessions", "", "sessions, 141 messages each", "sessions and verdicts", "",
        "a trial of a sweep of 20", "its peak of memory", "a trial of a sweep of 200", "its peak of memory",
        "a session with the model of 0.9.1", "a session with the running 0.9.1",
        "states of an exploration", "its peak of memory",
    ]  # fmt: skip
    assert "absent: VOICERACE_CHECKOUTS" in lines[11]
    assert lines[8].split()[-6:] == ["2.00", "ms", "1.00", "one", "of", "20"]
    assert [arguments[:2] for arguments in calls] == [("--sweep", 20), ("--sweep", 200), ("--explore", 60)]


@pytest.mark.parametrize("arguments", [["--sweep", "40"], ["--explore", "60"]])
def test_a_process_prints_its_cost_and_its_peak_memory(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script("sessions").main([*arguments, str(tmp_path / "run")] if arguments[0] == "--sweep" else arguments)
    cost_ms, peak_mb = map(float, capsys.readouterr().out.split())
    assert 0 < cost_ms < 1000
    assert 20 < peak_mb < 5000


def test_lost_duplicated_and_changed_rows_are_counted() -> None:
    """`benchmarks/kills.py` uses `compared` to compare its tables."""
    compared = script("kills").compared
    whole = trials_of({"releases": "0.9.1,0.9.4", "times": {"tool_ms": "uniform(0,300)"}, "trials": 3, "ties": False})
    assert compared(whole, whole) == {"lost": 0, "doubled": 0, "other": 0}
    assert compared(whole.drop(index=4), whole) == {"lost": 1, "doubled": 0, "other": 0}
    assert compared(whole.loc[[0, 1, 2, 2, 3, 4, 5]], whole) == {"lost": 0, "doubled": 1, "other": 0}
    assert compared(whole.assign(tool_ms=whole["tool_ms"].where(whole.index != 1, 5)), whole)["other"] == 1


def test_simpy_moves_the_requested_number_of_messages() -> None:
    sessions = script("sessions")
    for link in (sessions.Cable, sessions.Bare):
        assert sessions.relay(link, 40) == 40


def test_delays_are_compared_with_sleeps_in_the_same_loop_and_in_an_idle_process(live: ModuleType) -> None:
    rows = live.delays(at_once=(1, 2), rounds=1, seconds=1.2)
    assert [row["sessions"] for row in rows] == [1, 2]
    for row in rows:
        for name in ("engine", "wires", "same loop", "idle"):
            assert row[name]["samples"] > 0
            assert 0 <= row[name]["p50"] <= row[name]["p99"]
        assert row["p99 / same loop"] == row["engine"]["p99"] / row["same loop"]["p99"]
        assert row["p99 / idle"] == row["engine"]["p99"] / row["idle"]["p99"]
    table = live.table(rows).splitlines()
    assert table[0].split() == ["sessions", "samples", "p50", "ms", "p99", "ms", "p99", "ratio", "goal"]
    assert len(table) == 1 + 4 * 2


def test_an_engines_error_is_achieved_minus_requested_time(live: ModuleType) -> None:
    session = live.session(3)
    played = [(session, simulate(session))]
    # The four tool times and the gap are as requested.
    assert live.late(played) == [0.0] * 5
    assert set(live.underway(played)) == {0.0}
    slower = live.session(4)
    assert max(live.late([(slower, played[0][1])])) > 0


def test_the_relays_are_compared_with_each_other(relay: ModuleType) -> None:
    rows = asyncio.run(relay.relays(at_once=(1, 2), rounds=1, messages=20))
    assert [row["connections"] for row in rows] == [1, 2]
    for row in rows:
        for kind in ("ours", "to a file", "bare"):
            assert row[kind]["messages"] == 40
            assert row[kind]["trips"] == 2
            assert row[kind]["wall"] > 0
        assert row["ours / bare"]["wall"] == row["ours"]["wall"] / row["bare"]["wall"]
    table = relay.table(rows).splitlines()
    assert " ".join(table[0].split()) == "connections messages trips cpu µs wall µs trip p50 µs trip p99 µs"
    assert len(table) == 1 + 5 * 2


def test_quantiles_are_measured_values(live: ModuleType) -> None:
    assert live.at(0.5, [3.0, 1.0, 2.0]) == 2.0
    assert live.at(0.99, [float(number) for number in range(1, 101)]) == 99.0
    assert live.at(0.5, [7.0]) == live.at(0.99, [7.0]) == 7.0
