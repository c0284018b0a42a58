"""Every property test draws the same examples each time; `HYPOTHESIS_PROFILE=explore` looks for new ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from voicerace.report.build import Report, build

SAMPLE_RUN = Path(__file__).parents[1] / "data" / "sample-run"

# Tests replace parts of the models: what they compute must not reach the cache, nor come from it. Tests of it turn it on.
os.environ["VOICERACE_CACHE"] = "off"

settings.register_profile(
    "repeatable",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("explore", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

#: Files whose sessions run on the real clock: beside another process that computes they come late, and fail for it.
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


#: Files whose tests take minutes together: `make test-all` runs them.
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests on the real clock, and those of LONG, are for `make test-all`, unless they are marked `quick`."""
    for item in items:
        if item.path.stem in REAL_CLOCK:
            item.add_marker("real_clock")
        if item.path.stem in REAL_CLOCK | LONG and not item.get_closest_marker("quick"):
            item.add_marker("long")


@pytest.fixture(scope="session")
def small_report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The letter of the committed run, with all its sections; built once."""
    folder = tmp_path_factory.mktemp("report")
    return build(folder / "sample.html", {"run": str(SAMPLE_RUN)})
