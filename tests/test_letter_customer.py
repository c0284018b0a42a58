"""Test the letters of customers: no text of another customer, and the release and gap of a given capture."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from voicerace.captures.show import times_of
from voicerace.cli import main
from voicerace.conformance.suspicions import SUSPICIONS
from voicerace.errors import InputError
from voicerace.report.blocks import Claim, Stack, claims_of, words_of
from voicerace.report.build import build
from voicerace.report.context import ReportContext
from voicerace.report.customer import Customer, customer_of
from voicerace.report.evidence import Evidence
from voicerace.report.letter import asked, head, longer_gap, pages, reproduce, section
from voicerace.report.letter.workaround_statistics import best_workaround
from voicerace.report.page_check import claim_faults
from voicerace.report.parameters import LetterParameters

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data" / "sample-run"
LOGS = ROOT / "data" / "logs"
#: Texts that occur only in the letter of voice-commerce.
THEIRS = (
    "voice-commerce", "(2026-02-16)", "last letter", "Our last", "We wrote", "we asked", "You reported",
    "your log sanitization",
    "active_response_state_conflict", "Your set of ids",
)  # fmt: skip


def material(**parameters: object) -> ReportContext:
    return ReportContext.of(LetterParameters(run=str(SAMPLE), **parameters))  # type: ignore[arg-type]


@pytest.mark.usefixtures("warm_cache")
def test_the_page_of_another_customer_has_nothing_of_voice_commerce(tmp_path: Path) -> None:
    arguments = [
        "report",
        "--run",
        str(SAMPLE),
        "--to",
        "Another & Sons",
        "--release",
        "0.11.1",
        "--out",
        str(tmp_path / "page.html"),
    ]
    assert main(arguments) == 0
    soup = BeautifulSoup((tmp_path / "page.html").read_text("utf-8"), "html.parser")
    text = re.sub(r"\s+", " ", f"{soup.get_text(' ')} {' '.join(str(image['alt']) for image in soup.find_all('img'))}")
    record = (tmp_path / "page.json").read_text("utf-8")
    for theirs in THEIRS:
        assert theirs.lower() not in text.lower(), theirs
        assert theirs.lower() not in record.lower(), theirs
    header = soup.header.get_text(" ")
    assert "Another & Sons" in header
    assert "Releases in use (react / backend) 0.11.1 / 0.2.13" in re.sub(r"\s+", " ", header)
    assert json.loads(record)["facts"]["To"] == "Another & Sons"
    assert "--release 0.11.1 --to 'Another & Sons'" in text


def test_a_customer_with_unknown_releases_gets_every_tested_release() -> None:
    other = material(to="Another")
    words = words_of(section("head", other))
    assert "Releases in use (react / backend) not known" in words
    often = words_of(section("happens", other))
    for name in ("0.9.1 / 0.2.1", "0.9.4 / 0.2.4", "0.10.2 / 0.2.6", "0.11.1 / 0.2.13"):
        assert f"on {name}, " in often
    assert "--release" not in reproduce.command(other)


def test_the_default_customer_is_voice_commerce_with_its_report() -> None:
    own = material()
    assert own.in_use == ("0.9.1",)
    words = words_of([*section("head", own), *section("asked", own)])
    for theirs in (
        "To voice-commerce",
        "You reported that",
        "on 0.9.1 / 0.2.1",
        "our last letter is of 2026-02-16",
        "suspicion of our last letter",
        "“A second `session.update` in the same connection.”",
    ):
        assert theirs in words
    assert set(own.customer.suspicions) == set(SUSPICIONS)


def test_a_customer_file_determines_the_letter(tmp_path: Path) -> None:
    file = tmp_path / "customer.toml"
    file.write_text(
        'name = "Acme"\nreported = ["0.9.4", "v0.11.1"]\nlast_letter = 2026-05-01\n[requests]\nrepro = "A small *repro*"\n'
        '[suspicions]\ndouble-result = "Is it sent twice?"\n[links]\n"Our [page]" = "https://example.org/a"\n'
    )
    own = material(customer=str(file))
    assert own.in_use == ("0.9.4", "0.11.1")
    words = words_of([*head.blocks(own), *asked.blocks(own), *pages.decide(own)])
    for theirs in ("To Acme", "on 0.9.4 / 0.2.4 and 0.11.1 / 0.2.13", "our last letter is of 2026-05-01", "A small *repro*"):
        assert theirs in words
    assert words.count("“Is it sent twice?”") == 1
    assert "[Our \\[page\\]](https://example.org/a)" in words
    assert "Keep counting the error**. Each one" in words
    assert "--customer FILE" in reproduce.command(own)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('nam = "x"', "nam"),
        ('name = ""', "name"),
        ('name = "x"\nreported = ["9.9.9"]', "9.9.9"),
        ('name = "x"\n[suspicions]\nthird = "y"', "suspicions.third"),
        ('name = "x"\n[requests]\nthird = "y"', "requests.third"),
        ('name = "x"\n[links]\na = "javascript:alert(1)"', "links.a"),
        ("name = ", "Invalid value"),
    ],
)
def test_an_invalid_customer_file_is_one_line(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "customer.toml"
    file.write_text(text)
    assert main(["report", "--run", str(SAMPLE), "--customer", str(file), "--out", str(tmp_path / "x.html")]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "customer.toml" in err
    assert err.count("\n") == 1
    assert [each.name for each in tmp_path.iterdir()] == ["customer.toml"]


def test_name_and_file_of_a_customer_are_alternatives(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one of the two"):
        customer_of("x", str(tmp_path / "x.toml"))
    with pytest.raises(InputError, match="nothing"):
        customer_of(file=str(tmp_path / "nothing.toml"))
    assert customer_of("x") == Customer(name="x")


# -- captures -------------------------------------------------------------------------------------------------------


def test_a_given_release_is_used_for_the_capture() -> None:
    log = str(LOGS / "0.9.1.log.gz")
    given, inferred = material(capture=log, release="0.9.2"), material(capture=log)
    assert given.capture is not None
    assert inferred.capture is not None
    assert {of.release_given for of in given.capture.sessions} == {True}
    assert {of.release for of in given.capture.sessions} == {"0.9.2"}
    assert {of.release_given for of in inferred.capture.sessions} == {False}
    words = words_of(section("capture", given))
    assert "give --release" not in words
    assert "Map of outcomes of proxy 0.9.2 " in words
    assert "give --release" in words_of(section("capture", inferred))
    assert "Map of outcomes of proxy 0.9.1 " in words_of(section("capture", inferred))


@pytest.mark.parametrize("tag", ["0.10.3", "0.11.1"])
def test_without_a_given_release_the_capture_determines_it(tag: str) -> None:
    assert material(capture=str(LOGS / f"{tag}.log.gz")).in_use == (tag,)


@pytest.mark.parametrize("tag", ["0.9.1", "0.11.1"])
def test_the_answer_uses_the_gap_of_the_capture(tag: str) -> None:
    own = material(capture=str(LOGS / f"{tag}.log.gz"), release=tag)
    assert own.capture is not None
    gaps = sorted(times_of(own.capture, "gap_ms"))
    median = f"{gaps[(len(gaps) - 1) // 2]:g} ms"
    (first,) = pages.your_log(own)
    assert isinstance(first, Claim)
    assert first.name == "answer-capture"
    assert f"gap has a median of {median} ({len(gaps)} gaps, {gaps[0]:g} to {gaps[-1]:g} ms)" in first.sentence
    races = [race for of in own.capture.sessions for race in of.races]
    fastest = min(race.result_delay_ms for race in races)
    assert f"fastest result came {fastest:g} ms after the call" in first.sentence
    assert ("need no hold" in first.sentence) == (fastest > gaps[-1])
    doubled = sum(race.further in ("error first", "error last") for race in races)
    assert (f"In {doubled} of {len(races)} function calls our component sent a second result" in first.sentence) == (
        doubled > 0
    )
    found = longer_gap.blocks(own)
    assert claim_faults(claims_of([first, *found])) == []
    words = words_of(block for block in found if not isinstance(block, Stack))  # the maps have many gaps
    assert f"gap of {median} and round trips of 0 ms" in words
    for assumed in ("gap of 300 ms", "gaps of 8 ms", " 8 to 600 ms"):
        assert assumed not in words
    cure = best_workaround(own.at_gap, tag)
    assert (cure is not None) == (f"If your gap is longer, on {tag}" in words)


def test_the_sessions_of_the_answer_have_the_times_of_its_counts() -> None:
    own = replace(material(capture=str(LOGS / "0.9.1.log.gz")), evidence=Evidence())
    at_gap = own.at_gap
    for outcome in set(at_gap.delay.loc[at_gap.delay["release"] == "0.9.1", "outcome"]):
        found = at_gap.delay_recording("0.9.1", outcome)
        assert found is not None
        row, recording = found
        times = recording.provenance["times"]
        assert (float(times["gap_ms"]), float(times["tool_ms"])) == (row["gap_ms"], row["tool_ms"])
    assert own.delay["gap_ms"].iloc[0] == 300


def test_the_answer_reports_a_capture_without_gaps(tmp_path: Path) -> None:
    har = str(ROOT / "tests" / "data" / "devtools-chromium.har")
    own = material(capture=har)
    (first,) = pages.your_log(own)
    assert isinstance(first, Claim)
    assert ("It shows no gap" in first.sentence) == (not times_of(own.capture, "gap_ms"))  # type: ignore[arg-type]


@pytest.mark.usefixtures("warm_cache")
def test_a_page_with_a_capture_has_its_release_and_gap(tmp_path: Path) -> None:
    capture = str(LOGS / "0.9.1.log.gz")
    done = build(tmp_path / "page.html", {"run": str(SAMPLE), "capture": capture, "release": "0.9.1"})
    html = done.page.read_text("utf-8")
    assert "give --release" not in html
    claims = {claim["name"] for claim in json.loads(done.claims.read_text("utf-8"))["claims"]}
    assert {"answer-capture", "capture"} <= claims
