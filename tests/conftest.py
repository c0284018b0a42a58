"""Marks, retries on late machines and shared fixtures. Property tests are repeatable, except for HYPOTHESIS_PROFILE=explore."""

from __future__ import annotations

import fcntl
import os
import re
from itertools import chain, combinations
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from _pytest.mark.expression import Expression
from _pytest.runner import runtestprotocol
from _pytest.terminal import TerminalReporter
from hypothesis import HealthCheck, settings

from tests.support.lateness import Lateness

if TYPE_CHECKING:
    from voicerace.report.build import Report

SAMPLE_RUN = Path(__file__).parents[1] / "data" / "sample-run"

# Tests replace parts of the models, so their results must not be cached. Tests of the cache turn it on.
os.environ["VOICERACE_CACHE"] = "off"

settings.register_profile(
    "repeatable",
    deadline=None,
    max_examples=50,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("explore", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

#: Files whose sessions run on the real clock; on a late machine their results may differ, see `LATE_MS`.
REAL_CLOCK = frozenset(
    {
        "test_capture_verb",
        "test_clock",
        "test_connecting",
        "test_contract",
        "test_explore_live",
        "test_fault_isolation",
        "test_faults",
        "test_live",
        "test_logs_live",
        "test_reconnect",
        "test_relay",
        "test_serving",
        "test_serving_verbs",
        "test_sweep_live",
        "test_tap",
    }
)


#: Files with slow tests: `make test-all` runs them.
LONG = frozenset(
    {
        "test_benchmarks",
        "test_boundary",
        "test_browser",
        "test_capture_damage",
        "test_capture_size",
        "test_executors",
        "test_explore",
        "test_full_disk",
        "test_fuzz",
        "test_letter",
        "test_letter_counts",
        "test_letter_customer",
        "test_limits",
        "test_notebooks",
        "test_origins",
        "test_result_cache",
        "test_resume",
        "test_secrets_everywhere",
        "test_workarounds",
    }
)


#: Marks by which `make test` and `make test-all` choose tests.
MARKS = frozenset({"long", "quick", "quiet", "real_clock"})


def marks_of(stem: str, own: frozenset[str]) -> frozenset[str]:
    """Return all of `MARKS` that a test has: its own, and those of its file."""
    marks = own | ({"real_clock"} if stem in REAL_CLOCK else frozenset())
    return marks | ({"long"} if stem in REAL_CLOCK | LONG and "quick" not in marks else frozenset())


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Skip files without a test that `-m` selects; importing all files takes each process half a minute."""
    expression = config.option.markexpr
    names = set(re.findall(r"\w+", expression)) - {"and", "or", "not"}
    if not names or names - MARKS or not collection_path.name.startswith("test_") or collection_path.suffix != ".py":
        return None
    own = set(re.findall(r"\bmark\.(\w+)", collection_path.read_text("utf-8"))) & MARKS
    selects = Expression.compile(expression).evaluate
    for some in chain.from_iterable(combinations(own, count) for count in range(len(own) + 1)):
        marks = marks_of(collection_path.stem, frozenset(some))
        if selects(lambda name, /, marks=marks, **_: name in marks):  # type: ignore[misc]
            return None
    return True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests on the real clock and those of LONG as long, unless they are marked `quick`."""
    for item in items:
        own = MARKS & {mark.name for mark in item.iter_markers()}
        for name in marks_of(item.path.stem, own) - own:
            item.add_marker(name)
    # A group runs in one process for minutes. It comes first, so that the other process has work until it ends.
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)


#: A failed test on the real clock is repeated if a concurrent sleep ended later than this.
LATE_MS = 10.0
TRIES = 3


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Repeat a failed test on the real clock if this machine was late."""
    if not item.get_closest_marker("real_clock"):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for tried in range(1, TRIES + 1):
        with Lateness() as late:
            reports = runtestprotocol(item, log=False, nextitem=nextitem)
        # A `quiet` test allows fewer milliseconds than a late machine is measured by, so it is repeated like the sanity check.
        punctual = late.most_ms < LATE_MS and not item.get_closest_marker("quiet")
        if punctual or not any(report.failed for report in reports):
            break
        if tried < TRIES:
            item._initrequest()  # type: ignore[attr-defined]  # create its fixtures again
    for report in reports:
        if tried > 1 and report.when == "call":
            report.user_properties.append(("tries", tried))
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print which tests were repeated."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        if tries := dict(report.user_properties).get("tries"):
            terminalreporter.write_line(f"{report.outcome} in try {tries}, the machine was late: {report.nodeid}")


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a new folder of this test run, shared by its processes."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture
def warm_cache(shared_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Share computed results between the tests of this run, starting from an empty cache.

    For tests that build full pages with unmodified models.
    """
    monkeypatch.setenv("VOICERACE_CACHE", str(shared_folder / "cache"))


@pytest.fixture(scope="session")
def small_report(shared_folder: Path) -> Report:
    """Return the letter of the committed run with all sections, built once by the first process that needs it."""
    from voicerace.report.build import Report, build  # slow to import, and rarely needed

    page = shared_folder / "report" / "sample.html"
    claims = page.with_suffix(".json")  # written last
    with (shared_folder / "report.lock").open("w") as lock, pytest.MonkeyPatch.context() as patch:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if claims.exists():
            return Report(page, claims, SAMPLE_RUN)
        patch.setenv("VOICERACE_CACHE", str(shared_folder / "cache"))
        return build(page, {"run": str(SAMPLE_RUN)})
