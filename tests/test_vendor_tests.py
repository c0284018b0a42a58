"""Test the table of the vendor's tests under `capture`, and how benchmarks/vendor_tests.py makes it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from benchmarks.vendor_tests import HEADS, results, rows

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "data" / "vendor-tests.csv"

PLAYWRIGHT: dict[str, Any] = {
    "suites": [
        {
            "suites": [
                {
                    "specs": [
                        {
                            "file": "e2e/calls.spec.js",
                            "title": title,
                            "tests": [
                                {
                                    "annotations": [{"type": "skip", "description": "no key"}] if status == "skipped" else [],
                                    "results": [{"status": status, "startTime": start, "duration": 1000, "error": error}],
                                }
                            ],
                        }
                        for title, status, start, error in [
                            ("calls", "passed", "2026-12-01T05:00:00.000Z", None),
                            ("speaks", "timedOut", "2026-12-01T05:00:02.000Z", {"message": "\x1b[2mno answer\x1b[22m\nat x"}),
                            ("records", "skipped", "2026-12-01T05:00:04.000Z", None),
                        ]
                    ]
                }
            ]
        }
    ]
}
JEST: dict[str, Any] = {
    "testResults": [
        {
            "name": "tests/proxy.test.ts",
            "assertionResults": [
                {"title": "first", "status": "passed", "failureMessages": []},
                {"title": "second", "status": "failed", "failureMessages": ["Error: late\n at y"]},
                {"title": "third", "status": "pending", "failureMessages": []},
            ],
        }
    ]
}


def session(start: str, outcome: str, refusals: int | None) -> dict[str, Any]:
    return {"start": start, "outcome": outcome, "refusals": refusals, "wedged": outcome == "lost"}


def test_a_session_belongs_to_the_test_in_whose_time_it_was_opened() -> None:
    run = [
        session("2026-12-01T05:00:00.500+00:00", "stale", 1),
        session("2026-12-01T05:00:00.900+00:00", "lost", 2),
        session("2026-12-01T05:00:02.100+00:00", "unknown", None),
        session("2026-12-01T05:00:03.500+00:00", "answered", 0),
    ]
    found = list(rows("browser", PLAYWRIGHT, PLAYWRIGHT, run))
    assert [(each["test"], each["captured"], each["sessions"], each["refusals"], each["why"]) for each in found] == [
        ("calls", "passed", "stale, lost (wedged)", 3, ""),
        ("speaks", "failed", "unknown", 0, "no answer"),
        ("records", "skipped", "", 0, "no key"),
        ("(in no test's time)", "", "answered", 0, ""),
    ]
    assert all(set(each) == set(HEADS) for each in found)


def test_a_test_that_only_one_run_has_is_named() -> None:
    (first, *_) = rows("browser", {"suites": []}, PLAYWRIGHT, [])
    assert (first["before"], first["captured"]) == ("not run", "passed")


def test_a_jest_report_has_no_times_of_its_tests() -> None:
    assert [(each.status, each.time, each.why) for each in results(JEST)] == [
        ("passed", None, ""),
        ("failed", None, "Error: late"),
        ("skipped", None, ""),
    ]
    (*tests, other) = rows("proxy", JEST, JEST, [session("2026-12-01T05:00:00.500+00:00", "unknown", 0)])
    assert [each["sessions"] for each in tests] == ["", "", ""]
    assert other["sessions"] == "unknown"


def test_a_passed_test_of_the_vendor_contains_a_race() -> None:
    """The vendor's test of a function call passes, and its session has a refusal."""
    table = list(csv.DictReader(TABLE.read_text("utf-8").splitlines()))
    assert tuple(table[0]) == HEADS
    raced = [each for each in table if int(each["refusals"])]
    assert raced
    assert "passed" in {each["captured"] for each in raced}
