"""Test executors and resumed sweeps: neither the executor nor a kill with a resume changes the table."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from voicerace.cli import main
from voicerace.errors import InputError
from voicerace.experiments.executors import Executor
from voicerace.experiments.sweep.chunks import chunk_count, chunk_size
from voicerace.experiments.sweep.spec import Plan, SweepSpec, sessions
from voicerace.experiments.sweep.sweep import SweepResult, sweep

SPEC: dict[str, Any] = {
    "releases": "0.9.1,0.9.4",
    "scenarios": "single,parallel",
    "times": {"tool_ms": "uniform(0,300)", "gap_ms": "40:140:100"},
    "trials": 12,
    "ties": False,
    "keep": 10,
}


def content(folder: Path) -> dict[str, bytes]:
    """Return file name -> content of the files of a run that do not depend on the executor."""
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: data for name, data in found.items() if name not in ("run.json", ".lock")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sweep(SPEC, out=tmp_path_factory.mktemp("whole") / "run", progress=False).folder


# -- the plan --------------------------------------------------------------------------------------------------------


def test_a_part_of_a_plan_equals_that_part_of_all_sessions() -> None:
    spec = SweepSpec(**SPEC)
    plan, everything = Plan.of(spec), list(sessions(spec))
    assert len(plan) == len(everything) == 96
    for start, stop in ((0, 1), (11, 14), (40, 96), (95, 200), (96, 99)):
        assert list(plan.part(start, stop)) == everything[start:stop]


def test_chunks_cover_a_plan_exactly_once() -> None:
    for trials in (1, 19, 20, 21, 1280, 1281, 63_999, 64_001, 1_000_000):
        size, count = chunk_size(trials), chunk_count(trials)
        assert (count - 1) * size < trials <= count * size
        assert size <= 1000


def test_every_part_of_the_table_has_the_same_columns(whole: Path) -> None:
    import pyarrow.parquet as pq

    schemas = {tuple(pq.read_schema(path).names) for path in (whole / "table").iterdir()}
    assert len(schemas) == 1
    assert "tool_ms_2" in schemas.pop()


# -- executors ---------------------------------------------------------------------------------------------------------


class Shuffled(Executor):
    def map(self, work: Any, numbers: Any) -> Any:
        yield from super().map(work, random.Random(3).sample(list(numbers), len(list(numbers))))


@pytest.mark.parametrize("executor", [Executor(jobs=2), Shuffled()], ids=["two processes", "another order"])
def test_the_folder_is_the_same_for_any_executor(whole: Path, tmp_path: Path, executor: Executor) -> None:
    other = sweep(SPEC, out=tmp_path / "run", progress=False, executor=executor).folder
    assert content(other) == content(whole)
    assert len(content(whole)) > 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--jobs", "0"], "jobs: 0"),
        (["--jobs", "-3"], "jobs: -3"),
        (["--dask", "nowhere"], "dask: nowhere"),
        (["--live", "--jobs", "-1"], "jobs: -1 in a live sweep"),
        (["--live", "--jobs", "2", "--proxy", "ws://127.0.0.1:1"], "jobs: 2 with a proxy at an address"),
        (["--live", "--dask", "tcp://127.0.0.1:1"], "dask: given to a live sweep"),
    ],
)
def test_an_invalid_executor_is_bad_input(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", "--out", str(tmp_path / "run"), *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err.splitlines()[-1]


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, *arguments], stderr=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


def test_a_cluster_with_a_killed_worker_gives_the_same_rows(whole: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    scheduler = ["-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    with ExitStack() as stack:
        address_file = tmp_path / "scheduler.json"
        stack.enter_context(process(*scheduler, "--scheduler-file", str(address_file)))
        wait_for(lambda: address_file.exists() and '"address"' in address_file.read_text())
        import json

        address = json.loads(address_file.read_text())["address"]
        worker = ["-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny"]
        first, _ = (
            stack.enter_context(process(*worker, "--local-directory", str(tmp_path / name))) for name in ("first", "second")
        )
        import distributed

        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)

        class Killing(Executor):
            """An executor that kills the first worker after the first chunk has returned."""

            def map(self, work: Any, numbers: Any) -> Any:
                for number, chunk in enumerate(super().map(work, numbers)):
                    if number == 0:
                        first.kill()
                    yield chunk

        run = sweep(SPEC, out=tmp_path / "run", progress=False, executor=Killing(dask=address))
        assert first.wait(10) == -signal.SIGKILL
    assert run.complete
    assert content(run.folder) == content(whole)


def wait_for(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# -- resumed sweeps --------------------------------------------------------------------------------------------------

COMMAND = [
    "sweep", "--releases", "0.9.1,0.9.4", "--scenarios", "single,parallel", "--tool-ms", "uniform(0,300)",
    "--gap-ms", "40:140:100", "--trials", "12", "--no-ties", "--keep", "10",
]  # fmt: skip


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_killed_sweep_resumes_where_its_table_ends(whole: Path, tmp_path: Path, after: int) -> None:
    """The sweep is killed when its table has `after` parts; 0 means before the first part."""
    out = tmp_path / "run"
    with process("-m", "voicerace", *COMMAND, "--out", str(out)) as child:
        wait_for((lambda: (out / "recordings").exists()) if after == 0 else lambda: len(list_parts(out)) >= after)
        os.kill(child.pid, signal.SIGKILL)
        child.wait(10)
    before = {path.name: path.stat().st_mtime_ns for path in list_parts(out)}
    assert main([*COMMAND, "--out", str(out), "--resume"]) == 0
    assert content(out) == content(whole)
    for path in list_parts(out):
        assert before.get(path.name, path.stat().st_mtime_ns) == path.stat().st_mtime_ns, "finished parts are not repeated"
    assert SweepResult.open(out).complete


def test_no_worker_outlives_a_sweep_that_was_killed(tmp_path: Path) -> None:
    """Unfinished chunks are not written after the kill."""
    out = tmp_path / "run"
    arguments = ["--tool-ms", "uniform(0,300)", "--trials", "100000", "--no-ties", "--jobs", "2", "--out", str(out)]
    with process("-m", "voicerace", "sweep", "--releases", "0.9.1", *arguments) as child:
        wait_for(lambda: len(list_parts(out)) >= 1, 120)
        workers = psutil.Process(child.pid).children(recursive=True)
        assert len(workers) >= 2
        child.kill()
        child.wait(10)
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive
    there = [path.name for path in list_parts(out)]
    time.sleep(0.1)
    assert [path.name for path in list_parts(out)] == there


def list_parts(folder: Path) -> list[Path]:
    return sorted((folder / "table").glob("[0-9]*.parquet"))


def test_a_stopped_sweep_resumes_only_with_the_same_parameters(whole: Path, tmp_path: Path) -> None:
    class Stopped(Executor):
        def map(self, work: Any, numbers: Any) -> Any:
            yield work(3)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(SPEC, out=tmp_path / "run", progress=False, executor=Stopped())
    with pytest.raises(InputError, match="parameters differ"):
        sweep(SPEC | {"trials": 11}, out=tmp_path / "run", progress=False, resume=True)
    run = sweep(SPEC, out=tmp_path / "run", progress=False, resume=True)
    assert content(run.folder) == content(whole)
    assert len(run.info["resumed"]) == 1
    with pytest.raises(InputError, match="complete"):
        sweep(SPEC, out=tmp_path / "run", progress=False, resume=True)
