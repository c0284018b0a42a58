"""Run a small part of the faults suite (`make faults`): damaged files and messages are read or refused in time."""

from __future__ import annotations

import pytest

from tests.faults.run import TARGETS, play


@pytest.mark.parametrize(
    ("target", "inputs"),
    [("log", 30), ("collected", 60), ("har", 150), ("jsonl", 60), ("cassette", 150), ("upstream", 150), ("proxy", 150)],
)
def test_damaged_input_never_crashes_or_hangs(target: str, inputs: int) -> None:
    result = play(target, inputs, seed=7)
    assert result.found == []
    assert result.good
    # Some inputs pass the first check, and others fail it.
    assert len(result.counts) > 1


@pytest.mark.real_clock
def test_running_servers_survive_raw_bytes_and_invalid_frames() -> None:
    """Sessions before and after the invalid input are complete. Every connection and both servers end."""
    result = play("serve-proxy", 40, seed=7)
    assert result.found == []
    assert result.good
    assert len(result.counts) > 4


def test_crashes_and_hangs_are_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    def crashes(rng: object, folder: object) -> str:
        raise KeyError("x")

    def hangs(rng: object, folder: object) -> str:
        while True:
            pass

    monkeypatch.setitem(TARGETS, "crashes", lambda rng, folder: crashes(rng, folder) if rng.random() < 0.5 else "read")
    monkeypatch.setitem(TARGETS, "hangs", hangs)
    monkeypatch.setattr("tests.faults.run.LONGEST_S", 1)
    monkeypatch.setattr("tests.faults.run._warm", lambda *_: None)
    found = play("crashes", 30, seed=1)
    assert found.found
    assert found.found[0].where.endswith("crashes")
    assert len(found.found) + found.counts.total() == 30
    assert [each.what for each in play("hangs", 1, seed=1).found] == ["hangs: more than 1 s"]
