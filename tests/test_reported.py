"""The maintainers' documented runs against the real API, and what the models say of them."""

from __future__ import annotations

import json

import pytest

from voicerace.cli.app import main
from voicerace.conformance.reported import GAPS, Fit, Retrodiction, lines, retrodict, summary
from voicerace.outcomes import OUTCOMES
from voicerace.tables.handlers import HANDLERS
from voicerace.tables.releases import PROXIES
from voicerace.tables.reported import REPORTED, Reported

DRAWS = 20


@pytest.fixture(scope="module")
def found() -> list[Retrodiction]:
    return list(retrodict(DRAWS))


def named(found: list[Retrodiction], revision: str, what: str) -> Retrodiction:
    (each,) = [each for each in found if each.run.revision == revision and each.run.what.startswith(what)]
    return each


@pytest.mark.parametrize("run", REPORTED, ids=lambda run: f"{run.revision}-{run.what}")
def test_a_documented_run_names_known_rows_and_outcomes_and_its_document(run: Reported) -> None:
    assert run.row in PROXIES
    assert run.handler in HANDLERS
    assert set(run.outcomes) <= set(OUTCOMES)
    assert run.host_errors is not None or run.outcomes or run.why_not
    assert all(part.split(" ")[0].endswith(".md") for part in run.source.split(", "))


@pytest.mark.long
def test_with_recorded_times_all_but_two_decided_runs_come_out_as_they_were_seen(found: list[Retrodiction]) -> None:
    words = {(each.run.revision, each.run.what): each.fits["recorded"].word for each in found if each.run.decides}
    assert len(words) == 16
    others = {run for run, word in words.items() if word != "fits"}
    # The first needs a result within the gap, and client, tool and proxy of that run were one process. In the second the text
    # of the reply did not reach the host.
    assert others == {("58f2e9a", "integration #470"), ("e338ff6", "integration #470")}
    assert words["e338ff6", "integration #470"] == "does not fit"


def test_with_gaps_that_were_never_recorded_fewer_runs_fit(found: list[Retrodiction]) -> None:
    fits = {gap: words.get("fits", 0) for gap, words in summary(found).items()}
    assert fits["recorded"] > fits["150 ms"] > fits["300 ms"]
    assert fits == {"recorded": 14, "150 ms": 9, "300 ms": 3}


def test_the_app_that_returned_nothing_got_one_refusal_or_a_reply_to_the_error(found: list[Retrodiction]) -> None:
    assert named(found, "d8a1782", "E2E").fits["recorded"].found == {"stale": DRAWS}
    assert named(found, "25421e4", "E2E").fits["recorded"].found == {"stale": DRAWS}
    assert named(found, "d931630", "E2E").fits["recorded"].found == {"answered": DRAWS}


def test_the_fix_that_waits_for_response_done_stalls_with_every_recorded_gap(found: list[Retrodiction]) -> None:
    assert named(found, "58f2e9a", "E2E").fits["recorded"].found == {"stalled": DRAWS}


@pytest.mark.parametrize(
    ("agree", "word"), [(None, "undecided"), (20, "fits"), (10, "fits"), (9, "possible"), (1, "possible"), (0, "does not fit")]
)
def test_how_often_draws_agree_decides_whether_a_run_fits(agree: int | None, word: str) -> None:
    assert Fit(agree, 20, {}).word == word


def test_the_table_names_every_run_what_was_seen_and_the_counts(found: list[Retrodiction]) -> None:
    text = "\n".join(lines(found))
    assert all(run.seen in text and run.source in text for run in REPORTED)
    assert text.count("undecided   ") == sum(not run.decides for run in REPORTED)
    assert "gap recorded  of 16 runs: 14 fits" in text


def test_the_command_prints_the_same_as_json_and_exits_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conformance", "--reported", "--draws", "1", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [run["revision"] for run in said["runs"]] == [run.revision for run in REPORTED]
    assert set(said["fits"]) == set(GAPS)


def test_what_only_a_running_proxy_takes_is_refused_beside_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conformance", "--reported", "--proxy", "backend:DIR"]) == 2
    assert "proxy: given beside --reported" in capsys.readouterr().err
    assert main(["conformance"]) == 2
    assert "proxy: is missing" in capsys.readouterr().err
