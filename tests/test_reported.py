"""Compare the maintainers' documented runs against the real API with the models."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from voicerace.analysis.outcomes import OUTCOMES
from voicerace.cli.app import main
from voicerace.conformance.reported import GAPS, Fit, Retrodiction, lines, retrodict, summary
from voicerace.conformance.reported_runs import DOCUMENTS, REPORTED, Reported
from voicerace.experiments.result_cache import VARIABLE
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.releases import PROXIES
from voicerace.report.blocks import Claim, Fold, Table, Text, claims_of, words_of
from voicerace.report.letter.evidence_annex import documented

DRAWS = 20


@pytest.fixture(scope="module")
def found() -> list[Retrodiction]:
    return retrodict(DRAWS)


def named(found: list[Retrodiction], revision: str, what: str) -> Retrodiction:
    (each,) = [each for each in found if each.run.revision == revision and each.run.what.startswith(what)]
    return each


@pytest.mark.parametrize("run", REPORTED, ids=lambda run: f"{run.revision}-{run.what}")
def test_a_documented_run_names_known_rows_outcomes_and_its_document(run: Reported) -> None:
    assert run.row in PROXIES
    assert run.handler in HANDLERS
    assert set(run.outcomes) <= set(OUTCOMES)
    assert run.host_errors is not None or run.outcomes or run.why_not
    assert all(part.split(" ")[0].endswith(".md") for part in run.source.split(", "))


@pytest.mark.long
def test_with_recorded_times_all_decided_runs_but_two_fit(found: list[Retrodiction]) -> None:
    words = {(each.run.revision, each.run.what): each.fits["recorded"].word for each in found if each.run.decides}
    assert len(words) == 16
    others = {run for run, word in words.items() if word != "fits"}
    # The first run needs a result within the gap; its client, tool and proxy were one process.
    # In the second run the text of the reply did not reach the host.
    assert others == {("58f2e9a", "integration #470"), ("e338ff6", "integration #470")}
    assert words["e338ff6", "integration #470"] == "does not fit"


def test_fewer_runs_fit_with_gaps_that_were_never_recorded(found: list[Retrodiction]) -> None:
    fits = {gap: words.get("fits", 0) for gap, words in summary(found).items()}
    assert fits["recorded"] > fits["150 ms"] > fits["300 ms"]
    assert fits == {"recorded": 14, "150 ms": 9, "300 ms": 3}


def test_an_app_that_returns_nothing_gets_one_refusal_or_a_reply_to_the_error(found: list[Retrodiction]) -> None:
    assert named(found, "d8a1782", "E2E").fits["recorded"].found == {"stale": DRAWS}
    assert named(found, "25421e4", "E2E").fits["recorded"].found == {"stale": DRAWS}
    assert named(found, "d931630", "E2E").fits["recorded"].found == {"answered": DRAWS}


def test_the_fix_that_waits_for_response_done_stalls_with_every_recorded_gap(found: list[Retrodiction]) -> None:
    assert named(found, "58f2e9a", "E2E").fits["recorded"].found == {"stalled": DRAWS}


@pytest.mark.parametrize(
    ("agree", "word"), [(None, "undecided"), (20, "fits"), (10, "fits"), (9, "possible"), (1, "possible"), (0, "does not fit")]
)
def test_the_share_of_agreeing_draws_decides_whether_a_run_fits(agree: int | None, word: str) -> None:
    assert Fit(agree, 20, {}).word == word


def test_the_table_has_every_run_its_observation_and_the_counts(found: list[Retrodiction]) -> None:
    text = "\n".join(lines(found))
    assert all(run.seen in text and run.source in text for run in REPORTED)
    assert text.count("undecided   ") == sum(not run.decides for run in REPORTED)
    assert "gap recorded  of 16 runs: 14 fits" in text


def test_the_command_prints_the_same_as_json_and_exits_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conformance", "--reported", "--draws", "1", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [run["revision"] for run in printed["runs"]] == [run.revision for run in REPORTED]
    assert set(printed["fits"]) == set(GAPS)


def test_proxy_options_are_refused_with_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conformance", "--reported", "--proxy", "backend:DIR"]) == 2
    assert "proxy: given with --reported" in capsys.readouterr().err
    assert main(["conformance"]) == 2
    assert "proxy: is missing" in capsys.readouterr().err


# -- report section --------------------------------------------------------------------------------------------------


def test_the_report_has_every_run_with_its_document_observation_and_gaps(found: list[Retrodiction]) -> None:
    section = documented(found)
    inner = next(block.blocks for block in section if isinstance(block, Fold))
    frame = next(each.frame for each in inner if isinstance(each, Table))
    links = next(each.markdown for each in inner if isinstance(each, Text) and "Documents: " in each.markdown)
    assert len(frame) == len(REPORTED)
    for run, row, each in zip(REPORTED, frame.to_dict("records"), found, strict=True):
        assert run.seen in row["seen"]
        assert run.revision in row["run"]
        assert ("from its source" in row["proxy"]) == (not run.exact)
        for name in run.documents:
            number = links.split(f"{DOCUMENTS}{name}")[0].rsplit("[", 1)[1].split("]")[0]
            assert number in row["seen"].rpartition("(")[2] or run.why_not
        for gap in GAPS:
            outcome, count = next(iter(each.fits[gap].found.items()))
            assert row[f"models, gap {gap}"].startswith(each.fits[gap].word)
            assert f"{outcome} {count}" in row[f"models, gap {gap}"]


def test_the_reports_claim_counts_the_fits_and_names_the_other_runs(found: list[Retrodiction]) -> None:
    section = documented(found)
    (claim,) = claims_of(section)
    assert [(each["target"], each["count"], each["of"]) for each in claim["seen"]] == [
        ("documented run", 14, 16), ("documented run", 9, 16), ("documented run", 3, 16),
    ]  # fmt: skip
    assert "With the recorded gap the models reproduce 14 of 16 of these runs; 9 with a gap of 150 ms; 3" in claim["claim"]
    assert "2 run with the nearest known program" in claim["claim"]
    misfits = next(block.markdown for block in section if isinstance(block, Text) and "not fit" in block.markdown)
    assert [revision in misfits for revision in ("58f2e9a", "e338ff6", "774a5b5")] == [True, True, False]


def test_the_reports_section_follows_the_models_results(found: list[Retrodiction]) -> None:
    def all_agree(each: Retrodiction) -> Retrodiction:
        return replace(each, fits={gap: replace(fit, agree=fit.agree and fit.draws) for gap, fit in each.fits.items()})

    doctored = [replace(each, fits={gap: replace(fit, agree=0) for gap, fit in each.fits.items()}) for each in found[:3]]
    section = documented(doctored)
    assert "reproduce 0 of 3 of these runs" in next(block.sentence for block in section if isinstance(block, Claim))
    assert "3 runs do not fit" in words_of(section)
    fitting = [each for each in map(all_agree, found) if each.fits["recorded"].word == "fits"]
    assert "every decided run fits" in words_of(documented(fitting))


def test_cached_results_equal_the_computed_ones(
    found: list[Retrodiction], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    some = REPORTED[:2]
    assert retrodict(DRAWS, some, cached=True) == found[:2]
    monkeypatch.setattr("voicerace.conformance.reported.simulate", None)
    assert retrodict(DRAWS, some, cached=True) == found[:2]
    assert retrodict(DRAWS, some[1:], cached=True) == found[1:2]
