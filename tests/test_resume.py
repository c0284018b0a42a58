"""Test that a sweep resumes from its own intact files, and that an interrupted sweep prints one line with the kept trials."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from voicerace import files
from voicerace.cli import main
from voicerace.engine.live.targets import ProxyTarget
from voicerace.errors import InputError
from voicerace.experiments.checksums import CHECKSUMS
from voicerace.experiments.sweep.folder import new_folder
from voicerace.experiments.sweep.live import LiveSweep
from voicerace.experiments.sweep.result import SweepResult
from voicerace.experiments.sweep.sweep import sweep

#: Arguments of a sweep of five chunks of 20 trials. It keeps findings and a sample, in one recordings file per chunk.
WORDS = ["sweep", "--tool-ms", "0:198:2", "--gap-ms", "100", "--no-ties", "--keep", "10"]
PARTS = [f"{number:06d}.parquet" for number in range(5)]


def content(folder: Path) -> dict[str, bytes]:
    """Return name -> content of the reproducible files of a run. Plots are omitted, since they contain a date."""
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {
        name: data for name, data in found.items() if name != "run.json" and name.split("/")[0] not in ("damaged", "pictures")
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "run"
    assert main([*WORDS, "--out", str(out)]) == 0
    return out


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    """Return a copy of a run whose last chunk is missing."""
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "run" / "table" / PARTS[4]).unlink()
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    info |= {"complete": False, "trials": {"planned": 100, "done": 80}}
    (tmp_path / "run" / "run.json").write_text(json.dumps(info))
    return tmp_path / "run"


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def a_recording(run: Path) -> Path:
    return sorted((run / "recordings").iterdir())[1]


#: Name of the damage -> (function that damages a run, function that returns the file named in the error).
DAMAGE: dict[str, tuple[Callable[[Path], object], Callable[[Path], Path]]] = {
    "a flipped bit of a part": (lambda run: flip(run / "table" / PARTS[1]), lambda run: run / "table" / PARTS[1]),
    "a part copied over another": (
        lambda run: shutil.copy(run / "table" / PARTS[0], run / "table" / PARTS[2]),
        lambda run: run / "table" / PARTS[2],
    ),
    "an extra part of the plan": (
        lambda run: shutil.copy(run / "table" / PARTS[0], run / "table" / "000007.parquet"),
        lambda run: run / "table" / "000007.parquet",
    ),
    "an extra part with a name of its own": (
        lambda run: shutil.copy(run / "table" / PARTS[0], run / "table" / "000000-copy.parquet"),
        lambda run: run / "table" / "000000-copy.parquet",
    ),
    "a truncated recording": (lambda run: cut(a_recording(run)), a_recording),
    "an extra recording": (
        lambda run: shutil.copy(a_recording(run), run / "recordings" / "000009.jsonl.gz"),
        lambda run: run / "recordings" / "000009.jsonl.gz",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_named_set_aside_and_played_again(
    damage: str, run: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    act, file = DAMAGE[damage]
    act(run)
    named = file(run)
    damaged = named.read_bytes()
    assert main([*WORDS, "--out", str(run), "--resume"]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("voicerace:")]
    assert sum(str(named) in line for line in lines) == 1
    assert content(run) == content(whole)
    assert (run / "damaged" / named.relative_to(run)).read_bytes() == damaged, "nothing is deleted"


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_complete_sweep_with_a_damaged_file_is_repaired(
    damage: str, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    act, file = DAMAGE[damage]
    act(run)
    extra = file(run).name not in {path.name for path in whole.rglob("*")}
    assert main([*WORDS, "--out", str(run), "--resume"]) == (2 if extra else 0), "without the extra file it is complete"
    assert content(run) == content(whole)
    assert SweepResult.open(run).complete
    capsys.readouterr()
    assert main([*WORDS, "--out", str(run), "--resume"]) == 2
    assert "the sweep is complete" in capsys.readouterr().err


@pytest.mark.parametrize("damage", DAMAGE)
def test_readers_refuse_a_damaged_file_in_one_line(
    damage: str, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    act, file = DAMAGE[damage]
    act(run)
    verbs = [["compare", str(run), str(whole)], ["compare", str(whole), str(run)]]
    if file(run).parent.name == "table":
        verbs += [["again", str(run), "3"], ["report", "--run", str(run), "--out", str(tmp_path / "r.html")]]
    for words in verbs:
        capsys.readouterr()
        assert main(words) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert line.startswith(f"voicerace: error: {file(run)}: ")


def test_a_damaged_recording_is_refused_when_it_is_read(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    flip(a_recording(run))
    opened = SweepResult.open(run)
    name = next(each for each in opened.trials["recording"] if each.startswith(a_recording(run).name))
    with pytest.raises(InputError, match="damaged"):
        opened.recording(name)


def test_a_folder_without_checksums_is_resumed_with_a_warning(
    run: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / CHECKSUMS).unlink()
    assert len(SweepResult.open(run).trials) == 80
    (run / "table" / PARTS[1]).write_bytes(b"no parquet")
    kept = (run / "table" / PARTS[0]).stat().st_mtime_ns
    assert main([*WORDS, "--out", str(run), "--resume"]) == 0
    err = capsys.readouterr().err
    assert f"voicerace: {run} has no checksums" in err
    assert PARTS[1] in err
    assert (run / "table" / PARTS[0]).stat().st_mtime_ns == kept
    assert content(run) == content(whole), "and it has checksums now"


WRONG: dict[str, Any] = {
    "parameters": [1],
    "parameters.times": {"tool_ms": 5},
    "voicerace_run": "2",
    "trials": 5,
    "trials.done": "80",
    "recordings": None,
    "complete": "yes",
    "clock": 3,
    "start": 7,
    "resumed": "once",
    "end": 5,
}


@pytest.mark.parametrize("name", WRONG)
def test_a_run_json_with_wrong_types_gives_a_one_line_error(name: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    info = json.loads((run / "run.json").read_text())
    first, _, second = name.partition(".")
    info[first] = {**info[first], second: WRONG[name]} if second else WRONG[name]
    (run / "run.json").write_text(json.dumps(info))
    for words in ([*WORDS, "--out", str(run), "--resume"], ["again", str(run), "3"], ["compare", str(run), str(run)]):
        assert main(words) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert line.startswith(f"voicerace: error: {run}: run.json: {name}")


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, "\udcff", '{"voicerace_run": NaN}', "{}"])
def test_a_malformed_run_json_gives_a_one_line_error(text: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "run.json").write_bytes(text.encode(errors="surrogateescape"))
    for words in ([*WORDS, "--out", str(run), "--resume"], ["again", str(run), "3"], ["compare", str(run), str(run)]):
        assert main(words) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert line.startswith(f"voicerace: error: {run}: run.json: ")


def test_a_damaged_recording_of_a_live_sweep_is_played_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = {"times": {"tool_ms": "0:40:20", "gap_ms": "20", "reply_ms": "10", "deadline_ms": "100"}}
    live = LiveSweep([ProxyTarget.of("model:0.9.1")], at_once=3, canary=False)
    out = tmp_path / "run"
    before = sweep(spec, out=out, progress=False, live=live).trials
    first, second, third = sorted((out / "recordings").iterdir())
    cut(first)
    shutil.copy(second, third)
    kept = second.read_bytes()
    done = sweep(spec, out=out, progress=False, live=live, resume=True)
    err = capsys.readouterr().err
    assert first.name in err
    assert third.name in err
    assert second.name not in err
    assert second.read_bytes() == kept
    assert done.complete
    assert list(SweepResult.open(out).trials["tool_ms"]) == list(before["tool_ms"])
    assert SweepResult.open(out).recording(done.trials["recording"][0]).complete


# -- locking -----------------------------------------------------------------------------------------------------------


def test_a_second_writer_is_refused_even_after_files_are_deleted(tmp_path: Path) -> None:
    with new_folder(tmp_path / "run", {}) as folder:
        for each in folder.iterdir():
            shutil.rmtree(each) if each.is_dir() else each.unlink()
        with pytest.raises(InputError, match="being written"), new_folder(folder, {}):
            pass
    with new_folder(tmp_path / "run", {}):
        pass


def test_a_lock_file_is_used_if_folders_cannot_be_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = fcntl.flock

    def of_nfs(descriptor: int, how: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").resolve().is_dir():
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        real(descriptor, how)

    monkeypatch.setattr("voicerace.experiments.sweep.folder.fcntl.flock", of_nfs)
    with new_folder(tmp_path / "run", {}) as folder, pytest.raises(InputError, match="being written"), new_folder(folder, {}):
        pass


# -- interruptions -----------------------------------------------------------------------------------------------------


def resume_command(line: str) -> list[str]:
    """Return the arguments of the resume command at the end of a line."""
    program, *words = shlex.split(line.partition("; to continue: ")[2])
    assert program == "voicerace"
    return words


def last_line(err: str) -> str:
    """Return the only line that does not belong to the progress bar."""
    assert "Traceback" not in err
    [line] = [each for each in err.replace("\r", "\n").splitlines() if each.startswith("voicerace: ")]
    return line


def started(folder: Path, *more: str) -> subprocess.Popen[str]:
    words = ["--releases", "0.9.1", "--tool-ms", "uniform(0,300)", "--trials", "20000", "--no-ties", "--out", str(folder)]
    command = [sys.executable, "-m", "voicerace", "sweep", *words, *more]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def some_parts(folder: Path) -> bool:
    return len(list((folder / "table").glob("[0-9]*.parquet"))) >= 1


def test_a_killed_worker_gives_one_line_with_the_kept_trials(tmp_path: Path) -> None:
    out = tmp_path / "a run"
    with started(out, "--jobs", "2") as child:
        wait_for(lambda: some_parts(out))
        workers = psutil.Process(child.pid).children(recursive=True)
        next(each for each in workers if "spawn_main" in " ".join(each.cmdline())).kill()
        _, err = child.communicate(timeout=60)
    assert child.returncode == 2
    line = last_line(err)
    assert "jobs: a worker process ended" in line
    assert not psutil.wait_procs(workers, timeout=10)[1]
    done = len(SweepResult.open(out).trials)
    assert done > 0
    assert f"{done} of 20000 trials are kept in {out}" in line
    assert resume_command(line)[-1] == "--resume"
    assert str(out) in resume_command(line)


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_signal_ends_a_sweep_with_one_line(sign: int, jobs: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with started(out, "--jobs", jobs) as child:
        wait_for(lambda: some_parts(out))
        processes = [psutil.Process(child.pid), *psutil.Process(child.pid).children(recursive=True)]
        for each in processes if sign == signal.SIGINT else processes[:1]:  # a terminal sends SIGINT to all processes
            each.send_signal(sign)
        child.send_signal(sign) if sign == signal.SIGTERM else None  # `timeout` sends SIGTERM twice
        _, err = child.communicate(timeout=60)
    assert child.returncode == 128 + sign
    assert f"{len(SweepResult.open(out).trials)} of 20000 trials are kept in {out}" in last_line(err)


@pytest.mark.parametrize(
    "words",
    [
        ["explore", "--max-states", "1000000"],
        ["workarounds", "--again"],
        ["run", "--live", "--tool-ms", "60000"],
        ["check", "--live"],
        ["contract", "--repeats", "100"],
    ],
    ids=lambda words: words[0],
)
def test_sigterm_ends_a_command_with_143_and_one_line(words: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "voicerace", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as child:
        wait_for(lambda: psutil.Process(child.pid).cpu_times().user > 0.15)
        time.sleep(1)  # `run` waits for its tool and uses no further CPU time
        child.terminate()
        _, err = child.communicate(timeout=30)
    assert child.returncode == 143
    assert "interrupted" in last_line(err)


def test_an_interruption_inside_exec_has_the_same_status(tmp_path: Path) -> None:
    (tmp_path / "pandas.py").write_text('exec("import os; os.kill(os.getpid(), 15)")\n')
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "voicerace", "sweep"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (143, "\nvoicerace: interrupted\n")


def test_a_lost_scheduler_gives_one_line_with_the_kept_trials(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    distributed = pytest.importorskip("distributed")
    from distributed.deploy.local import LocalCluster  # noqa: F401  # checks that the extra is installed

    file = tmp_path / "scheduler.json"
    scheduler = ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file)]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    out = tmp_path / "run"
    with subprocess.Popen([sys.executable, "-m", *scheduler, "--no-dashboard"], **quiet) as child:
        wait_for(lambda: file.exists() and '"address"' in file.read_text())
        address = json.loads(file.read_text())["address"]
        worker = ["distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny"]
        with subprocess.Popen([sys.executable, "-m", *worker, "--local-directory", str(tmp_path)], **quiet) as other:
            with distributed.Client(address, set_as_default=False) as client:
                client.wait_for_workers(1, timeout=60)
            with started(out, "--dask", address) as sweeping:
                wait_for(lambda: some_parts(out))
                child.kill()
                _, err = sweeping.communicate(timeout=60)
            other.kill()
    assert sweeping.returncode == 2
    line = last_line(err)
    assert f"dask: {address}: the connection to the scheduler is lost" in line
    assert f"{len(SweepResult.open(out).trials)} of 20000 trials are kept in {out}" in line
    assert resume_command(line)[-1] == "--resume"


@pytest.mark.parametrize(("writes", "trials"), [(0, 0), (1, 0), (5, 20), (7, 40)])
def test_a_full_disk_gives_one_line_with_the_kept_trials(
    writes: int, trials: int, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left = [writes]

    def fills_up(descriptor: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    out = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(files.os, "fsync", fills_up)
        assert main([*WORDS, "--out", str(out)]) == 2
    line = last_line(capsys.readouterr().err)
    assert "No space left on device" in line
    assert f"{trials} of 100 trials are kept in {out}" in line
    assert main(resume_command(line)) == 0
    assert content(out) == content(whole)
