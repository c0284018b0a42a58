"""Test that the cache returns results only for the same program and request, and recomputes damaged entries."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pandas.testing import assert_frame_equal

from voicerace.conformance.hypotheses import suspicions
from voicerace.engine.sim.virtual import VirtualEngine
from voicerace.experiments import result_cache
from voicerace.experiments.executors import Executor
from voicerace.experiments.explore.explorer import explore
from voicerace.experiments.result_cache import cached_map, folder_of_cache
from voicerace.experiments.sweep.sweep import play_ahead, sweep, trials_of
from voicerace.experiments.workarounds import effects_of
from voicerace.report.parts import cures

SPEC: Mapping[str, Any] = {"releases": "0.9.1,0.11.1", "times": {"tool_ms": "0:300:20", "gap_ms": "150"}}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(result_cache.VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[VirtualEngine]:
    """Return the list of engines that run in this process, extended by each run."""
    engines: list[VirtualEngine] = []
    run = VirtualEngine.run

    def counted(engine: VirtualEngine) -> Any:
        engines.append(engine)
        return run(engine)

    monkeypatch.setattr(VirtualEngine, "run", counted)
    return engines


def entries(cache: Path) -> list[Path]:
    return sorted(path for path in cache.rglob("*") if path.is_file())


def test_trials_from_the_cache_are_equal_and_play_nothing(cache: Path, played: list[VirtualEngine]) -> None:
    first = trials_of(SPEC, cached=True)
    assert played
    played.clear()
    assert_frame_equal(trials_of(SPEC, cached=True), first)
    assert not played
    assert_frame_equal(trials_of(SPEC), first)
    assert played


def test_a_sweep_from_the_cache_writes_the_same_table_and_recordings(
    cache: Path, played: list[VirtualEngine], tmp_path: Path
) -> None:
    sweep(SPEC, out=tmp_path / "played", progress=False)
    play_ahead(SPEC)
    played.clear()
    sweep(SPEC, out=tmp_path / "cached", progress=False, cached=True)
    assert not played
    for one in sorted((tmp_path / "played").rglob("*")):
        other = tmp_path / "cached" / one.relative_to(tmp_path / "played")
        if one.is_file() and one.name != "run.json":
            assert other.read_bytes() == one.read_bytes(), one.name
    assert (tmp_path / "cached" / "checksums.sha256").is_file()


def test_explorations_workarounds_and_suspicions_from_the_cache_are_equal_and_play_nothing(
    cache: Path, played: list[VirtualEngine]
) -> None:
    def results() -> list[Any]:
        explored = explore("0.9.4", [("single", "return")], (), 200, cached=True)
        effects = effects_of("0.9.4", ["answer-at-once", "wait-fixed"], stories=("single",), limit=100)
        answers = suspicions(("0.9.1",), [{"times": {"gap_ms": 300, "tool_ms": 50}}], cached=True)
        return [explored.to_json(), [each.to_json() for each in effects], answers.frame, cures(("0.9.1",), (8,))]

    first = results()
    assert played
    played.clear()
    second = results()
    assert not played
    assert second[:2] == first[:2]
    assert_frame_equal(second[2], first[2])
    assert_frame_equal(second[3], first[3])


def test_a_changed_parameter_is_computed_anew(cache: Path, played: list[VirtualEngine]) -> None:
    trials_of(SPEC, cached=True)
    for other in ({"seed": 1}, {"ties": False}, {"times": {"tool_ms": "0:300:20", "gap_ms": "151"}}, {"handlers": "void_ref"}):
        played.clear()
        trials_of({**SPEC, **other}, cached=True)
        assert played, other


def test_results_with_times_from_a_file_are_not_cached(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "delays.txt").write_text("50\n60\n")
    trials_of({"times": {"tool_ms": f"@{tmp_path / 'delays.txt'}"}, "trials": 3}, cached=True)
    assert not entries(cache)


def test_results_of_another_program_are_not_used(
    cache: Path, played: list[VirtualEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    trials_of(SPEC, cached=True)
    played.clear()
    monkeypatch.setattr(result_cache, "_PROGRAM", "0" * 32)
    trials_of(SPEC, cached=True)
    assert played


def package(folder: Path) -> Path:
    (folder / "tables").mkdir(parents=True)
    (folder / "a.py").write_text("A = 1\n")
    (folder / "tables" / "b.py").write_text("B = 1\n")
    return folder


@pytest.mark.parametrize("change", ["content", "name", "new file"])
def test_every_source_change_gives_another_program_hash(change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_cache, "_PACKAGE", package(tmp_path / "package"))

    def program() -> str:
        monkeypatch.setattr(result_cache, "_LOADED", result_cache._files())
        return result_cache._hash_of_program()

    before = program()
    assert program() == before
    file = tmp_path / "package" / "tables" / "b.py"
    match change:
        case "content":
            file.write_text("B = 2\n")
        case "name":
            file.rename(file.with_name("c.py"))
        case _:
            file.with_name("c.py").write_text("")
    assert program() != before


def test_a_source_change_since_the_start_turns_the_cache_off(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_cache, "_PACKAGE", package(tmp_path / "package"))
    monkeypatch.setattr(result_cache, "_LOADED", result_cache._files())
    assert folder_of_cache() is not None
    (tmp_path / "package" / "a.py").write_text("A = 10\n")
    assert folder_of_cache() is None
    assert list(cached_map(str, {1: ["one"]})) == [(1, "1")]
    assert not entries(cache)


@pytest.mark.parametrize("damage", [b"", b"x", b"0" * 64 + b"\nnot what it was"])
def test_a_damaged_entry_is_computed_and_written_again(damage: bytes, cache: Path) -> None:
    asked: list[int] = []

    def work(number: int) -> str:
        asked.append(number)
        return f"result {number}"

    requests = {1: ["one"], 2: ["two"]}
    first = dict(cached_map(work, requests))
    whole = {path: path.read_bytes() for path in entries(cache)}
    broken = entries(cache)[0]
    broken.write_bytes(damage)
    asked.clear()
    assert dict(cached_map(work, requests)) == first
    assert len(asked) == 1
    assert broken.read_bytes() == whole[broken]


def test_a_flipped_bit_is_detected(cache: Path) -> None:
    assert list(cached_map(str, {7: ["seven"]})) == [(7, "7")]
    (entry,) = entries(cache)
    content = entry.read_bytes()
    entry.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
    assert list(cached_map(str, {7: ["seven"]})) == [(7, "7")]
    assert entry.read_bytes() == content


def test_a_result_of_none_is_cached(cache: Path) -> None:
    asked: list[int] = []
    for _ in range(2):
        assert list(cached_map(asked.append, {3: ["three"]})) == [(3, None)]
    assert asked == [3]


def test_without_a_cache_folder_results_are_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(result_cache.VARIABLE, "off")
    assert folder_of_cache() is None
    assert list(cached_map(str, {1: ["one"]})) == [(1, "1")]
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(result_cache.VARIABLE, str(tmp_path / "file"))
    assert list(cached_map(str, {1: ["one"]})) == [(1, "1")]


def test_only_entries_of_old_programs_are_deleted(cache: Path) -> None:
    for number in range(6):
        (cache / (f"{number}" * 32)).mkdir(parents=True)
        os.utime(cache / (f"{number}" * 32), (number, number))
    (cache / "mine").mkdir()
    os.utime(cache / "mine", (0, 0))
    dict(cached_map(str, {1: ["one"]}))
    left = {path.name for path in cache.iterdir()}
    assert "mine" in left
    assert "0" * 32 not in left
    assert "5" * 32 in left


def test_worker_processes_fill_the_cache_of_one_process(cache: Path, played: list[VirtualEngine]) -> None:
    first = trials_of(SPEC, cached=True, executor=Executor(2))
    assert_frame_equal(trials_of(SPEC, cached=True), first)
    assert not played
