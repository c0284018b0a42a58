"""Write data/vendor-tests.csv: the vendor's tests with and without `voicerace capture`, and the sessions of each test.

`python benchmarks/vendor_tests.py NAME BEFORE.json CAPTURED.json RUN ...` takes, for each suite, its name, the JSON reports of
Playwright or Jest without and with `capture`, and the folder that `capture` wrote (docs/vendor-tests.md has the commands). A
session belongs to the test in whose time it was opened. Jest reports no times of its tests.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from voicerace.analysis.summary import summary
from voicerace.analysis.verdict import judge
from voicerace.trace.recording import Recording

HEADS = ("suite", "file", "test", "before", "captured", "sessions", "refusals", "why")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
#: Statuses of the runners -> those of the table.
_STATUS = {
    "passed": "passed", "expected": "passed", "failed": "failed", "timedOut": "failed", "unexpected": "failed",
    "skipped": "skipped", "pending": "skipped",
}  # fmt: skip


@dataclass(frozen=True)
class Result:
    """Result of one test: status, (start, end) if reported, and the reason for another status than passed."""

    file: str
    title: str
    status: str
    time: tuple[datetime, datetime] | None
    why: str


def results(report: dict[str, Any]) -> Iterator[Result]:
    """Yield the results in a JSON report of Playwright or Jest."""
    if "testResults" in report:
        for file in report["testResults"]:
            for test in file["assertionResults"]:
                why = _line(next(iter(test["failureMessages"]), ""))
                yield Result(Path(file["name"]).name, test["title"], _STATUS[test["status"]], None, why)
        return
    for suite in report["suites"]:
        yield from _suite(suite)


def _suite(suite: dict[str, Any]) -> Iterator[Result]:
    for each in suite.get("suites", ()):
        yield from _suite(each)
    for spec in suite.get("specs", ()):
        for test in spec["tests"]:
            last = test["results"][-1]
            start = datetime.fromisoformat(last["startTime"])
            skips = (each.get("description") or "" for each in test["annotations"] if each["type"] == "skip")
            yield Result(
                Path(spec["file"]).name, spec["title"], _STATUS[last["status"]],
                (start, start + timedelta(milliseconds=last["duration"])),
                _line((last.get("error") or {}).get("message") or next(skips, "")),
            )  # fmt: skip


def _line(text: str) -> str:
    """Return the first line of an error, at most 100 characters."""
    return _COLOUR.sub("", text).strip().partition("\n")[0][:100]


def rows(
    suite: str, before: dict[str, Any], captured: dict[str, Any], sessions: list[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Yield a row per test of one suite, and one for the other sessions, if there are any."""
    earlier = {(each.file, each.title): each.status for each in results(before)}
    left = [(datetime.fromisoformat(each["start"]), each) for each in sessions]
    for each in results(captured):
        own = [session for at, session in left if each.time is not None and each.time[0] <= at <= each.time[1]]
        left = [(at, session) for at, session in left if session not in own]
        status = earlier.get((each.file, each.title), "not run")
        yield {"suite": suite, "file": each.file, "test": each.title, "before": status, "captured": each.status,
               **_judged(own), "why": each.why}  # fmt: skip
    if left:
        yield {"suite": suite, "file": "", "test": "(in no test's time)", "before": "", "captured": "",
               **_judged([session for _, session in left]), "why": ""}  # fmt: skip


def _judged(sessions: list[dict[str, Any]]) -> dict[str, Any]:
    outcomes = [each["outcome"] + (" (wedged)" if each.get("wedged") else "") for each in sessions]
    return {"sessions": ", ".join(outcomes), "refusals": sum(each.get("refusals") or 0 for each in sessions)}


def judged(run: Path) -> list[dict[str, Any]]:
    """Return the start and the summary of each session that `capture` recorded."""
    recordings = [Recording.read(path) for path in sorted((run / "recordings").glob("session-*.jsonl"))]
    return [{"start": each.provenance["start"], **summary(each, judge(each))} for each in recordings]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="+", metavar="NAME BEFORE CAPTURED RUN")
    parser.add_argument("--out", type=Path, default=Path("data/vendor-tests.csv"), metavar="FILE")
    given = parser.parse_args()
    words = iter(given.suites)
    with given.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, HEADS, lineterminator="\n")
        writer.writeheader()
        for name, *files in zip(words, words, words, words, strict=True):
            before, captured = (json.loads(Path(each).read_text("utf-8")) for each in files[:2])
            writer.writerows(rows(name, before, captured, judged(Path(files[2]))))


if __name__ == "__main__":
    main()
