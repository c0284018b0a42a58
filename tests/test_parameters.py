"""Test the grammar of times, the error of every mistake in it, and the inputs of a random draw."""

from __future__ import annotations

import math
import random
from pathlib import Path
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.played import on_wire, play

from voicerace.engine.session import SessionConfig
from voicerace.errors import InputError
from voicerace.model.catalog.profiles import PROFILES, PROXY_TIMES_MS, TIMES
from voicerace.model.parameters import GRAMMAR, Choice, Fixed, Grid, LogNormal, Sampled, Times, Uniform, parse, parse_times
from voicerace.units import ms, ns

MS = 1_000_000

# -- grammar ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50", Fixed((50 * MS,))),
        (50, Fixed((50 * MS,))),
        (0.5, Fixed((MS // 2,))),
        (" 50 ", Fixed((50 * MS,))),
        ("0", Fixed((0,))),
        ("1e2", Fixed((100 * MS,))),
        ("0.000001", Fixed((1,))),
        ("86400000", Fixed((86_400_000 * MS,))),
        ("50,80", Fixed((50 * MS, 80 * MS))),
        ("50, 80 ,110", Fixed((50 * MS, 80 * MS, 110 * MS))),
        ("0:30:10", Grid((0, 10 * MS, 20 * MS, 30 * MS), "0:30:10")),
        ("0:25:10", Grid((0, 10 * MS, 20 * MS), "0:25:10")),
        ("5:5:1", Grid((5 * MS,), "5:5:1")),
        ("0:0.3:0.1", Grid((0, 100_000, 200_000, 300_000), "0:0.3:0.1")),
        ("uniform(20,80)", Uniform(20, 80)),
        ("uniform( 20 , 80 )", Uniform(20, 80)),
        ("uniform(5,5)", Uniform(5, 5)),
        ("lognormal(4,0.5)", LogNormal(4, 0.5)),
        ("lognormal(-1,0)", LogNormal(-1, 0)),
        ("lognormal(median=400, sigma=0.5)", LogNormal(math.log(400), 0.5)),
        ("lognormal(p50=400,p95=400)", LogNormal(math.log(400), 0)),
        ("p50=400, p95=900", LogNormal(math.log(400), math.log(900 / 400) / NormalDist().inv_cdf(0.95))),
        ("choice(4, 8.5,12)", Choice((4 * MS, 8_500_000, 12 * MS))),
        ("choice(4)", Choice((4 * MS,))),
    ],
)
def test_each_form_of_the_grammar_is_parsed(text: object, expected: object) -> None:
    assert parse("tool_ms", text) == expected


@pytest.mark.parametrize(
    ("text", "error_text"),
    [
        ("fast", "'fast' is no number"),
        ("", "'' is no number"),
        ("50,", "'' is no number"),
        ("50ms", "'50ms' has a unit"),
        ("0.5 s", "'0.5 s' has a unit"),
        ("p50=400,p95=300", "p50=400,p95=300 does not rise"),
        ("p50=400,p40=900", "p50=400,p40=900 does not rise"),
        ("lognormal(median=0,sigma=1)", "lognormal(median=0,sigma=1) has no positive median"),
        ("lognormal(400,0.5)", "lognormal(400,0.5) has a median above one day: mu is a logarithm"),
        ("median=400,sigma=-1", "-1 is negative"),
        ("-1", "-1 is negative"),
        ("50,-80", "-80 is negative"),
        ("nan", "nan is no number of ms"),
        ("inf", "inf is no number of ms"),
        ("86400001", "86400001 is too long"),
        ("1e99", "1e99 is too long"),
        ("0:400", "'0:400' is no grid"),
        ("0:1:2:3", "'0:1:2:3' is no grid"),
        ("0:400:0", "'0:400:0' has no values"),
        ("400:0:10", "'400:0:10' has no values"),
        ("0:400:-1", "-1 is negative"),
        ("0:1000000:1", "'0:1000000:1' has 1000001 values"),
        ("0:x:1", "'x' is no number"),
        ("uniform(80,20)", "uniform(80,20) ends before it begins"),
        ("uniform(-1,20)", "-1 is negative"),
        ("uniform(20)", "'uniform(20)' is no number"),
        ("uniform(a,b)", "'a' is no number"),
        ("lognormal(4,-1)", "-1 is negative"),
        ("choice(4,-1)", "-1 is negative"),
        ("choice()", "'choice()' is no number"),
        ("choice(4,)", "'' is no number"),
        ("normal(4,1)", "'normal(4' is no number"),
        (True, "True is a bool"),
        (None, "None is a NoneType"),
        ({50}, "{50} is a set"),
    ],
)
def test_each_mistake_has_its_error(text: object, error_text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse("tool_ms", text)
    assert (caught.value.where, caught.value.found) == ("tool_ms", error_text)
    assert caught.value.allowed
    assert "\n" not in str(caught.value)


@given(st.integers(1, 5_000), st.integers(51, 99), st.integers(0, 5_000))
def test_a_distribution_given_by_percentiles_has_them(median: int, percent: int, more: int) -> None:
    value = parse("tool_ms", f"p50={median},p{percent}={median + more}")
    assert isinstance(value, LogNormal)
    at = math.exp(value.mu + value.sigma * NormalDist().inv_cdf(percent / 100))
    assert at == pytest.approx(median + more, rel=1e-9)


@given(st.text() | st.from_regex(r"[0-9.,:()@a-z-]{0,20}", fullmatch=True))
def test_any_text_is_a_value_or_an_input_error(text: str) -> None:
    try:
        value = parse("gap_ms", text)
    except InputError as error:
        assert error.where.startswith("gap_ms")  # noqa: PT017
    else:
        assert parse("gap_ms", str(value)) == value


@given(st.lists(st.decimals(0, 86_400_000, places=6), min_size=1, max_size=4))
def test_fixed_values_are_exact_to_the_nanosecond(values: list[object]) -> None:
    parsed = parse("tool_ms", ",".join(f"{value:f}" for value in values))
    assert parsed == Fixed(tuple(int(value * MS) for value in values))  # type: ignore[operator]


@given(st.integers(0, 5000), st.integers(0, 400), st.integers(1, 50))
def test_a_grid_has_both_ends_and_even_steps(start: int, steps: int, step: int) -> None:
    grid = parse("tool_ms", f"{start}:{start + steps * step}:{step}")
    assert isinstance(grid, Grid)
    assert grid.values_ns == tuple(ns(start + index * step) for index in range(steps + 1))


@given(st.integers(0, 2**53))
def test_milliseconds_convert_to_nanoseconds_and_back_exactly(nanoseconds: int) -> None:
    assert ns(f"{nanoseconds // MS}.{nanoseconds % MS:06d}") == nanoseconds  # type: ignore[arg-type]
    assert ms(ns(1.5)) == 1.5


# -- values from a file ----------------------------------------------------------------------------------------------


def test_the_first_column_of_a_file_gives_the_values(tmp_path: Path) -> None:
    file = tmp_path / "gaps.csv"
    file.write_text("gap_ms,note\n8,one\n\n12.5,two\n")
    assert parse("gap_ms", f"@{file}") == Sampled((8 * MS, 12_500_000), "gaps.csv")


@pytest.mark.parametrize(
    ("content", "error_text"),
    [
        ("gap_ms\n", "holds no values"),
        ("", "holds no values"),
        ("8\nfast\n", "'fast' is no number"),
        ("8\n-1\n", "-1 is negative"),
    ],
)
def test_a_file_without_values_is_an_input_error(tmp_path: Path, content: str, error_text: str) -> None:
    file = tmp_path / "gaps.csv"
    file.write_text(content)
    with pytest.raises(InputError, match=r"gaps\.csv") as caught:
        parse("gap_ms", f"@{file}")
    assert caught.value.where.startswith("gap_ms")
    assert error_text in str(caught.value)


@pytest.mark.parametrize("make", ["missing", "folder", "binary"])
def test_an_unreadable_file_is_an_input_error(tmp_path: Path, make: str) -> None:
    file = tmp_path / "gaps.csv"
    if make == "folder":
        file.mkdir()
    elif make == "binary":
        file.write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match=r"gaps\.csv") as caught:
        parse("gap_ms", f"@{file}")
    assert caught.value.where == "gap_ms"


# -- times of a session ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_times", "profile", "where", "error_text"),
    [
        ({"tool": 50}, "loopback", "tool", "is no known time"),
        ({"recovery_ms": 5}, "loopback", "recovery_ms", "is no known time"),
        ({}, "moon", "profile", "'moon' is unknown"),
        ({"gap_ms": "50,80"}, "loopback", "gap_ms", "one value per call"),
        ({"gap_ms": [50, 80]}, "loopback", "gap_ms", "one value per call"),
        ({"host_rtt_ms": "1,2"}, "loopback", "host_rtt_ms", "one value per call"),
        ({"tool_ms": "0:400:10"}, "loopback", "tool_ms", "is a grid"),
        ({"tool_ms": "soon"}, "loopback", "tool_ms", "no number"),
    ],
)
def test_a_wrong_time_is_named(given_times: dict[str, object], profile: str, where: str, error_text: str) -> None:
    with pytest.raises(InputError, match=error_text) as caught:
        Times.of(given_times, profile)
    assert caught.value.where == where
    assert caught.value.allowed


def test_an_unknown_time_lists_the_known_ones() -> None:
    with pytest.raises(InputError) as caught:
        Times.of({"tool": 50})
    assert all(name in caught.value.allowed for name in TIMES)


def test_a_sweep_accepts_grids() -> None:
    assert isinstance(parse_times({"tool_ms": "0:400:10"}, "loopback")["tool_ms"], Grid)


@pytest.mark.parametrize(
    ("words", "where"),
    [
        ({"release": "9.9.9"}, "release"),
        ({"component_tag": "9.9.9"}, "component"),
        ({"scenario": "triple"}, "scenario"),
        ({"handler": "shrug"}, "handler"),
        ({"modality": "smell"}, "modality"),
        ({"tool_end": "maybe"}, "tool_end"),
        ({"calls": 2}, "calls"),
        ({"scenario": "parallel", "calls": 0}, "calls"),
        ({"scenario": "parallel", "calls": 9}, "calls"),
        ({"knobs_given": {"speed": "yes"}}, "knob"),
        ({"knobs_given": {"function_output": "yes"}}, "knob function_output"),
        ({"times": {"gap_ms": 10, "item_done_ms": 11}}, "item_done_ms"),
    ],
)
def test_a_wrong_session_option_is_named(words: dict[str, object], where: str) -> None:
    with pytest.raises(InputError) as caught:
        SessionConfig.of(**words)  # type: ignore[arg-type]
    assert caught.value.where == where
    assert caught.value.allowed


def test_a_backend_version_of_several_programs_lists_them() -> None:
    with pytest.raises(InputError, match="names several programs") as caught:
        SessionConfig.of(release="0.2.8")
    assert all(tag in caught.value.allowed for tag in ("50420ee", "0.10.3", "0.10.4"))


def test_the_last_value_is_used_for_every_later_call() -> None:
    times = Times.of({"tool_ms": "50,80"})
    assert [ms(times.ns("tool_ms", index, 0)) for index in range(4)] == [50, 80, 80, 80]


VALUES = (
    st.lists(st.integers(0, 86_400_000 * MS), min_size=1, max_size=3).map(lambda each: Fixed(tuple(each)))
    | st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)).map(lambda each: Uniform(min(each), max(each)))
    | st.builds(LogNormal, st.floats(-10, 10), st.floats(0, 10))
)


@given(VALUES)
def test_the_text_of_a_value_parses_to_the_same_value(value: Fixed | Uniform | LogNormal) -> None:
    assert parse("tool_ms", str(value)) == value


def test_a_time_is_written_as_it_was_given() -> None:
    given_times = {"tool_ms": "50,80", "gap_ms": "uniform(20,80)", "reply_ms": "lognormal(4,0.5)"}
    written = Times.of(given_times).to_json()
    assert {name: written[name] for name in given_times} == given_times
    assert Times.of(written) == Times.of(given_times)


def test_the_proxys_own_times_are_fixed() -> None:
    expected = {"recovery_ms": 20_000 * MS, "audio_quiet_ms": 400 * MS, "audio_most_ms": 600 * MS, "gate_retry_ms": 50 * MS}
    assert {name: Times.of().ns(name, 0, 0) for name in PROXY_TIMES_MS} == expected


# -- draws -----------------------------------------------------------------------------------------------------------


def test_a_draw_depends_on_seed_name_and_index() -> None:
    times = Times.of({"gap_ms": "uniform(0,1000)", "reply_ms": "uniform(0,1000)"})
    draws = {times.ns(name, index, seed) for name in ("gap_ms", "reply_ms") for index in range(5) for seed in range(5)}
    assert len(draws) == 50


def test_a_choice_draws_all_of_its_values_and_no_other() -> None:
    times = Times.of({"gap_ms": "choice(4,8,12)"})
    assert {times.ns("gap_ms", 0, seed) for seed in range(50)} == {4 * MS, 8 * MS, 12 * MS}
    assert Times.of(times.to_json()) == times


def test_a_draw_is_reproducible_and_independent_of_order() -> None:
    times = Times.of({"gap_ms": "lognormal(4,0.5)"})
    random.seed(1)
    first = [times.ns("gap_ms", index, 7) for index in range(5)]
    random.seed(2)
    assert [times.ns("gap_ms", index, 7) for index in reversed(range(5))] == first[::-1]


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 10**6))
def test_a_uniform_draw_stays_between_its_ends(low: int, more: int, seed: int) -> None:
    drawn = Times.of({"gap_ms": f"uniform({low},{low + more})"}).ns("gap_ms", 0, seed)
    assert ns(low) <= drawn <= ns(low + more)


@given(st.floats(-5, 30), st.floats(0, 10), st.integers(0, 1000))
def test_a_lognormal_draw_is_never_longer_than_a_day(mu: float, sigma: float, seed: int) -> None:
    drawn = LogNormal(mu, sigma).draw_ns(0, random.Random(seed))
    assert 0 <= drawn <= 86_400_000 * MS


def test_a_sampled_draw_is_one_of_the_values(tmp_path: Path) -> None:
    file = tmp_path / "gaps.csv"
    file.write_text("1\n2\n3\n")
    times = Times.of({"gap_ms": f"@{file}"})
    assert {ms(times.ns("gap_ms", 0, seed)) for seed in range(50)} == {1, 2, 3}


def test_releases_with_the_same_seed_get_the_same_draws() -> None:
    def drawn(release: str, seed: int) -> tuple[int, int]:
        recording = play(release=release, gap_ms="uniform(100,200)", tool_ms="uniform(0,50)", seed=seed)
        called, *_ = on_wire(recording, "upstream>proxy", "response.function_call_arguments.done")
        ended, *_ = on_wire(recording, "upstream>proxy", "response.done")
        result, *_ = on_wire(recording, "component>proxy", "FunctionCallResponse")
        assert None not in (ended.sent_ns, called.sent_ns, result.sent_ns)
        return ended.sent_ns - called.sent_ns, result.sent_ns - called.sent_ns  # type: ignore[operator]

    releases = ("0.9.1", "0.9.4", "0.10.0", "0.11.1")
    assert len({drawn(release, seed) for release in releases for seed in range(4)}) == 4


# -- profiles --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_gives_every_time_and_no_other(profile: str) -> None:
    values = PROFILES[profile].values
    assert set(values) == set(TIMES)
    assert {name for name, value in values.items() if value is None} <= {name for name, time in TIMES.items() if time.optional}
    assert set(Times.of({}, profile).values) == {name for name, value in values.items() if value is not None}


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_names_sources_only_for_known_times(profile: str) -> None:
    assert set(PROFILES[profile].sources) <= set(TIMES)
    assert PROFILES[profile].sentence


@pytest.mark.parametrize("profile", ["observed-2025", "recorded-2026"])
def test_a_measured_profile_has_a_source_for_each_value_of_its_own(profile: str) -> None:
    observed, loopback = PROFILES[profile], PROFILES["loopback"]
    own = {name for name in TIMES if observed.values[name] != loopback.values[name]}
    assert own <= set(observed.sources)


def test_every_non_optional_time_has_a_value() -> None:
    times = Times.of()
    assert [name for name in TIMES if not times.has(name)] == [
        "reader_ms",
        "item_done_ms",
        "rate_limits_ms",
        "idle_timeout_ms",
        "server_turn_ms",
        "session_end_ms",
    ]
    assert Times.of({"item_done_ms": 3}).has("item_done_ms")


def test_times_that_are_always_zero_are_known() -> None:
    times = Times.of({"slot_lag_ms": "0", "ack_ms": "uniform(0,0)", "tool_ms": "0,5"})
    assert times.never_positive("slot_lag_ms")
    assert times.never_positive("item_done_ms")
    assert not times.never_positive("ack_ms")
    assert not times.never_positive("tool_ms")


def test_the_grammar_in_an_error_names_every_form() -> None:
    for form in (
        "50",
        "50,80",
        "0:400:10",
        "uniform(a,b)",
        "lognormal(mu,sigma)",
        "lognormal(median=400,sigma=0.5)",
        "p50=400,p95=900",
        "choice(4,8,12)",
        "@file.csv",
    ):
        assert form in GRAMMAR
