"""Test the stored answers with recorded times: the models reproduce their numbers, and the table in docs/ matches them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from voicerace.cli.app import main
from voicerace.engine.sim.virtual import simulate
from voicerace.errors import InputError
from voicerace.experiments.answers import (
    FIRST,
    HANDLERS_ASKED,
    SAME_MESSAGES,
    Answer,
    Cell,
    cells,
    draw,
    markdown,
    outcome_text,
    play,
    programs,
    read,
    rows_of,
    shipped_answers,
    write,
)
from voicerace.experiments.executors import Executor
from voicerace.experiments.gap_sensitivity import GAPS_MS, LONGEST_RECORDED_MS, frame_of, rows_of_sensitivity, sensitivity
from voicerace.experiments.rates import wilson
from voicerace.experiments.sweep.spec import Plan
from voicerace.experiments.sweep.sweep import trials_of
from voicerace.model.catalog.releases import PROXIES, REFERENCE
from voicerace.report.plots import alt_gap_sensitivity, plot_gap_sensitivity, to_image

ROOT = Path(__file__).parents[1]
ANSWERS = shipped_answers()


# -- stored answers --------------------------------------------------------------------------------------------------


def test_every_release_and_handler_style_is_stored_with_its_draws() -> None:
    assert set(ANSWERS) == set(cells())
    assert {tag for tags in programs().values() for tag in tags} == {*PROXIES, REFERENCE.tag}
    assert min(answer.draws for answer in ANSWERS.values()) >= 500


@pytest.mark.parametrize(
    "cell",
    [
        Cell("0.9.1", "async_ref", "audio"),
        Cell("0.9.1", "void_ref", "text"),
        Cell("0.9.4", "void_ref", "audio"),
        Cell("0.10.3", "void_ref", "text"),
        Cell("0.11.0", "return", "audio"),
        Cell("reference", "void_ref", "audio"),
    ],
    ids=" ".join,
)
def test_the_first_draws_of_a_cell_have_the_stored_outcomes(cell: Cell) -> None:
    assert Counter(draw(cell, 0, FIRST)) == ANSWERS[cell].first


def test_a_cell_draws_the_sessions_of_a_sweep_with_its_spec() -> None:
    cell = Cell("0.9.1", "void_ref", "text")
    trials = trials_of(cell.spec.model_copy(update={"trials": 5}))
    assert draw(cell, 0, 5) == list(trials["outcome"])
    assert draw(cell, 3, 5) == draw(cell, 0, 5)[3:]


def test_the_docs_page_has_the_tables_of_the_stored_answers() -> None:
    assert markdown(ANSWERS) in (ROOT / "docs" / "answers.md").read_text("utf-8")


def test_single_results_are_never_refused_and_always_stall_where_the_request_waits_for_response_done() -> None:
    for modality in ("audio", "text"):
        for release in programs():
            outcomes = set(ANSWERS[Cell(release, "return", modality)].counts)
            waits = release in PROXIES and PROXIES[release].generation in ("B", "C")
            assert outcomes == ({"stalled"} if waits else {"answered"}), release


# -- cells with the same sessions ------------------------------------------------------------------------------------


def wire(cell: Cell, number: int) -> list[tuple[str, int | None, str]]:
    """Return the messages on all links except the link between the app and its component."""
    ((_, session),) = Plan.of(cell.spec).part(number, number + 1)
    return [
        (str(event.link), event.sent_ns, event.type)
        for event in simulate(session).events
        if event.kind == "message" and "app" not in (event.link.sender, event.link.receiver)
    ]


@pytest.mark.parametrize(("handler", "same"), SAME_MESSAGES.items())
@pytest.mark.parametrize("release", ["0.9.1", "0.9.4", "0.11.0", "reference"])
def test_handler_styles_in_one_group_send_the_same_messages_at_the_same_times(release: str, handler: str, same: str) -> None:
    for number in range(3):
        assert wire(Cell(release, handler, "audio"), number) == wire(Cell(release, same, "audio"), number)


@pytest.mark.parametrize(("first", "tags"), [each for each in programs().items() if len(each[1]) > 1])
def test_releases_in_one_group_send_the_same_messages_at_the_same_times(first: str, tags: tuple[str, ...]) -> None:
    for tag in tags[1:]:
        for handler in set(HANDLERS_ASKED) - set(SAME_MESSAGES):
            assert wire(Cell(tag, handler, "audio"), 1) == wire(Cell(first, handler, "audio"), 1)


# -- playback and files ----------------------------------------------------------------------------------------------


def played(found: dict[Cell, Answer], cell: Cell, draws: int, jobs: int = 1) -> None:
    assert set(play(found, [cell], draws, Executor(jobs), progress=False)) <= {cell}


def test_draws_are_added_to_the_stored_ones(tmp_path: Path) -> None:
    cell, file = Cell("0.9.4", "void_ref", "text"), tmp_path / "answers.csv"
    found: dict[Cell, Answer] = {}
    played(found, cell, 25)
    write(found, file)
    again = read(file)
    assert again[cell].counts == Counter(draw(cell, 0, 25))
    assert again[cell].first == Counter(draw(cell, 0, FIRST))
    played(again, cell, 40)
    at_once: dict[Cell, Answer] = {}
    played(at_once, cell, 40)
    assert again == at_once


def test_draws_are_not_added_to_those_of_other_models(tmp_path: Path) -> None:
    cell = Cell("0.9.4", "return", "text")
    found = {cell: Answer(Counter(answered=20), Counter(answered=20))}
    with pytest.raises(InputError, match="the models give other outcomes now"):
        played(found, cell, 40)


def test_each_row_has_wilsons_interval(tmp_path: Path) -> None:
    cell, file = Cell("0.9.1", "void_ref", "audio"), tmp_path / "answers.csv"
    write({cell: Answer(Counter(stale=39, duplicated=1), Counter(stale=20))}, file)
    rows = [line.split(",") for line in file.read_text().splitlines()[1:]]
    low, high = wilson(1, 40)
    assert ["0.9.1", "void_ref", "audio", "duplicated", "1", "40", "0.025000", f"{low:.6f}", f"{high:.6f}", "0"] in rows


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ""),
        ("release,handler\n0.9.1,return\n", "KeyError"),
        (f"release,handler,modality,outcome,count,first_{FIRST}\n9.9,return,text,answered,1,1\n", "9.9 return text"),
        (f"release,handler,modality,outcome,count,first_{FIRST}\n0.9.1,return,text,answered,many,1\n", "many"),
    ],
)
def test_an_invalid_file_of_answers_is_refused(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "answers.csv"
    file.write_text(content)
    if not content:
        assert read(file) == {}
        return
    with pytest.raises(InputError, match=message):
        read(file)


# -- command line ----------------------------------------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["answers", *arguments]) == 0
    return capsys.readouterr().out


def test_the_command_shows_the_stored_answers(capsys: pytest.CaptureFixture[str]) -> None:
    head, *shown = run(capsys).splitlines()
    assert head.split() == ["replies", "release", "handler", "outcomes"]
    for tags, _, handler, modality, answer in rows_of(ANSWERS):
        own = [line for line in shown if line.startswith(modality) and f"  {tags}  " in line and handler in line]
        assert [line.endswith(outcome_text(answer)) for line in own] == [True], (tags, handler, modality)
    assert run(capsys, "--markdown") == markdown(ANSWERS)
    some = run(capsys, "--releases", "0.9.5", "--handlers", "async_send", "--modalities", "audio")
    assert "0.9.4, 0.9.5, 0.9.6" in some
    assert "stalled 100%" in some
    assert "async_send" in some
    assert "return" not in some, "handler styles that were not requested"
    assert "0.9.1" not in some


def test_the_command_plays_into_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "answers.csv"
    arguments = ["--releases", "0.9.1", "--handlers", "return", "--modalities", "audio", "--out", str(file), "--json"]
    printed: dict[str, Any] = json.loads(run(capsys, "--draws", "3", *arguments))
    assert [(each["handler"], each["draws"]) for each in printed["answers"]] == [("return", 3), ("async_send", 3)]
    assert read(file)[Cell("0.9.1", "return", "audio")].draws == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--draws", "3"], "draws: given without a file"),
        (["--releases", "9.9"], "releases: '9.9' is unknown"),
        (["--handlers", "ref_now"], "handlers: 'ref_now' is unknown"),
        (["--modalities", "video"], "modalities: 'video' is unknown"),
        (["--picture", "p.svg"], "picture: given without --sensitivity"),
    ],
)
def test_bad_input_is_reported(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert main(["answers", *arguments]) == 2
    assert message in capsys.readouterr().err


# -- sensitivity -----------------------------------------------------------------------------------------------------


def test_a_single_result_fails_only_with_gaps_longer_than_any_recorded() -> None:
    (at_once,) = sensitivity([Cell("0.9.1", "return", "audio")], draws=3)
    assert at_once.bad[LONGEST_RECORDED_MS] == 0
    assert min(at_once.to_bad) > LONGEST_RECORDED_MS
    (waits,) = sensitivity([Cell("0.9.4", "return", "audio")], draws=3)
    assert waits.bad[LONGEST_RECORDED_MS] == 3
    assert min(waits.to_good) > LONGEST_RECORDED_MS
    assert not waits.to_bad


def test_the_outcome_changes_where_the_gap_equals_tool_time_plus_round_trips() -> None:
    """An immediate request is refused if and only if tool time plus both round trips is shorter than the gap."""
    cell = Cell("0.9.1", "return", "audio")
    (found,) = sensitivity([cell], draws=3)
    sessions = [session for _, session in Plan.of(cell.spec).part(0, 3)]
    due = [
        sum(each.times.ns(name, 0, each.seed) for name in ("tool_ms", "host_rtt_ms", "upstream_rtt_ms")) / 1e6
        for each in sessions
    ]
    assert sorted(each for each in due if each < GAPS_MS[-1]) == pytest.approx(list(found.to_bad), abs=1.01)


def test_sensitivity_has_rows_a_picture_and_alt_text() -> None:
    found = list(sensitivity([Cell("0.9.1", "return", "audio"), Cell("reference", "return", "audio")], draws=2))
    first, second = rows_of_sensitivity(found)
    assert first[2] == "0 of 2"
    assert first[3].startswith("2 of 2 end wrong with a longer one, from")
    assert second[3] == "no other end up to 1000 ms"
    shares = frame_of(found)
    assert len(shares) == 2 * len(GAPS_MS)
    alt = alt_gap_sensitivity(shares)
    assert alt.endswith("return, 0.9.1: 0% at 1 ms, 100% at 1000 ms. return, reference: 0% at 1 ms, 0% at 1000 ms.")
    kind, image = to_image(plot_gap_sensitivity(shares, (1, 12)), alt)
    assert "svg" in kind
    assert b"0.9.1" in image or b"<svg" in image
