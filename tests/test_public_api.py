"""Test that wrong input to the public Python API raises one InputError that names the parameter."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import voicerace
import voicerace.notebook
import voicerace.plots
from voicerace import InputError, Link, Recording, SessionConfig, SweepResult, judge, read_recordings, simulate
from voicerace.engine.session import knobs
from voicerace.experiments.boundary import boundaries
from voicerace.experiments.rates import wilson
from voicerace.experiments.sweep.sweep import SweepSpec, sweep, trials_of
from voicerace.model.parameters import Fixed, LogNormal, Times, parse

NAN, INF = math.nan, math.inf
HUGE = 10**5000


@cache
def session() -> SessionConfig:
    return SessionConfig.of()


@cache
def recording() -> Recording:
    return simulate(session())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> SweepResult:
    return sweep({"times": {"tool_ms": "0:200:100"}}, out=tmp_path_factory.mktemp("api") / "run", progress=False)


# -- numbers of Python and NumPy -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (50, "50"),
        (np.int64(50), "50"),
        (np.uint8(50), "50"),
        (np.float64(0.5), "0.5"),
        (np.array(50), "50"),
        (Decimal("0.1"), "0.1"),
        ([50, 80], "50,80"),
        ((50, np.int32(80)), "50,80"),
        (range(2), "0,1"),
        (np.array([50, 80.5]), "50,80.5"),
        (pd.Series([50, 80], index=[7, 8]), "50,80"),
        (np.str_("uniform(20,80)"), "uniform(20,80)"),
        ("50,80", "50,80"),
    ],
)
def test_a_time_is_a_number_a_sequence_of_numbers_or_text(given: object, text: str) -> None:
    assert SessionConfig.of(scenario="parallel", times={"tool_ms": given}).times.to_json()["tool_ms"] == text
    spec = SweepSpec(scenarios="parallel", times={"tool_ms": given})
    assert spec.times["tool_ms"] == text


def test_numpy_integers_become_python_integers() -> None:
    made = SessionConfig.of(scenario="parallel", calls=np.int64(3), seed=np.int64(7))
    assert (type(made.calls), type(made.seed)) == (int, int)
    assert list(simulate(made).lines())
    spec = SweepSpec(scenarios="parallel", calls=np.array([2, 3]), trials=np.int64(5), seed=np.uint8(2), keep=np.int16(4))
    assert (spec.calls, spec.trials, spec.seed, spec.keep) == ((2, 3), 5, 2, 4)
    assert SweepSpec(releases=np.array(["0.9.1", "0.9.4"])).releases == ("0.9.1", "0.9.4")


def test_several_values_of_a_session_time_are_a_sweep_axis() -> None:
    for given in ("300,8,150", [300, 8, 150], np.array([300, 8, 150])):
        assert list(trials_of({"times": {"gap_ms": given}})["gap_ms"]) == [8, 150, 300]
    assert len(SweepSpec(times={"gap_ms": list(range(20))}).times["gap_ms"].split(",")) == 20


def test_a_draw_with_a_large_logarithm_is_at_most_a_day() -> None:
    value = parse("tool_ms", "lognormal(18,9)")
    assert isinstance(value, LogNormal)
    simulate(SessionConfig.of(times={"tool_ms": "lognormal(18,9)", "deadline_ms": 10}))


def test_a_session_is_shifted_only_in_times_that_it_has() -> None:
    held = SessionConfig.of(workaround="wait-fixed", times={"hold_ms": 300})
    assert held.shifted(hold_ms=np.int64(100)).times.to_json()["hold_ms"] == "400"
    assert session().shifted(tool_ms=Decimal("-0.5")).times.to_json()["tool_ms"] == "49.5"


def test_links_are_selected_by_their_printed_name() -> None:
    link = Link("proxy", "upstream")
    assert recording().on(link)
    assert recording().on("proxy>upstream") == recording().on(("proxy", "upstream")) == recording().on(link)  # type: ignore[arg-type]


# -- wrong input -----------------------------------------------------------------------------------------------------

SESSION_OF: dict[str, list[object]] = {
    "release": ["9.9", 0.91, None, [], b"0.9.1", NAN],
    "component_tag": ["9.9", 5, "", True],
    "scenario": ["singel", 5, None, ["single"], {}],
    "handler": ["nonsense", None, ["return"], True],
    "profile": ["moon", None, 5, ["loopback"]],
    "modality": ["smell", None, ["text"]],
    "calls": [0, 2, 9, -1, True, 1.0, NAN, INF, "1", HUGE, [1]],
    "preamble": ["no", 1, None, NAN],
    "idle_close": ["no", 0, None],
    "tool_end": ["maybe", "", 5, ["result"]],
    "workaround": ["hope", 5, True, ["wait-fixed"]],
    "knobs_given": [{"gravity": "off"}, {"function_output": 5}, {5: "x"}, {"error_after_create": 5}, ["a"], "a=b", 5],
    "seed": [-1, True, 1.5, NAN, INF, "1", None, HUGE],
    "times": [
        "tool_ms=5", 5, ["tool_ms"], {"tool": 5}, {5: 5}, {None: 5}, {"hold_ms": 5}, {"item_done_ms": 151},
        *({"tool_ms": value} for value in (
            NAN, INF, -INF, -1, True, np.bool_(False), HUGE, -HUGE, 86_400_001, [], [50] * 9, [True], [NAN], [-1], [[50]],
            {"a": 5}, {50}, b"50", object, 5j, pd.NA, np.datetime64("2020"), np.zeros((2, 2)), pd.Series([1, None]),
            "nan", "inf", "", "0:400:10", "1" * 99, "fast", "uniform(2,1)", "@", "@\0",
        )),
        {"gap_ms": "50,80"}, {"gap_ms": [50, 80]},
    ],
}  # fmt: skip

REPLACED: dict[str, list[object]] = {
    "release": ["0.9.1", None],
    "component": ["9.9", None, 5, []],
    "scenario": ["single", None],
    "handler": ["nonsense", None, []],
    "times": [{}, None, {"tool_ms": 5}],
    "profile": ["moon", None],
    "modality": ["smell", None],
    "calls": [0, 2, 9, True, 1.0, "1", NAN],
    "preamble": ["no", 1],
    "idle_close": [None],
    "tool_end": ["maybe", None],
    "workaround": ["hope", 5, "wait-fixed"],
    "knobs": [{}, None],
    "seed": [-1, 1.5, NAN, True],
    "schedule": [{}, 5],
    "min_spacing_ns": [-1, 1.5],
}

SHIFTED: list[dict[str, Any]] = [
    {"tool": 5}, {"hold_ms": 5}, {"item_done_ms": 5}, {"tool_ms": -51}, {"tool_ms": NAN}, {"tool_ms": INF}, {"tool_ms": True},
    {"tool_ms": [5]}, {"tool_ms": "x"}, {"tool_ms": None}, {"tool_ms": HUGE}, {"tool_ms": 86_399_999},
]  # fmt: skip

SPEC: dict[str, list[object]] = {
    "release": ["0.9.1"],
    "releases": ["9.9", [], 0.91, None, True, [5], {}],
    "scenarios": ["singel", [], 5, None],
    "handlers": ["nonsense", [], 5],
    "modalities": ["smell", [], None],
    "calls": [[2], [9], "x", [True], 1.5, NAN],
    "component": ["9.9", 5],
    "profile": ["moon", None, 5],
    "knobs": [{"gravity": "off"}, ["a"], "a", {"function_output": 5}],
    "trials": [0, -1, True, 1.5, NAN, INF, HUGE, None, "x", 10_000_001],
    "seed": [-1, True, NAN, "x", HUGE],
    "keep": [-1, True, NAN, HUGE],
    "ties": ["maybe", 5, NAN],
    "times": [
        "tool_ms=5", ["tool_ms"], 5, {"tool": 5}, {5: 5}, {"hold_ms": 5},
        *({"tool_ms": value} for value in (
            NAN, INF, -1, True, HUGE, [], [50] * 9, [True], {50}, "0:400:0", "0:1:0.0000001", "0:1:1e-999999", "0:x:1",
            "0:1e9:1", np.arange(0, 400, 10),
        )),
        {"gap_ms": [5, 5]}, {"gap_ms": [0.0000001, 0.0000002]},
    ],
}  # fmt: skip


def _cases() -> list[Any]:
    found: list[tuple[str, Callable[[], object]]] = []
    for name, values in SESSION_OF.items():
        found += [(f"SessionConfig.of-{name}", lambda n=name, v=v: SessionConfig.of(**{n: v})) for v in values]  # type: ignore[misc]
    for name, values in REPLACED.items():
        found += [(f"replace-{name}", lambda n=name, v=v: replace(session(), **{n: v})) for v in values]  # type: ignore[misc]
    found += [(f"shifted-{next(iter(each))}", lambda each=each: session().shifted(**each)) for each in SHIFTED]  # type: ignore[misc]
    for name, values in SPEC.items():
        found += [(f"SweepSpec-{name}", lambda n=name, v=v: SweepSpec(**{n: v})) for v in values]  # type: ignore[misc]
    for each in ("x", 5, None, ["tool_ms"], {5: 5}):
        found.append(("trials_of", lambda each=each: trials_of(each)))  # type: ignore[misc]
        found.append(("sweep", lambda each=each: sweep(each, out="never-made")))  # type: ignore[misc]
        found.append(("boundaries", lambda each=each: boundaries(each)))  # type: ignore[misc]
        found.append(("simulate", lambda each=each: simulate(each)))  # type: ignore[misc]
        found.append(("judge", lambda each=each: judge(each)))  # type: ignore[misc]
        found.append(("Recording.on", lambda each=each: recording().on(each)))  # type: ignore[misc]
    for path in (5, None, b"x", "", "a\0b", "there/is/none", ["x"], NAN):
        found.append(("read_recordings", lambda path=path: read_recordings(path)))  # type: ignore[misc]
        found.append(("Recording.read", lambda path=path: Recording.read(path)))  # type: ignore[misc]
        found.append(("SweepResult.open", lambda path=path: SweepResult.open(path)))  # type: ignore[misc]
    for level in (0, 1, NAN, "half", True):
        grid = SweepSpec(times={"tool_ms": "0:10:10"})
        found.append(("level", lambda level=level, grid=grid: boundaries(grid, level=level)))  # type: ignore[misc]
    found += [
        ("most", lambda: boundaries(SweepSpec(times={"tool_ms": "0:10:10"}), most=0)),
        ("Recording.on", lambda: recording().on("proxy>upsteam")),
        ("Recording.on", lambda: recording().on(Link("proxy", "app"))),
        ("observes", lambda: recording().observes("proxy", "upsteam")),
        ("at_ns", lambda: recording().events[0].at_ns("upsteam")),
        ("write", lambda: recording().write(5)),  # type: ignore[arg-type]
        ("Times", lambda: Times({"tool": Fixed((5,))})),
        ("Times", lambda: Times({"tool_ms": 5})),  # type: ignore[dict-item]
        ("Times", lambda: Times({"tool_ms": Fixed(())})),
        ("Times", lambda: Times({"tool_ms": Fixed((-1,))})),
        ("Times", lambda: Times({"gap_ms": Fixed((1, 2))})),
        ("replace-times", lambda: replace(session(), times=Times({"tool_ms": Fixed((5,))}))),
        ("knobs", lambda: knobs({"function_output": ["at_once"]})),  # type: ignore[dict-item]
        ("wilson", lambda: wilson(1, 0)),
        ("wilson", lambda: wilson(3, 2)),
        ("wilson", lambda: wilson(1, 2, 1.0)),
    ]
    return [pytest.param(call, id=f"{name}-{number}") for number, (name, call) in enumerate(found)]


@pytest.mark.parametrize("call", _cases())
def test_wrong_input_is_one_short_error(call: Callable[[], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.where
    assert caught.value.found
    assert len(str(caught.value)) < 900
    assert not list(tmp_path.iterdir()), "nothing was written"


def test_every_public_name_exists() -> None:
    assert all(getattr(voicerace, name) is not None for name in voicerace.__all__)


@pytest.mark.parametrize("number", [99, 3, -1, True, 1.5, NAN, "1", None, pytest.param(HUGE, id="huge")])
@pytest.mark.parametrize("method", ["recording_of", "again"])
def test_an_unknown_trial_number_gives_the_valid_range(run: SweepResult, method: str, number: object) -> None:
    with pytest.raises(InputError, match="0 to 2") as caught:
        getattr(run, method)(number)
    assert caught.value.where == "trial"


def test_a_trial_number_may_be_a_numpy_integer(run: SweepResult) -> None:
    assert run.recording_of(np.int64(1)) == run.recording_of(1) == run.again(1)


@pytest.mark.parametrize("name", ["", "x.jsonl", "../run.json", "a:b", "a:٣", None, 5, NAN])
def test_a_recording_that_was_not_kept_is_refused(run: SweepResult, name: Any) -> None:
    with pytest.raises(InputError):
        run.recording(name)


@pytest.mark.parametrize("name", ["nonsense", "", 5, None])
def test_an_unknown_column_lists_the_known_ones(run: SweepResult, name: Any) -> None:
    with pytest.raises(InputError, match="tie_outcome"):
        run.columns(name)


def _public_functions() -> list[Any]:
    found: list[Any] = []
    for module in (voicerace, voicerace.plots, voicerace.notebook):
        for name in module.__all__:
            each = getattr(module, name)
            members = vars(each).items() if module is voicerace and inspect.isclass(each) else ()
            own = {name: each, **{f"{name}.{key}": value for key, value in members if not key.startswith("_")}}
            functions = {key: getattr(value, "__func__", value) for key, value in own.items()}
            found += [
                pytest.param(one, id=f"{module.__name__}.{key}") for key, one in functions.items() if inspect.isfunction(one)
            ]
    return found


@pytest.mark.parametrize("function", _public_functions())
def test_every_public_function_has_a_docstring_with_every_argument(function: Callable[..., object]) -> None:
    doc = inspect.getdoc(function) or ""
    assert doc
    assert [name for name in inspect.signature(function).parameters if name not in ("self", "cls") and name not in doc] == []


def test_the_achieved_times_of_a_recording_are_a_public_name() -> None:
    assert voicerace.times(recording())["tool_ms"] == [50.0]
    assert voicerace.Outcome.__name__ == "Outcome"
