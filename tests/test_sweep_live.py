"""Test a sweep on real sockets: its folder and results, stopping and resuming, and its limits."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest

from voicerace.analysis.verdict import judge
from voicerace.cli import main
from voicerace.engine.live.play import Live
from voicerace.engine.live.targets import ProxyTarget, UpstreamTarget
from voicerace.errors import InputError
from voicerace.experiments.sweep.live import LiveSweep
from voicerace.experiments.sweep.sweep import SweepResult, sweep
from voicerace.report.sweep_picture import draw_sweep
from voicerace.trace.recording import Recording

TIMES = {"tool_ms": "0:160:80", "gap_ms": "80", "reply_ms": "30", "deadline_ms": "400"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> SweepResult:
    out = tmp_path_factory.mktemp("live") / "run"
    live = LiveSweep([ProxyTarget.of("model:0.9.1"), ProxyTarget.of("model:0.9.4")], at_once=4)
    return sweep({"times": TIMES, "trials": 2}, out=out, progress=False, live=live)


def test_every_trial_has_a_row_a_recording_and_its_achieved_times(run: SweepResult) -> None:
    trials = run.trials
    assert len(trials) == 2 * 3 * 2
    assert list(trials["proxy"].unique()) == ["model:0.9.1", "model:0.9.4"]
    assert (trials["tool_ms_achieved"] >= trials["tool_ms"]).all()
    assert (trials["gap_ms_achieved"] >= trials["gap_ms"]).all()
    assert trials["tool_ms_achieved"].nunique() == len(trials), "measured, not copied"
    for row in trials.to_dict("records"):
        recording = run.recording(row["recording"])
        assert judge(recording).outcome == row["outcome"]
        assert recording.provenance["release"] == row["release"]
    assert trials[trials["tool_ms"] == 0].groupby("release")["outcome"].unique().map(list).to_dict() == {
        "0.9.1": ["rejected"],
        "0.9.4": ["answered"],
    }


def test_run_json_marks_the_run_as_live(run: SweepResult) -> None:
    assert run.complete
    assert run.info["clock"] == "monotonic"
    assert [each["name"] for each in run.info["targets"]["proxy"]] == ["model:0.9.1", "model:0.9.4"]
    assert run.info["targets"]["upstream"] == [{"name": "mock"}]
    pd.testing.assert_frame_equal(SweepResult.open(run.folder).trials, run.trials)


def test_the_plot_compares_the_live_sessions_with_the_models(run: SweepResult) -> None:
    draw_sweep(run, computable=True)
    [picture] = (run.folder / "pictures").iterdir()
    text = picture.read_text("utf-8")
    assert "12 sessions of running" in text


def test_a_complete_sweep_is_not_resumed(run: SweepResult) -> None:
    live = LiveSweep([ProxyTarget.of("model:0.9.1"), ProxyTarget.of("model:0.9.4")], at_once=4)
    with pytest.raises(InputError, match="complete"):
        sweep({"times": TIMES, "trials": 2}, out=run.folder, progress=False, live=live, resume=True)


@pytest.mark.parametrize("jobs", [2, 3])
def test_parallel_proxies_give_the_same_rows(run: SweepResult, tmp_path: Path, jobs: int) -> None:
    """The sweep runs two targets in parallel, or two proxies of the first and one of the second.

    Only the columns of measured values differ.
    """
    live = LiveSweep([ProxyTarget.of("model:0.9.1"), ProxyTarget.of("model:0.9.4")], at_once=2, canary=False, jobs=jobs)
    other = sweep({"times": TIMES, "trials": 2}, out=tmp_path / "run", progress=False, live=live)
    assert other.info["targets"]["side_by_side"] == jobs
    measured = [name for name in run.trials.columns if name.endswith(("_achieved", "margin_ms", "lead_ms", "dead_air_ms"))]
    pd.testing.assert_frame_equal(other.trials.drop(columns=measured), run.trials.drop(columns=measured))


def test_a_proxy_that_does_not_start_ends_the_parallel_ones(tmp_path: Path) -> None:
    class Broken(LiveSweep):
        def _engine(self, proxy: ProxyTarget, log: Path | None) -> Live:
            if proxy.name == "model:0.9.4":
                raise InputError("proxy", "does not start")
            return super()._engine(proxy, log)

    live = Broken([ProxyTarget.of("model:0.9.1"), ProxyTarget.of("model:0.9.4")], canary=False, jobs=2)
    with pytest.raises(InputError, match="does not start"):
        sweep({"times": TIMES}, out=tmp_path / "run", progress=False, live=live)
    assert not SweepResult.open(tmp_path / "run").complete
    assert "live sessions" not in {each.name for each in threading.enumerate()}


def command(out: Path, *more: str) -> list[str]:
    words = [sys.executable, "-m", "voicerace", "sweep", "--live", "--out", str(out), "--tool-ms", "0:190:10"]
    return [*words, "--gap-ms", "80", "--reply-ms", "30", "--deadline-ms", "300", *more]


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_sweep_is_resumed(tmp_path: Path, sign: int) -> None:
    out = tmp_path / "run"
    with subprocess.Popen(command(out), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as child:
        deadline = time.monotonic() + 30
        while len(list(out.glob("recordings/[0-9]*.jsonl"))) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        child.send_signal(sign)
        _, err_text = child.communicate(timeout=20)
    assert child.returncode == (-9 if sign == signal.SIGKILL else 128 + sign)
    if sign != signal.SIGKILL:
        assert "of 20 trials are kept in" in err_text
        assert "Traceback" not in err_text
        assert not json.loads((out / "run.json").read_text())["complete"]
    kept = {path.name: path.read_bytes() for path in out.glob("recordings/[0-9]*.jsonl")}
    assert 3 <= len(kept) < 20
    for name in kept:
        assert Recording.read(out / "recordings" / name).complete
    assert main([*command(out, "--resume")[3:]]) == 0
    done = SweepResult.open(out)
    assert done.complete
    assert len(done.trials) == 20
    assert list(done.trials["tool_ms"]) == list(range(0, 200, 10))
    assert len(done.info["resumed"]) == 1
    for name, content in kept.items():
        assert (out / "recordings" / name).read_bytes() == content, "recordings never change"


def test_resuming_another_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "--resume"]) == 2
    assert "--out with the folder" in capsys.readouterr().err
    assert main(["sweep", "--resume", "--out", str(tmp_path)]) == 2
    assert "run.json" in capsys.readouterr().err


# -- limits ----------------------------------------------------------------------------------------------------------


def test_a_real_api_requires_a_session_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789abcdef")
    upstream = UpstreamTarget.of("openai")
    grid = {"times": {"tool_ms": "0:300:50"}}
    with pytest.raises(InputError, match="max_sessions: is missing") as caught:
        sweep(grid, out=tmp_path / "a", progress=False, live=LiveSweep([ProxyTarget.of("model:0.9.1")], upstream))
    assert "7 sessions connect to openai" in str(caught.value)
    live = LiveSweep([ProxyTarget.of("model:0.9.1")], upstream, max_sessions=6)
    with pytest.raises(InputError, match="max_sessions: 6; at least 7"):
        sweep(grid, out=tmp_path / "b", progress=False, live=live)
    assert not list(tmp_path.iterdir()), "nothing was started"


@pytest.mark.parametrize(
    ("words", "error_text"),
    [
        (["run", "--proxy", "model:0.9.1"], "with --live"),
        (["run", "--upstream", "mock"], "with --live"),
        (["run", "--live", "--proxy", "model:0.9.1", "--proxy", "model:0.9.4"], "a sweep takes several"),
        (["run", "--live", "--proxy", "model:0.9.1", "--release", "0.9.4"], "one of them"),
        (["run", "--live", "--proxy", "ws://127.0.0.1:1", "--upstream", "mock"], "--listen"),
        (["run", "--live", "--listen", "0"], "only with a proxy at"),
        (["run", "--live", "--key-from", "HOME"], "--upstream"),
        (["run", "--live", "--silence-s", "0"], "more than 0"),
        (["sweep", "--live", "--log", "x"], "nothing"),
        (["sweep", "--live", "--proxy", "model:0.9.1", "--proxy", "model:0.9.4", "--releases", "0.9.1"], "only --proxy"),
        (["repro", "--proxy", "backend:/nonexistent"], "no scripts"),
        (["serve", "upstream", "--listen", "x"], "HOST"),
        (["serve", "upstream", "--fault", "explode"], "allowed are"),
        (["serve", "proxy", "--upstream", "mock"], "openai, ws"),
    ],
)
def test_contradictory_options_give_one_line(words: list[str], error_text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    err = capsys.readouterr().err
    assert error_text in err
    assert err.count("\n") == 1
