"""The benchmarks run and fill their tables. What they say is no test: a ratio is worth what the machine is worth that day."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from voicerace import simulate

FOLDER = Path(__file__).parents[1] / "benchmarks"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def live() -> ModuleType:
    return script("live")


@pytest.fixture(scope="module")
def relay() -> ModuleType:
    return script("relay")


def test_sessions_are_held_against_simpy(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    sessions = script("sessions")
    monkeypatch.setattr(sessions, "ROUNDS", 1)
    monkeypatch.setattr(sessions, "SESSIONS", 2)
    sessions.main(["40", "20"])
    lines = capsys.readouterr().out.splitlines()
    names = [line[:30].strip() for line in lines]
    assert names[2:6] == [
        "SimPy, a process per message", "SimPy, as little as it takes", "sessions", "sessions and verdicts",
    ]  # fmt: skip
    assert lines[2].split()[-2] == lines[3].split()[-1] == "1.00"
    assert [line.split()[0] for line in lines[-2:]] == ["40", "20"]
    assert lines[-2].split()[3] == "1.00"


def test_simpy_moves_as_many_messages_as_it_is_asked_to() -> None:
    sessions = script("sessions")
    for link in (sessions.Cable, sessions.Bare):
        assert sessions.relay(link, 40) == 40


def test_delays_are_held_against_sleeps_in_the_same_loop_and_in_an_idle_process(live: ModuleType) -> None:
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


def test_an_engine_s_error_is_what_was_achieved_minus_what_was_asked(live: ModuleType) -> None:
    asked = live.session(3)
    played = [(asked, simulate(asked))]
    # Four tool times and a gap, all as asked.
    assert live.late(played) == [0.0] * 5
    assert set(live.underway(played)) == {0.0}
    slower = live.session(4)
    assert max(live.late([(slower, played[0][1])])) > 0


def test_the_relays_are_held_against_each_other(relay: ModuleType) -> None:
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


def test_quantiles_are_values_that_were_found(live: ModuleType) -> None:
    assert live.at(0.5, [3.0, 1.0, 2.0]) == 2.0
    assert live.at(0.99, [float(number) for number in range(1, 101)]) == 99.0
    assert live.at(0.5, [7.0]) == live.at(0.99, [7.0]) == 7.0
