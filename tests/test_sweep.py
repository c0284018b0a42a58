"""Test that a sweep plays its specification, gives the same bytes twice, and leaves a consistent folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from voicerace.analysis.verdict import judge
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.errors import InputError
from voicerace.experiments.executors import Executor
from voicerace.experiments.rates import wilson
from voicerace.experiments.sweep.cell_ranges import cell_ranges, share_text
from voicerace.experiments.sweep.folder import commit, new_folder
from voicerace.experiments.sweep.spec import sessions
from voicerace.experiments.sweep.sweep import SweepResult, SweepSpec, sweep, trials_of
from voicerace.experiments.sweep.table import STORY
from voicerace.experiments.sweep.trials import frame_of
from voicerace.trace.recording import Recording

SMALL: dict[str, Any] = {"releases": ["0.9.1", "0.11.1"], "times": {"tool_ms": "50:250:100"}}


@pytest.fixture
def run(tmp_path: Path) -> SweepResult:
    return sweep(SMALL, out=tmp_path / "run", progress=False)


# -- specification ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"release": ["0.9.1"]}, "release"),
        ({"releases": ["9.9.9"]}, "releases"),
        ({"releases": []}, "releases"),
        ({"releases": "0.2.8"}, "releases"),
        ({"scenarios": ["singel"]}, "scenarios"),
        ({"handlers": ["returns"]}, "handlers"),
        ({"modalities": ["video"]}, "modalities"),
        ({"component": "1.0"}, "component"),
        ({"profile": "lan"}, "profile"),
        ({"knobs": {"gravity": "off"}}, "knob"),
        ({"calls": [9], "scenarios": ["parallel"]}, "calls"),
        ({"calls": [2]}, "calls"),
        ({"times": {"tool": 5}}, "tool"),
        ({"times": {"tool_ms": "fast"}}, "tool_ms"),
        ({"times": {"tool_ms": True}}, "tool_ms"),
        ({"times": {"gap_ms": "5,5"}}, "gap_ms"),
        ({"times": {"hold_ms": 5}}, "hold_ms"),
        ({"times": ["tool_ms"]}, "times"),
        ({"trials": 0}, "trials"),
        ({"seed": "one"}, "seed"),
        ({"keep": -1}, "keep"),
    ],
)
def test_a_wrong_parameter_is_named(given: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError) as caught:
        SweepSpec(**given)
    assert caught.value.where == named


def test_inconsistent_times_are_refused_before_anything_is_played(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="item_done_ms"):
        sweep({"times": {"gap_ms": "0:100:50", "item_done_ms": 80}}, out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_too_many_trials_are_refused() -> None:
    with pytest.raises(InputError, match="251001 trials; at most 200000 at once"):
        trials_of({"times": {"tool_ms": "0:500:1", "gap_ms": "0:500:1"}})
    with pytest.raises(InputError, match="25010001 trials"):
        next(sessions(SweepSpec(times={"tool_ms": "0:5000:1", "gap_ms": "0:500:0.1"})))


def test_names_may_be_comma_separated_and_duplicates_are_dropped() -> None:
    spec = SweepSpec(releases="v0.9.1, 0.9.1,0.9.4", handlers="all", calls="2,3", scenarios="parallel", trials="4")
    assert spec.releases == ("0.9.1", "0.9.4")
    assert len(spec.handlers) == 6
    assert (spec.calls, spec.trials) == ((2, 3), 4)


def test_all_grids_form_one_product() -> None:
    spec = SweepSpec(
        releases="0.9.1,0.9.4", scenarios="single,parallel", calls=(2, 3), times={"tool_ms": "0:20:10", "gap_ms": "5:6:1"}
    )
    cells = [session for _, session in sessions(spec)]
    # A scenario with a fixed number of calls has one cell. The scenario with a free number has one cell per number.
    assert len(cells) == 2 * (1 + 2) * 3 * 2
    assert len({(c.release.tag, c.scenario.name, c.calls, *c.times.to_json().items()) for c in cells}) == len(cells)


def test_a_profiles_own_distribution_is_kept() -> None:
    spec = SweepSpec(profile="observed-2025", times={"tool_ms": "0:100:50"}, trials=3)
    assert [trial for trial, _ in sessions(spec)] == [0, 1, 2] * 3  # the profile draws first_item_ms


def test_fixed_times_give_one_session_per_cell() -> None:
    assert len(list(sessions(SweepSpec(trials=50)))) == 1


# -- seeds -----------------------------------------------------------------------------------------------------------


def test_releases_and_handlers_get_the_same_draws() -> None:
    trials = trials_of({"releases": "0.9.1,0.9.4", "times": {"tool_ms": "uniform(0,300)"}, "trials": 4, "ties": False})
    by_release = [list(group["tool_ms"]) for _, group in trials.groupby("release")]
    assert by_release[0] == by_release[1]
    assert len(set(by_release[0])) == 4
    assert list(trials["drawn"].unique()) == ["tool_ms"]


def test_neighbouring_seeds_share_no_draws() -> None:
    seeds = [{s.seed for _, s in sessions(SweepSpec(times={"gap_ms": "uniform(0,1)"}, trials=50, seed=n))} for n in (0, 1)]
    assert not seeds[0] & seeds[1]
    assert all(seed < 2**53 for seed in seeds[0])


def test_a_row_can_be_replayed_from_its_columns(run: SweepResult) -> None:
    row = run.trials.iloc[0]
    again = trials_of({"releases": row["release"], "times": {"tool_ms": row["tool_ms"]}})
    assert again.iloc[0]["outcome"] == row["outcome"]


# -- rows ------------------------------------------------------------------------------------------------------------


def test_a_row_has_the_parameters_and_the_outcome(run: SweepResult) -> None:
    row = run.trials.set_index(["release", "tool_ms"]).loc[("0.9.1", 50.0)]
    assert row["outcome"] == "rejected"
    assert row["tie_outcome"] != row["outcome"]
    assert (row["refusals"], row["host_errors"], row["response_creates"], row["replies"]) == (1, 1, 1, 0)
    assert (row["margin_ms"], row["lead_ms"]) == (-100.0, -100.0)
    assert pd.isna(row["dead_air_ms"])
    assert row["bad"]
    assert (row["gap_ms"], row["component"], row["calls"]) == (150.0, "0.9.1", 1)


def test_a_tie_is_in_the_row_of_its_value(run: SweepResult) -> None:
    ties = run.trials.dropna(subset=["tie_outcome"])
    assert set(zip(ties["release"], ties["tool_ms"], ties["outcome"], ties["tie_outcome"], strict=True)) == {
        ("0.9.1", 150.0, "answered", "rejected"),
        ("0.11.1", 150.0, "answered", "lost"),
    }
    assert trials_of(SMALL | {"ties": False})["tie_outcome"].isna().all()


def test_times_of_further_calls_have_their_own_columns() -> None:
    trials = trials_of({"scenarios": "parallel", "calls": 3, "times": {"tool_ms": "50,80", "gap_ms": 10}, "ties": False})
    assert trials.iloc[0][["tool_ms", "tool_ms_2", "tool_ms_3"]].tolist() == [50.0, 80.0, 80.0]
    assert "gap_ms_2" not in trials
    assert "arguments_ms_2" not in trials


def test_an_unset_optional_time_is_missing_and_not_zero() -> None:
    assert trials_of({"ties": False})["item_done_ms"].isna().all()


def test_columns_and_types_do_not_depend_on_the_results() -> None:
    some = trials_of({"ties": False})
    assert list(frame_of([]).dtypes) == list(some.dtypes)
    assert list(frame_of([]).columns) == list(some.columns)


# -- folder ----------------------------------------------------------------------------------------------------------


def test_a_written_sweep_reads_back_unchanged(run: SweepResult) -> None:
    again = SweepResult.open(run.folder)
    pd.testing.assert_frame_equal(again.trials, run.trials)
    assert again.info == json.loads((run.folder / "run.json").read_text())
    assert again.complete


def test_further_columns_and_missing_values_read_back_unchanged(tmp_path: Path) -> None:
    spec = {"scenarios": "parallel", "times": {"tool_ms": "uniform(20,80)"}, "trials": 2, "knobs": {"item_before_output": "no"}}
    run = sweep(spec, out=tmp_path / "run", progress=False)
    pd.testing.assert_frame_equal(SweepResult.open(run.folder).trials, run.trials)
    assert run.trials["knobs"].unique().tolist() == ["item_before_output=no"]


def test_the_same_spec_gives_the_same_bytes(run: SweepResult, tmp_path: Path) -> None:
    other = sweep(SMALL, out=tmp_path / "other", progress=False)
    names = sorted(path.name for path in (run.folder / "recordings").iterdir())
    for name in ("table/000000.parquet", "summary.csv"):
        assert (run.folder / name).read_bytes() == (other.folder / name).read_bytes()
    for name in names:
        assert (run.folder / "recordings" / name).read_bytes() == (other.folder / "recordings" / name).read_bytes()


def test_run_json_describes_the_sweep_without_a_path(run: SweepResult, tmp_path: Path) -> None:
    values = tmp_path / "measured.csv"
    values.write_text("ms\n10\n20\n")
    drawn = sweep({"times": {"gap_ms": f"@{values}"}, "trials": 2}, out=tmp_path / "drawn", progress=False)
    text = (drawn.folder / "run.json").read_text() + (run.folder / "run.json").read_text()
    assert str(tmp_path) not in text
    assert drawn.info["parameters"]["times"]["gap_ms"].startswith("@measured.csv (SHA-256 ")
    assert run.info["targets"]["proxy"][0] == {"name": "model:0.9.1", "source": "c19f51aae23f", "release": "0.9.1"}
    assert run.info["clock"] == "virtual"
    assert run.info["start"] <= run.info["end"]
    assert run.info["versions"]["python"]
    assert run.info["commit"] == commit()


def test_a_small_sweep_keeps_every_recording(run: SweepResult) -> None:
    assert run.info["recordings"] == {"rule": "all", "kept": 6}
    row = run.trials.iloc[0]
    recording = run.recording(row["recording"])
    assert isinstance(recording, Recording)
    assert judge(recording).outcome == row["outcome"]


@pytest.mark.long
def test_a_large_sweep_keeps_every_finding_and_a_sample_of_the_rest(tmp_path: Path) -> None:
    spec = {"times": {"tool_ms": "0:300:1"}, "keep": 5, "ties": False}
    run = sweep(spec, out=tmp_path / "run", progress=False)
    kept = run.trials["recording"] != ""
    assert kept[run.trials["bad"]].all()
    rest = kept[~run.trials["bad"]]
    assert 0 < rest.sum() < len(rest) / 4
    assert run.info["recordings"] == {"rule": "every finding, and about one in 64 of the rest", "kept": int(kept.sum())}
    for number, row in run.trials[kept].sample(5, random_state=1).iterrows():
        recording = run.recording(row["recording"])
        assert recording.provenance["times"]["tool_ms"] == f"{row['tool_ms']:g}"
        assert judge(recording).outcome == row["outcome"]
        assert recording == run.again(int(number))  # type: ignore[call-overload]
    for name in ("", "../run.json", "000000.jsonl.gz:x"):
        with pytest.raises(InputError, match="not kept"):
            run.recording(name)
    with pytest.raises(InputError, match="holds"):
        run.recording("000000.jsonl.gz:999")


def test_any_trial_is_replayed_from_its_seed(tmp_path: Path) -> None:
    spec = {"releases": "0.9.1,0.11.1", "times": {"tool_ms": "uniform(0,300)"}, "trials": 12, "keep": 500}
    run = sweep(spec, out=tmp_path / "run", progress=False)
    for number, row in run.trials.iterrows():
        assert list(run.again(int(number)).lines()) == list(run.recording(row["recording"]).lines())  # type: ignore[call-overload]
        assert run.recording_of(int(number)) == run.recording(row["recording"])  # type: ignore[call-overload]
    with pytest.raises(InputError, match="0 to 23"):
        run.again(24)


def test_trials_with_values_of_a_file_cannot_be_replayed(tmp_path: Path) -> None:
    (tmp_path / "measured.csv").write_text("10\n20\n")
    run = sweep({"times": {"gap_ms": f"@{tmp_path}/measured.csv"}, "trials": 2}, out=tmp_path / "run", progress=False)
    with pytest.raises(InputError, match="drawn from a file"):
        run.again(0)


def test_the_summary_counts_every_trial(run: SweepResult) -> None:
    summary = pd.read_csv(run.folder / "summary.csv", keep_default_na=False)
    assert summary["trials"].sum() == len(run.trials)
    found = summary.groupby(["release", "outcome"])["trials"].sum().to_dict()
    assert found == run.trials.groupby(["release", "outcome"]).size().to_dict()
    assert summary["ties"].sum() == run.trials["tie_outcome"].notna().sum()
    assert (summary["of"] == 1).all()


def test_the_summary_has_a_row_per_cell_of_every_grid(tmp_path: Path) -> None:
    """The same tool time gives different outcomes at gaps of 8 and 300 ms. A merged row would hide the difference."""
    run = sweep({"times": {"gap_ms": "300,8", "tool_ms": "50:350:150"}, "ties": False}, out=tmp_path / "run", progress=False)
    summary = pd.read_csv(run.folder / "summary.csv")
    found = summary.set_index(["gap_ms", "tool_ms"])
    assert found["outcome"].to_dict() == {
        (8, 50): "answered", (8, 200): "answered", (8, 350): "answered",
        (300, 50): "rejected", (300, 200): "rejected", (300, 350): "answered",
    }  # fmt: skip
    assert (summary["share"] == 1).all()
    assert set(summary["kind"]) == {"computed"}
    assert summary[["low", "high"]].isna().all().all(), "computed shares have no interval"
    ranges = run.ranges()
    columns = ["gap_ms", "tool_ms", "cells", "outcome"]
    assert ranges[columns].to_numpy().tolist() == [
        ["8", "50–350", 3, "answered"], ["300", "50–200", 2, "rejected"], ["300", "350", 1, "answered"],
    ]  # fmt: skip


def test_drawn_times_have_an_interval_per_cell(tmp_path: Path) -> None:
    spec = {"times": {"gap_ms": "0,150", "tool_ms": "uniform(0,300)"}, "trials": 40}
    run = sweep(spec, out=tmp_path / "run", progress=False)
    for row in run.outcomes.to_dict("records"):
        assert (row["of"], row["judged"], row["kind"]) == (40, 40, "estimated")
        assert (row["low"], row["high"]) == wilson(row["trials"], 40)
    assert set(run.outcomes["gap_ms"]) == {0, 150}
    assert run.outcomes.groupby("gap_ms")["share"].sum().eq(1).all()
    # The table has several parts, and cells that span several parts are merged.
    assert len(list((run.folder / "table").iterdir())) > 1


def test_run_json_lists_the_assumed_times(run: SweepResult, tmp_path: Path) -> None:
    assert run.assumed["gap_ms"] == "150"
    assert "tool_ms" not in run.assumed
    assert "item_done_ms" not in run.assumed, "this time is not set"
    given = sweep({"scenarios": "slow-tool", "times": {"gap_ms": "8"}}, out=tmp_path / "given", progress=False)
    assert not {"gap_ms", "tool_ms"} & set(json.loads((given.folder / "run.json").read_text())["assumed"])


def test_a_scenario_keeps_its_own_times_in_a_sweep() -> None:
    """Regression: a sweep of slow-tool used a tool time of 50 ms."""
    assert list(trials_of({"scenarios": "slow-tool,single", "ties": False})["tool_ms"]) == [25_000, 50]
    assert list(trials_of({"scenarios": "slow-tool", "times": {"tool_ms": 5}, "ties": False})["tool_ms"]) == [5]


def test_a_range_ends_where_a_cell_was_not_played() -> None:
    trials = {
        "release": "0.9.1",
        "proxy": "model:0.9.1",
        "outcome": "answered",
        "trials": 1,
        "of": 1,
        "judged": 1,
        "share": 1.0,
    }
    rows = [dict.fromkeys(STORY, "") | trials | {"low": None, "high": None, "kind": "computed", "bad": 0, "ties": 0}] * 5
    outcomes = pd.DataFrame(rows).assign(gap_ms=[1, 1, 1, 2, 2], tool_ms=[0, 10, 20, 0, 20])
    assert cell_ranges(outcomes, ["tool_ms", "gap_ms"])[["gap_ms", "tool_ms", "cells"]].to_numpy().tolist() == [
        ["1", "0–20", 3], ["2", "0", 1], ["2", "20", 1],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("share", "text"), [(1, "100 %"), (0.9996, ">99.9 %"), (0.0004, "<0.1 %"), (0, "0 %"), (0.737, "73.7 %")]
)
def test_rounding_never_makes_a_share_0_or_100_percent(share: float, text: str) -> None:
    assert share_text(share) == text


@pytest.mark.parametrize(
    ("times", "ties", "looked"),
    [
        ({"tool_ms": "150"}, None, True),
        ({"tool_ms": "uniform(0,300)"}, None, False),
        ({"tool_ms": "lognormal(4,1)"}, None, False),
        ({"tool_ms": "uniform(150,150)"}, None, True),
        ({"host_rtt_ms": "uniform(0,300)", "tool_ms": "150"}, True, True),
        ({"tool_ms": "150"}, False, False),
    ],
)
def test_ties_are_searched_unless_a_time_has_a_continuous_distribution(
    times: dict[str, str], ties: bool | None, looked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched = []

    def played(session: SessionConfig, *, with_ties: bool) -> tuple[Recording, str | None]:
        searched.append(with_ties)
        return simulate(session), None

    monkeypatch.setattr("voicerace.experiments.sweep.chunks.played", played)
    spec = SweepSpec(times=times, ties=ties)
    trials_of(spec)
    assert searched == [looked]
    assert spec.to_json()["ties"] is looked


def test_latest_points_to_the_newest_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = sweep({}, progress=False)
    second = sweep({}, progress=False)
    assert first.folder != second.folder
    assert (tmp_path / "runs" / "latest").resolve() == second.folder.resolve()
    assert not os.path.isabs(os.readlink(tmp_path / "runs" / "latest"))
    assert SweepResult.open("runs/latest").trials.equals(second.trials)


def test_a_chosen_folder_gets_no_files_beside_it(run: SweepResult) -> None:
    assert [path.name for path in run.folder.parent.iterdir()] == [run.folder.name]
    assert not list(run.folder.rglob("*.part"))


def test_a_second_sweep_in_a_folder_is_refused(run: SweepResult, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds a run already"):
        sweep(SMALL, out=run.folder, progress=False)
    with new_folder(tmp_path / "busy", {}), pytest.raises(InputError, match="being written"):
        sweep(SMALL, out=tmp_path / "busy", progress=False)


def test_the_folder_is_locked_while_it_is_written(tmp_path: Path) -> None:
    class Locked(Executor):
        def map(self, work: Any, numbers: Any) -> Any:
            for path in (tmp_path / "run").glob(".*"):
                path.unlink()  # the lock file does not match this pattern
            with pytest.raises(InputError, match="being written"):
                sweep(SMALL, out=tmp_path / "run", progress=False, resume=True)
            yield from ()
            raise RuntimeError("seen")

    with pytest.raises(RuntimeError, match="seen"):
        sweep(SMALL, out=tmp_path / "run", progress=False, executor=Locked())


def test_a_file_in_place_of_the_folder_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="out"):
        sweep(SMALL, out=tmp_path / "file", progress=False)


# -- interruption and damage -----------------------------------------------------------------------------------------


def test_an_interrupted_sweep_keeps_the_finished_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(Executor):
        def map(self, work: Any, numbers: Any) -> Any:
            yield work(next(iter(numbers)))
            raise KeyboardInterrupt

    spec = {"times": {"tool_ms": "0:300:10"}, "keep": 500}
    with pytest.raises(KeyboardInterrupt, match=r"20 of 31 trials are kept in .* --resume --out"):
        sweep(spec, out=tmp_path / "run", progress=False, executor=Interrupted())
    with pytest.raises(InputError, match=r"holds a run that was stopped; .*--resume"):
        sweep(spec, out=tmp_path / "run", progress=False)
    (tmp_path / "runs").mkdir()
    (tmp_path / "run").rename(tmp_path / "runs" / "20261130T000000Z-1")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"was stopped \(runs/20261130T000000Z-1 is one\)"):
        sweep(spec, progress=False, resume=True)
    (tmp_path / "runs" / "20261130T000000Z-1").rename(tmp_path / "run")
    run = SweepResult.open(tmp_path / "run")
    assert not run.complete
    assert list(run.trials["tool_ms"]) == list(range(0, 200, 10))
    assert run.info["trials"] == {"planned": 31, "done": 20}
    assert all(run.recording(name) for name in run.trials["recording"])


@pytest.mark.parametrize(
    "break_", ["gone", "no run.json", "no end", "no table", "cut table", "no column", "no parquet", "schema", "other json"]
)
@pytest.mark.long
def test_a_folder_without_a_valid_run_is_an_input_error(run: SweepResult, break_: str) -> None:
    info, table = run.folder / "run.json", run.folder / "table" / "000000.parquet"
    match break_:
        case "gone":
            run = SweepResult(run.folder / "nowhere", {})
        case "no run.json":
            info.unlink()
        case "no end":
            info.write_text(json.dumps({**run.info, "end": None}))
        case "no table":
            table.unlink()
        case "cut table":
            pq.write_table(pq.read_table(table).slice(1), table)
        case "no column":
            pq.write_table(pq.read_table(table).drop_columns("outcome"), table)
        case "no parquet":
            table.write_bytes(table.read_bytes()[:-10])
        case "schema":
            info.write_text(json.dumps({**run.info, "voicerace_run": 99}))
        case "other json":
            info.write_text("[]")
    with pytest.raises(InputError) as caught:
        SweepResult.open(run.folder)
    assert str(run.folder) in caught.value.where


def test_the_progress_bar_is_on_standard_error_only(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    sweep({}, out=tmp_path / "run")
    seen = capfd.readouterr()
    assert seen.out == ""
    assert "sweep" in seen.err
    sweep({}, out=tmp_path / "quiet", progress=False)
    assert capfd.readouterr().err == ""
